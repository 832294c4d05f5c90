package cloudflare

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/internal/errcode"
)

// Bindings are the services of a Worker, which only JavaScript can use. Inside
// WASM they are the bridge in cloudflare/js; a test has some over HTTP.
type Bindings interface {
	// Do does the operation in the frame and returns a frame. It returns when ctx
	// ends; then the operation may be done or not. Safe for concurrent use.
	Do(ctx context.Context, frame []byte) ([]byte, error)
}

// An operation is the meta of a frame for the bindings. Each Op has its own fields.
type operation struct {
	Op string `json:"op"`

	Statements []statement `json:"statements,omitempty"` // d1: all or none

	Key    string `json:"key,omitempty"`    // r2
	Method string `json:"method,omitempty"` // fetch, and r2: "put", "get", "delete"

	URL    string      `json:"url,omitempty"` // fetch
	Header [][2]string `json:"header,omitempty"`
	Limit  int         `json:"limit,omitempty"` // bytes of the response's body
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

// A result is the meta of a frame from the bindings.
type result struct {
	Error string `json:"error,omitempty"` // "overloaded", "reset", "timeout", "limit", "too-large", "schema", "binding", "stale", "other"

	Results []rowSet `json:"results,omitempty"` // d1: one for each statement

	Missing bool `json:"missing,omitempty"` // r2: no such object

	Status int         `json:"status,omitempty"` // fetch
	Header [][2]string `json:"header,omitempty"`
}

type rowSet struct {
	Changes int     `json:"changes"`
	Rows    [][]any `json:"rows,omitempty"`
}

// codeStale is D1's code of a Commit that failed a guard.
const codeStale = "stale"

var errNoBindings = errors.New("cloudflare: there are no bindings outside of a Worker")

// passing are the codes of services that may answer later.
var passing = map[string]bool{"overloaded": true, "reset": true, "timeout": true}

// do does one operation.
func do(ctx context.Context, b Bindings, op operation, body ...[]byte) (result, []byte, error) {
	var out result
	if b == nil {
		return out, nil, errNoBindings
	}
	if err := context.Cause(ctx); err != nil {
		return out, nil, err
	}
	frame, err := encodeFrame(op, body...)
	if err != nil {
		return out, nil, err
	}
	reply, err := b.Do(ctx, frame)
	if err != nil {
		return out, nil, err
	}
	rest, err := decodeFrame(reply, &out)
	if err != nil {
		return out, nil, err
	}
	if out.Error != "" {
		return out, nil, &errcode.Error{Package: "cloudflare", Op: op.Op, Code: out.Error, Pass: passing[out.Error]}
	}
	return out, rest, nil
}
