package corehttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// Transport returns the transport of [core.HTTP] over net/http. It keeps connections
// open for later requests, and ignores the environment's proxy variables.
func Transport() core.HTTPTransport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	rt := &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,

		MaxResponseHeaderBytes: 64 << 10,
	}
	return func(ctx context.Context, r core.HTTPRequest) (core.HTTPResponse, error) {
		req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
		if err != nil {
			return core.HTTPResponse{}, &core.HTTPError{Code: "url", NotSent: true}
		}
		setHeader(req, r.Header)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			return core.HTTPResponse{}, httpError(ctx, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, core.MaxHTTPResponseBytes+1))
		switch {
		case err != nil:
			e := httpError(ctx, err)
			e.NotSent = false
			return core.HTTPResponse{}, e
		case len(body) > core.MaxHTTPResponseBytes:
			return core.HTTPResponse{}, &core.HTTPError{Code: "too-large", Status: resp.StatusCode}
		}
		return core.HTTPResponse{Status: resp.StatusCode, Header: auth.Header(resp.Header), Body: body}, nil
	}
}

// setHeader sets the header of a request. With an Idempotency-Key, net/http would
// make a POST again that may have been done, also if the system does not know the
// header. It does not see the name in lower case, which is the same on the wire.
func setHeader(req *http.Request, header map[string]string) {
	for name, value := range header {
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Host":
			req.Host = value
		case "Idempotency-Key", "X-Idempotency-Key":
			req.Header[strings.ToLower(name)] = []string{value}
		default:
			req.Header.Set(name, value)
		}
	}
}

// httpError classifies an error of net/http, whose text may quote the request or
// the response.
func httpError(ctx context.Context, err error) *core.HTTPError {
	dial, _ := errors.AsType[*net.OpError](err)
	notSent := dial != nil && dial.Op == "dial"
	switch {
	case ctx.Err() == context.Canceled:
		return &core.HTTPError{Code: "canceled", NotSent: notSent, Err: context.Canceled}
	case ctx.Err() != nil, isTimeout(err):
		return &core.HTTPError{Code: "timeout", NotSent: notSent, Err: context.DeadlineExceeded}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &core.HTTPError{Code: "dns", NotSent: true}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &core.HTTPError{Code: "tls", NotSent: true}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &core.HTTPError{Code: "tls", NotSent: true}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &core.HTTPError{Code: "refused", NotSent: true}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return &core.HTTPError{Code: "reset"}
	}
	return &core.HTTPError{Code: "other", NotSent: notSent}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
