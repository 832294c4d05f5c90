// Package runtimeapi runs a program as AWS Lambda does: in execution
// environments of one process each, which ask our Lambda Runtime API for work.
// Vercel runs handler functions in the same way.
//
//	f := runtimeapi.NewFunction(runtimeapi.FunctionOptions{Bootstrap: path, Env: env, Freeze: true})
//	defer f.Close()
//	reply, err := f.Invoke(ctx, event)
//
// Package emulate of each platform says what of the platform it is and what it is not.
package runtimeapi

import "errors"

// MaxPayload is the most bytes of an event and of a reply: Lambda's 6 MB, in
// the words of its own error message 6291556 bytes (docs/aws.md#limits).
const MaxPayload = 6_291_556

// Errors of an invocation that never reached the function.
var (
	ErrThrottled = errors.New("emulate: all execution environments are busy")
	ErrTooLarge  = errors.New("emulate: event is over 6 MB")
	ErrClosed    = errors.New("emulate: function is closed")
)

// A FunctionError says how a function failed, in Lambda's words.
type FunctionError struct {
	Type    string // "Sandbox.Timedout", "Runtime.ExitError", or what the function reported
	Message string
}

// Error returns the type and the message.
func (e *FunctionError) Error() string { return "emulate: " + e.Type + ": " + e.Message }
