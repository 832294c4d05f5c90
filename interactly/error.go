package interactly

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Why a request failed, for errors.Is.
var (
	// ErrNotFound: the API does not know the call.
	ErrNotFound = errors.New("no such call")

	// ErrUnauthorized: the API does not take the key.
	ErrUnauthorized = errors.New("the API key is refused")

	// ErrBusy: too many requests. [Error.RetryAfter] says when to come again.
	ErrBusy = errors.New("too many requests")

	// ErrUnavailable: the API failed.
	ErrUnavailable = errors.New("the API fails")

	// ErrUnreachable: no answer, or one that broke off.
	ErrUnreachable = errors.New("no answer from the API")

	// ErrBadAnswer: an answer came, and it is not what was asked for.
	ErrBadAnswer = errors.New("the API's answer cannot be read")

	// ErrTooLarge: an answer is larger than Options.MaxAnswer.
	ErrTooLarge = errors.New("the API's answer is too large")

	errBadRequest = errors.New("the request is refused")
)

// An Error is the last failure of a request. It holds nothing of what was
// asked or answered.
type Error struct {
	Status     int           // of the answer; 0 where there was none
	RetryAfter time.Duration // as the API asked for; 0 where it did not

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

// temporary reports whether the same request may be answered later.
func (e *Error) temporary() bool {
	switch e.kind {
	case ErrBusy, ErrUnavailable, ErrUnreachable, ErrBadAnswer:
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
		return ErrBusy
	case status == http.StatusRequestTimeout, status >= 500:
		return ErrUnavailable
	}
	return errBadRequest
}

// ErrorCode is what a log may hold of the error.
func (e *Error) ErrorCode() string {
	if e.Status != 0 {
		return "api-" + strconv.Itoa(e.Status)
	}
	for err, code := range map[error]string{ErrUnreachable: "api-unreachable", ErrBadAnswer: "api-bad-answer", ErrTooLarge: "api-too-large"} {
		if e.kind == err {
			return code
		}
	}
	return "api"
}
