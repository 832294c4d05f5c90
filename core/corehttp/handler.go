// Package corehttp serves a [core.Processor] with net/http: the adapter that
// every platform with a Go HTTP server shares. It routes nothing, authenticates
// nothing and limits nothing by itself; all of that is core's, which does not
// import net/http so that it stays small in WebAssembly.
//
//	p := core.New()
//	// add tools and handlers, then p.Bind(platform)
//	http.Handle("/", corehttp.Handler(p))
package corehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// NewRequest returns r as core sees it before the body is read.
func NewRequest(r *http.Request) core.Request {
	return core.Request{
		Method: r.Method,
		Path:   r.URL.EscapedPath(),
		Query:  r.URL.RawQuery,
		Header: auth.Header(r.Header),
		Remote: r.RemoteAddr,
	}
}

type admissionKey struct{}

// Admit decides about a request once, before its body is read. The request that
// it returns carries the decision to [Handler] and to later calls of Admit.
func Admit(p *core.Processor, r *http.Request) (*core.Admission, *http.Request) {
	if a, ok := r.Context().Value(admissionKey{}).(*core.Admission); ok {
		return a, r
	}
	a := p.Admit(NewRequest(r))
	return a, r.WithContext(context.WithValue(r.Context(), admissionKey{}, a))
}

// Handler returns a handler that answers requests with p. It passes bodies on
// byte for byte. It stops reading a body that is too large as soon as that is
// known, and does not read those of unauthenticated clients.
func Handler(p *core.Processor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admission, r := Admit(p, r)
		var body []byte
		var err error
		if admission.ReadBody() {
			body, err = readBody(r, p.MaxBodyBytes())
		}
		var resp core.Response
		switch {
		case errors.Is(err, errTooLarge):
			resp = admission.HandleTooLarge(r.Context())
		case errors.Is(err, os.ErrDeadlineExceeded) && admission.Kind() == core.KindToolCall:
			resp = tooSlow
		case errors.Is(err, os.ErrDeadlineExceeded): // the server limits the time of a body
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"error":"try again"}`, http.StatusServiceUnavailable)
			return
		case err != nil:
			// The connection broke: the reply reaches no one, and half a body
			// is not worth storing.
			http.Error(w, `{"error":"bad request"}`, http.StatusBadRequest)
			return
		default:
			resp = admission.Handle(r.Context(), body)
		}
		for _, f := range resp.Header {
			w.Header().Add(f.Name, f.Value)
		}
		w.WriteHeader(resp.Status)
		// If the client has disconnected, the outcome is stored anyway.
		_, _ = w.Write(resp.Body)
	})
}

// tooSlow answers a tool call whose body did not arrive in time: any other status
// is silence on the line (docs/tools.md#reply).
var tooSlow = core.Response{Status: http.StatusOK, Header: []core.HeaderField{{Name: "Content-Type", Value: "application/json"}},
	Body: []byte(`{"result":"The request did not arrive in time, so nothing was changed. Please try again."}`)}

var errTooLarge = errors.New("corehttp: the body is too large")

// readBody reads a body of at most limit bytes.
func readBody(r *http.Request, limit int) ([]byte, error) {
	size := r.ContentLength
	if size > int64(limit) {
		return nil, errTooLarge
	}
	if size >= 0 {
		body := make([]byte, size)
		_, err := io.ReadFull(r.Body, body)
		if errors.Is(err, io.EOF) && size == 0 {
			err = nil
		}
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		err = errTooLarge
	}
	return body, err
}
