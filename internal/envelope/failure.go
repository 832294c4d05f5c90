package envelope

import (
	"errors"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A Failure is that of the delivery of one of the envelopes of a message. Its text
// is that of the error.
type Failure struct {
	Envelope core.Envelope
	Err      error
}

// Error returns the text of the error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the error.
func (f *Failure) Unwrap() error { return f.Err }

// Failed returns the error of the delivery of an envelope as a Failure, or nil.
func Failed(e core.Envelope, err error) error {
	if err == nil {
		return nil
	}
	return &Failure{e, err}
}

// LogFailure returns what a log has of the envelope of a failure, of the first one if
// there are several; nothing if the message could not be decoded.
func LogFailure(err error, tag func(event.CallID) string) []any {
	if f, ok := errors.AsType[*Failure](err); ok {
		return Log(f.Envelope, tag)
	}
	return nil
}

// Log returns what a log has of an envelope: its type if that is a known one, the
// tenant, and the call's tag, for which tag may be nil. Fields that are empty are left
// out.
func Log(e core.Envelope, tag func(event.CallID) string) []any {
	var fields []any
	if e.Type != "" {
		fields = append(fields, "type", callstate.LoggedType(e.Type))
	}
	if e.Tenant != "" {
		fields = append(fields, "tenant", e.Tenant)
	}
	if e.Call != "" && tag != nil {
		fields = append(fields, "call", tag(e.Call))
	}
	return fields
}
