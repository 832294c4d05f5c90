// Package jsonscan finds the ends of JSON tokens in bytes. It builds nothing and
// allocates nothing. It does not validate: that is the parser's work.
//
//	end := jsonscan.StringEnd(body, start) // -1 if the string does not end
package jsonscan
