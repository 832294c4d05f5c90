package cloudflare

import (
	"context"
	"errors"
)

// A Host does what only JavaScript can in a Worker: it uses a binding. Inside
// WASM it is the bridge in cloudflare/js; a test has one over HTTP.
type Host interface {
	// Do does the operation in the frame and returns a frame. It gives up when
	// ctx ends; then the operation may be done or not. Safe for concurrent use.
	Do(ctx context.Context, frame []byte) ([]byte, error)
}

// An Error is an operation that failed. Its text has none of the platform's,
// which may quote what was sent.
type Error struct {
	Op   string // "d1", "queue", "r2", "fetch"
	Code string // "overloaded", "reset", "timeout", "limit", "schema", "binding", "other"
}

// Error implements error.
func (e *Error) Error() string { return "cloudflare: " + e.Op + ": " + e.Code }

// An operation is the meta of a frame for the host. Each Op has its own fields.
type operation struct {
	Op string `json:"op"`

	Statements []statement `json:"statements,omitempty"` // d1: all or none

	Key    string `json:"key,omitempty"`    // r2
	Method string `json:"method,omitempty"` // fetch, and r2: "put", "get", "delete"

	URL    string      `json:"url,omitempty"` // fetch
	Header [][2]string `json:"header,omitempty"`
}

// A statement is SQL with parameters: a string, a number, nil, or a part.
type statement struct {
	SQL    string `json:"sql"`
	Params []any  `json:"params"`
}

// A part is a parameter whose bytes are in the frame's body.
type part struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// An outcome is the meta of a frame from the host.
type outcome struct {
	Error string `json:"error,omitempty"` // a code

	Results []result `json:"results,omitempty"` // d1: one for each statement

	Missing bool `json:"missing,omitempty"` // r2: no such object

	Status int         `json:"status,omitempty"` // fetch
	Header [][2]string `json:"header,omitempty"`
}

type result struct {
	Changes int     `json:"changes"`
	Rows    [][]any `json:"rows,omitempty"`
}

// codeStale is D1's way to say that a Commit met a guard.
const codeStale = "stale"

var errNoHost = errors.New("cloudflare: there are no bindings outside of a Worker")

// do does one operation.
func do(ctx context.Context, h Host, op operation, body ...[]byte) (outcome, []byte, error) {
	var out outcome
	if h == nil {
		return out, nil, errNoHost
	}
	if err := context.Cause(ctx); err != nil {
		return out, nil, err
	}
	frame, err := encodeFrame(op, body...)
	if err != nil {
		return out, nil, err
	}
	reply, err := h.Do(ctx, frame)
	if err != nil {
		return out, nil, err
	}
	rest, err := decodeFrame(reply, &out)
	if err != nil {
		return out, nil, err
	}
	if out.Error != "" {
		return out, nil, &Error{Op: op.Op, Code: out.Error}
	}
	return out, rest, nil
}
