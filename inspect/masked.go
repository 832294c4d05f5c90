package inspect

// Masked is the shape of what somebody said: its words as dots.
func Masked(s string) string { return eye{}.text(s) }

// MaskedJSON is v for people to read, indented, with the values masked that
// may tell something about a person. With arguments set all values are: v is
// the arguments or the result of a tool.
func MaskedJSON(v []byte, arguments bool) string { return eye{}.json(v, arguments) }

// PlainJSON is v for people to read, as it is.
func PlainJSON(v []byte) string { return eye{open: true}.json(v, true) }
