package arguments

import (
	"fmt"
	"strings"
)

// must says what a value must be: "must be a whole number between 1 and 20".
func (n *node) must() string {
	switch {
	case len(n.enum) == 1:
		return "must be " + string(n.enum[0])
	case len(n.enum) > 1:
		var b strings.Builder
		b.WriteString("must be one of ")
		for i, v := range n.enum {
			if i > 0 {
				b.WriteString(", ")
			}
			b.Write(v)
		}
		return b.String()
	case n.pattern != nil:
		return "must be text that matches " + n.pattern.String() + n.suchAs("")
	case n.format != "":
		f := formats[n.format]
		return "must be " + f.words + n.suchAs(f.example)
	}
	return "must be " + n.kindWords() + n.boundWords() + n.suchAs("")
}

// suchAs gives an example if there is one.
func (n *node) suchAs(other string) string {
	if len(n.examples) > 0 {
		other = strings.Trim(string(n.examples[0]), `"`)
	}
	if other == "" {
		return ""
	}
	return " such as " + other
}

func (n *node) kindWords() string {
	switch {
	case n.custom && n.kind == text:
		return "text of the form that its description gives"
	case n.custom:
		return "as its description says"
	}
	switch n.kind {
	case text, moment, period:
		return "text"
	case binary:
		return "text in base64"
	case integer:
		return "a whole number"
	case number:
		return "a number"
	case boolean:
		return "true or false"
	case list:
		if n.length >= 0 {
			return fmt.Sprintf("a list of %d", n.length)
		}
		return "a list"
	case object, mapping:
		return "an object"
	case anything:
	}
	return "as its description says"
}

// boundWords follows "a number".
func (n *node) boundWords() string {
	switch {
	case n.low != nil && n.high != nil:
		return fmt.Sprintf(" between %v and %v", n.low, n.high)
	case n.low != nil:
		return fmt.Sprintf(" of at least %v", n.low)
	case n.high != nil:
		return fmt.Sprintf(" of at most %v", n.high)
	}
	return ""
}
