package core

import (
	"errors"
	"fmt"

	"github.com/serverurl/serverurl/internal/callstate"
)

// A SayError is an error with two audiences.
type SayError struct {
	Sentence string // for the caller: the assistant says it
	Err      error  // for the operator, may be nil; its text is neither sent nor logged
}

// Say returns an error whose sentence the assistant says, for a refusal that is
// part of a tool's work ("That time is taken."). It means that nothing was
// changed, so the same request runs again when it is made again: by then the time
// may be free. If something may have been changed, wrap it in [Uncertain].
func Say(sentence string) error { return &SayError{Sentence: sentence} }

// Sayf is [Say] with a format.
func Sayf(format string, args ...any) error { return Say(fmt.Sprintf(format, args...)) }

// Error returns the text of Err. It never returns the sentence, which may quote
// the caller and must not get into logs.
func (e *SayError) Error() string {
	if e.Err == nil {
		return "said to the caller"
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *SayError) Unwrap() error { return e.Err }

// NotApplied wraps the error of a tool that has certainly changed nothing, so that
// the same request may run again. An error of [Say] means that already; any other
// leaves open whether the change came before the error.
func NotApplied(err error) error { return &notApplied{err} }

type notApplied struct{ err error }

func (e *notApplied) Error() string { return "not applied: " + e.err.Error() }

func (e *notApplied) Unwrap() error { return e.err }

// Uncertain wraps an error of a tool that may have changed something, such
// as one of [Say]: the caller hears that sentence. The same request
// is not run again, unless the tool's Reconcile finds that nothing was changed or
// the tool is [Idempotent].
func Uncertain(err error) error { return &uncertain{err} }

type uncertain struct{ err error }

func (e *uncertain) Error() string { return "uncertain: " + e.err.Error() }

func (e *uncertain) Unwrap() error { return e.err }

// outcome returns what an error of a tool that changes something says of the
// change.
func outcome(err error) callstate.ToolState {
	if _, open := errors.AsType[*uncertain](err); open {
		return callstate.ToolIndeterminate
	}
	_, unchanged := errors.AsType[*notApplied](err)
	switch {
	case err == nil:
		return callstate.ToolDone
	case unchanged, isSaid(err):
		return callstate.ToolNotApplied
	}
	return callstate.ToolIndeterminate
}

// isSaid reports whether an error has a sentence for the caller, and so is the
// tool's own decision.
func isSaid(err error) bool {
	_, ok := errors.AsType[*SayError](err)
	return ok
}

// sentence returns the sentence that an error has for the caller, or else
// otherwise. No other text of an error is ever sent.
func sentence(err error, otherwise string) string {
	if say, ok := errors.AsType[*SayError](err); ok {
		if line := oneLine(say.Sentence); line != "" {
			return line
		}
	}
	return otherwise
}
