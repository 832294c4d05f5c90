package interactly

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Reasons of failures, for errors.Is.
var (
	// ErrNotFound means that the API does not have the call.
	ErrNotFound = errors.New("no such call")

	// ErrUnauthorized means that the API rejects the key.
	ErrUnauthorized = errors.New("the API key is rejected")

	// ErrRateLimited means too many requests. [Error.RetryAfter] says when to retry.
	ErrRateLimited = errors.New("too many requests")

	// ErrUnavailable means that the API failed.
	ErrUnavailable = errors.New("the API is unavailable")

	// ErrUnreachable means no response, or a truncated one.
	ErrUnreachable = errors.New("no response from the API")

	// ErrInvalidResponse means that the response is not the requested object.
	ErrInvalidResponse = errors.New("the API's response is invalid")

	// ErrTooLarge means that the response exceeds 16 MiB.
	ErrTooLarge = errors.New("the API's response is too large")

	errBadRequest = errors.New("the request is rejected")
)

// An Error is the last failure of a request. It holds nothing of the request or
// its response.
type Error struct {
	Status     int           // of the response; 0 without one
	RetryAfter time.Duration // from the response; 0 without one

	kind    error
	timeout bool
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Status != 0:
		return fmt.Sprintf("interactly: %v (status %d)", e.kind, e.Status)
	case e.timeout:
		return fmt.Sprintf("interactly: %v in time", e.kind)
	}
	return "interactly: " + e.kind.Error()
}

// Unwrap returns one of this package's errors.
func (e *Error) Unwrap() error { return e.kind }

// temporary reports whether the same request may succeed later.
func (e *Error) temporary() bool {
	switch e.kind {
	case ErrRateLimited, ErrUnavailable, ErrUnreachable, ErrInvalidResponse:
		return true
	}
	return false
}

func kindOf(status int) error {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return ErrNotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ErrUnauthorized
	case status == http.StatusTooManyRequests:
		return ErrRateLimited
	case status == http.StatusRequestTimeout, status >= 500:
		return ErrUnavailable
	}
	return errBadRequest
}

// ErrorCode returns a code for the error that is safe to log.
func (e *Error) ErrorCode() string {
	if e.Status != 0 {
		return "api-" + strconv.Itoa(e.Status)
	}
	for err, code := range map[error]string{ErrUnreachable: "api-unreachable", ErrInvalidResponse: "api-invalid-response", ErrTooLarge: "api-too-large"} {
		if e.kind == err {
			return code
		}
	}
	return "api"
}
