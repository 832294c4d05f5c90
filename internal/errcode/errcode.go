// Package errcode says what of an error may be logged, and at which level. The text of an error of
// a service, a driver or a decoder may quote what callers said, so a log has
// a code instead.
//
//	return &errcode.Error{Package: "aws", Op: "commit", Code: "ThrottlingException", Err: err}
//	log.Error("delivery failed", "reason", errcode.Of(err))
package errcode

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"syscall"
)

// An Error is a failure of a service. Its text has no text of the service.
type Error struct {
	Package string // that returns it
	Op      string // what failed
	Code    string // of the service
	Err     error  // of the client library, not for logs; may be nil
	Pass    bool   // it passes by itself: see [Temporary]
}

// Error returns the package, the operation and the code.
func (e *Error) Error() string { return e.Package + ": " + e.Op + ": " + e.Code }

// Unwrap returns the error of the client library.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the operation and the code.
func (e *Error) ErrorCode() string { return e.Op + "." + e.Code }

// Temporary returns e.Pass.
func (e *Error) Temporary() bool { return e.Pass }

// Context returns the code of an error that the end of a context caused, or "".
func Context(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline-exceeded"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return ""
}

var codePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Of returns what of an error may be logged: the text of a constant error,
// which is one of those given or a context's, the code that a service gives it,
// or the name of its innermost type.
func Of(err error, constants ...error) string {
	for _, c := range append(constants, context.Canceled, context.DeadlineExceeded) {
		if errors.Is(err, c) {
			return c.Error()
		}
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	code := ""
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		code = "SQLSTATE-" + e.SQLState()
	} else if e, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		code = e.ErrorCode()
	}
	if codePattern.MatchString(code) {
		return code
	}
	return fmt.Sprintf("%T", innermost(err))
}

// innermost returns the error at the end of the chain; of several, of the first.
func innermost(err error) error {
	for {
		var next error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				next = all[0]
			}
		}
		if next == nil {
			return err
		}
		err = next
	}
}
