package core

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/auth"
)

const (
	// MaxHTTPResponseBytes is the size of the largest body of a response; a longer
	// one is an error.
	MaxHTTPResponseBytes = 4 << 20

	// defaultHTTPTimeout bounds a request whose context has no deadline.
	defaultHTTPTimeout = 30 * time.Second

	// maxRedirects is how many redirects are followed.
	maxRedirects = 5
)

// ErrNoHTTP is returned if a context is not that of a tool, a handler or a start
// check, or if the platform has no HTTP client.
var ErrNoHTTP = errors.New("core: this context has no HTTP client; see core.WithHTTP")

// An HTTPRequest is a request to another system.
type HTTPRequest struct {
	Method string // default: GET, or POST if there is a body
	URL    string // http:// or https://
	Header map[string]string

	// Body is sent as it is. If JSON is not nil, it is encoded and sent instead,
	// with Content-Type: application/json.
	Body []byte
	JSON any
}

// An HTTPResponse is its answer. A status that is not 2xx is not an error.
type HTTPResponse struct {
	Status int
	Header auth.Header
	Body   []byte

	host string // for errors
}

// JSON decodes the body into v, a pointer. It returns an [HTTPError] if the status
// is not 2xx, or if the body is not JSON for v. If v is nil the body is ignored.
func (r HTTPResponse) JSON(v any) error {
	if r.Status < 200 || r.Status > 299 {
		return &HTTPError{Host: r.host, Code: "status", Status: r.Status}
	}
	if v != nil && json.Unmarshal(r.Body, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return &HTTPError{Host: r.host, Code: "json", Status: r.Status}
	}
	return nil
}

// An HTTPTransport makes one request on a platform. It follows no redirect, and
// returns an [HTTPError] without a Host if there is no response, or one with more
// than [MaxHTTPResponseBytes]. It is safe for concurrent use.
type HTTPTransport func(ctx context.Context, r HTTPRequest) (HTTPResponse, error)

// An HTTPError is a request without a usable response. Its text has the host, and
// nothing else of the request or the response.
type HTTPError struct {
	Host string

	// Code is what happened: "timeout", "canceled", "dns", "refused", "tls",
	// "reset", "limit" (a platform's), "too-large", "url", "encoding", "status",
	// "json" or "other".
	Code   string
	Status int // of the response, 0 if there was none

	// NotSent reports that the request was not sent, so that nothing was changed.
	// If it is false, nobody knows.
	NotSent bool

	Err error // the context's error, or nil
}

// Error returns the host and the code.
func (e *HTTPError) Error() string {
	what := e.Code
	if e.Code == "status" {
		what += " " + strconv.Itoa(e.Status)
	}
	return "core: HTTP request to " + cmp.Or(e.Host, "another system") + ": " + what
}

// Unwrap returns the context's error.
func (e *HTTPError) Unwrap() error { return e.Err }

// ErrorCode returns what may be logged.
func (e *HTTPError) ErrorCode() string { return "http." + e.Code }

// An HTTPClient makes requests for one tool call or one event: see [HTTP].
type HTTPClient struct {
	ctx context.Context // HTTP(ctx) reads better than passing it twice
}

// HTTP returns the client of the platform, which works on all of them, Workers
// included. Its requests end with ctx, so a tool's budget is their deadline.
//
//	resp, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "https://pms.example.com/slots?day=" + day})
//	if err != nil {
//		return nil, err
//	}
//	var slots []Slot
//	err = resp.JSON(&slots)
//	return slots, err
//
// Unless the request has these headers already, it gets the Traceparent of the
// request that is being answered, and, in a tool that changes something, an
// Idempotency-Key. That is the key of the [Invocation] for the first request that is
// not a GET or HEAD; the same request gets the same key again, and another one of the
// same run the key with a number, "-2" and so on.
//
// Redirects are followed for GET and HEAD, and only to the same scheme and host: any
// other is the response. Neither cookies nor proxy variables of the environment are
// used.
func HTTP(ctx context.Context) HTTPClient { return HTTPClient{ctx} }

// Do makes a request and reads the whole response.
func (c HTTPClient) Do(r HTTPRequest) (HTTPResponse, error) {
	out, _ := c.ctx.Value(outgoingKey{}).(*outgoing)
	if out == nil || out.transport == nil {
		return HTTPResponse{}, ErrNoHTTP
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return HTTPResponse{}, &HTTPError{Code: "url", NotSent: true}
	}
	if r, err = out.complete(c.ctx, r); err != nil {
		return HTTPResponse{}, &HTTPError{Host: u.Host, Code: "encoding", NotSent: true}
	}
	ctx, cancel := c.ctx, context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, defaultHTTPTimeout)
	}
	defer cancel()
	for hops := 0; ; hops++ {
		resp, err := out.transport(ctx, r)
		if err != nil {
			return HTTPResponse{}, withHost(err, u.Host)
		}
		resp.host = u.Host
		next := redirected(r.Method, u, resp)
		if next == nil || hops == maxRedirects {
			return resp, nil
		}
		u, r.URL = next, next.String()
	}
}

// withHost returns an error of a transport with the host. The text of any other
// error may quote the request.
func withHost(err error, host string) error {
	e, ok := errors.AsType[*HTTPError](err)
	if !ok {
		e = &HTTPError{Code: "other"}
	}
	e.Host = host
	return e
}

// redirected returns where a response redirects to, nil if that is not followed.
func redirected(method string, from *url.URL, r HTTPResponse) *url.URL {
	switch r.Status {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	to := r.Header.Get("Location")
	if to == "" || method != "GET" && method != "HEAD" {
		return nil
	}
	next, err := from.Parse(to)
	if err != nil || next.Scheme != from.Scheme || !strings.EqualFold(next.Host, from.Host) {
		return nil
	}
	return next
}
