// Package corehttp puts a [core.Processor] behind net/http: the translation
// that every platform with a Go HTTP server shares. The core itself knows no
// net/http, so that it stays small where there is none.
package corehttp

import (
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// Head returns what is known of a request before its body is read.
func Head(r *http.Request) core.Request {
	return core.Request{
		Method: r.Method,
		Path:   r.URL.EscapedPath(),
		Query:  r.URL.RawQuery,
		Header: auth.Header(r.Header),
		Remote: r.RemoteAddr,
	}
}

// Handler answers requests with p. Bodies reach p byte for byte; one that is
// too large is read no further than it takes to know, and a stranger's not at
// all.
func Handler(p *core.Processor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := Head(r)
		if p.WantsBody(req) {
			var err error
			req.Body, err = readBody(r, p.MaxBodyBytes())
			if errors.Is(err, os.ErrDeadlineExceeded) { // it comes too slowly for what is going on here
				w.Header().Set("Retry-After", "1")
				http.Error(w, `{"error":"try again"}`, http.StatusServiceUnavailable)
				return
			}
			if err != nil {
				// It was cut off: there is nobody to read an answer, and nothing
				// that could be kept.
				http.Error(w, `{"error":"bad request"}`, http.StatusBadRequest)
				return
			}
		}
		resp := p.Handle(r.Context(), req)
		for _, f := range resp.Header {
			w.Header().Add(f.Name, f.Value)
		}
		w.WriteHeader(resp.Status)
		// The sender may be gone; what was decided stands all the same.
		_, _ = w.Write(resp.Body)
	})
}

// readBody reads at most one byte more than limit.
func readBody(r *http.Request, limit int) ([]byte, error) {
	size := r.ContentLength
	if size > int64(limit) {
		return make([]byte, limit+1), nil // its length is all that will be looked at
	}
	if size >= 0 {
		body := make([]byte, size)
		_, err := io.ReadFull(r.Body, body)
		if errors.Is(err, io.EOF) && size == 0 {
			err = nil
		}
		return body, err
	}
	return io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
}
