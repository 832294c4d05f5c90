// Package runtimeapi runs a program as AWS Lambda does: in execution environments
// of one process each, which get their invocations from a local Lambda Runtime API.
// Vercel runs functions in the same way. It emulates neither triggers nor services.
//
//	f := runtimeapi.NewFunction(runtimeapi.FunctionOptions{Bootstrap: path, Env: env, Freeze: true})
//	defer f.Close()
//	reply, err := f.Invoke(ctx, event)
//
// Packages aws/emulate and vercel/emulate say what they emulate of their platform.
package runtimeapi

import "errors"

// MaxPayload is the largest event and reply in bytes: Lambda's 6 MB, which are
// 6291556 bytes according to its error message (docs/aws.md#limits).
const MaxPayload = 6_291_556

// Errors of an invocation that never reached the function.
var (
	ErrThrottled = errors.New("emulate: all execution environments are busy")
	ErrTooLarge  = errors.New("emulate: event is over 6 MB")
	ErrClosed    = errors.New("emulate: function is closed")
)

// A FunctionError is a failure of the function, as Lambda reports it.
type FunctionError struct {
	Type    string // "Sandbox.Timedout", "Runtime.ExitError", or the type that the function reported
	Message string
}

// Error returns the type and the message.
func (e *FunctionError) Error() string { return "emulate: " + e.Type + ": " + e.Message }
