package core

import (
	"fmt"
	"io"
	"log/slog"
)

// A Private is text about a person: a name, a number, what somebody said. In
// arguments of tools it is a string, as any other; but it prints as "***",
// whatever prints it: fmt, slog, an error around it, JSON. So a tool's author
// cannot log it by accident.
//
//	type Booking struct {
//		Patient core.Private `json:"patient" jsonschema:"the patient's full name"`
//	}
//
// Reveal is the one way to the text, and easy to find in a review.
type Private string

// Reveal returns the text.
func (p Private) Reveal() string { return string(p) }

// Format prints the placeholder, whatever the verb and its flags.
func (p Private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// String returns the placeholder.
func (p Private) String() string { return placeholder }

// GoString returns the placeholder.
func (p Private) GoString() string { return placeholder }

// LogValue returns the placeholder.
func (p Private) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns the placeholder; JSON uses it too.
func (p Private) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// UnmarshalText takes the text as it is; JSON uses it too.
func (p *Private) UnmarshalText(b []byte) error {
	*p = Private(b)
	return nil
}
