package core

import (
	"errors"
	"fmt"
)

// What the assistant gets if a tool has no result. The model reads these and may
// speak them as they are, so they say in plain words what happened and what to
// do next.
const (
	sayFailed    = "Sorry, that did not work just now. Offer to take a message for the office."
	sayWorking   = "That is still being worked on. Ask the caller for a moment, then ask again."
	sayUncertain = "It is not certain whether that went through. Do not try it again; the office will check and call back."
	sayNotNow    = "Sorry, the system cannot be reached just now, and nothing was changed. Offer to take a message for the office."
	sayNoTool    = "There is no such tool here."
	sayEnded     = "The call is over, so nothing was changed."
	sayConflict  = "That request does not match an earlier one with the same id, so nothing was changed."
	sayNoCall    = "That request asks for no tool, so nothing was done."
	sayArguments = "The arguments could not be read. Call the tool again with a JSON object of its arguments."
	sayWrapped   = "The arguments came in a form that this tool does not take, so nothing was done. Offer to take a message for the office."
	sayDone      = "Done."
	sayNothing   = "There is nothing to report."
)

// A SayError is an error with two audiences.
type SayError struct {
	Sentence string // for the caller: the assistant says it
	Err      error  // for the operator, may be nil; its text is neither sent nor logged
}

// Say returns an error whose sentence the assistant says, for a refusal that is
// part of a tool's work ("That time is taken."). Like any error of a tool that
// changes something it is final: the same request gets the same sentence again.
// Wrap it in [NotApplied] if another try may succeed.
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
// the same request may run again. Any other error is stored as the request's
// outcome, because the change may have happened before the error.
func NotApplied(err error) error { return &notApplied{err} }

type notApplied struct{ err error }

func (e *notApplied) Error() string { return "not applied: " + e.err.Error() }

func (e *notApplied) Unwrap() error { return e.err }

// sentence returns the sentence that an error has for the caller. No other text of an
// error is ever sent.
func sentence(err error) string {
	if say, ok := errors.AsType[*SayError](err); ok {
		if line := oneLine(say.Sentence); line != "" {
			return line
		}
	}
	return sayFailed
}
