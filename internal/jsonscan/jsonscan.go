package jsonscan

import (
	"bytes"
)

// SkipSpace returns the index of the first byte from i on that is not white
// space, len(b) if there is none.
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// StringEnd returns the index behind the string whose opening quote is at i, or
// -1 if it does not end.
func StringEnd(b []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		start := i
		i += n
		slashes := 0 // an odd number of backslashes escapes the quote
		for i-slashes > start && b[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// ScalarEnd returns the index behind the number, true, false or null at i: that
// of the next delimiter. It is i if there is none of them.
func ScalarEnd(b []byte, i int) int {
	for i < len(b) && !delimiters[b[i]] {
		i++
	}
	return i
}

// delimiters is a table, because it is looked up for every byte of a number.
var delimiters = [256]bool{',': true, ':': true, '[': true, ']': true, '{': true, '}': true, '"': true,
	' ': true, '\n': true, '\t': true, '\r': true}
