package core

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/serverurl/serverurl/internal/redact"
)

// A Sensitive is text about a person: a name, a phone number, a message. In the
// arguments of tools it is a string like any other, but it prints as "***" in
// fmt, slog, wrapping errors and JSON, so that it is not logged by accident.
//
//	type Booking struct {
//		Patient core.Sensitive `json:"patient" jsonschema:"the patient's full name"`
//	}
//
// Reveal is the only access to the text, and easy to find in a review.
type Sensitive string

// Reveal returns the text.
func (p Sensitive) Reveal() string { return string(p) }

// Format prints the placeholder for every verb.
func (p Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redact.Placeholder) }

// String returns the placeholder.
func (p Sensitive) String() string { return redact.Placeholder }

// GoString returns the placeholder.
func (p Sensitive) GoString() string { return redact.Placeholder }

// LogValue returns the placeholder.
func (p Sensitive) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }

// MarshalText returns the placeholder. JSON encoders call it too.
func (p Sensitive) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }

// UnmarshalText takes the text as it is. JSON decoders call it too. It never fails.
func (p *Sensitive) UnmarshalText(b []byte) error {
	*p = Sensitive(b)
	return nil
}
