// Package arguments turns what a model sends for a Go struct into that struct,
// exactly, or says which argument is wrong and what it must be.
//
//	shape, err := arguments.Of(reflect.TypeFor[Booking](), time.UTC) // once; err is a mistake in the program
//	shape.Schema(false)                                              // for the model
//	canonical, err := shape.Read(body, query)                        // for each request
//	canonical, err = shape.WithHidden(canonical, value)              // what the model cannot give
//	shape.Decode(canonical, &booking)
//
// One tree of the struct's types does all of it: it writes the schema, and reads,
// converts and checks the values, so that what the schema promises is what arrives.
package arguments
