package inspect

import "github.com/serverurl/serverurl/internal/obscure"

// An obscurer is how much of a call is shown: the shapes of what people said,
// or everything.
type obscurer struct{ open bool }

// Open reports whether everything is shown. Templates call it, Text and JSON.
func (o obscurer) Open() bool { return o.open }

// Text returns s as it may be shown.
func (o obscurer) Text(s string) string {
	if o.open {
		return s
	}
	return obscure.Text(s)
}

// JSON returns v indented, as it may be shown; see [obscure.JSON].
func (o obscurer) JSON(v []byte, allValues bool) string {
	if o.open {
		return obscure.Indent(v)
	}
	return obscure.JSON(v, allValues)
}
