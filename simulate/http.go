package simulate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Interactly's limits (docs/events.md#delivery, docs/tools.md#budget), and our own
// on the size of a reply.
const (
	requestTimeout = 20 * time.Second // a later reply is ignored
	hangAfter      = 5 * time.Second  // the caller hears silence
	maxReply       = 1 << 20
)

// secretHeader carries the secret.
const secretHeader = "X-Interactly-Secret"

// A response is the reply to a request.
type response struct {
	status int
	body   []byte
	took   time.Duration
	err    error // no reply; holds no payload
}

var errTooLong = errors.New("the reply is longer than 1 MB")

// send sends one request, within Interactly's limits.
func (p *player) send(ctx context.Context, method, path string, header map[string]string, body []byte, secret string) (a response) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errors.New("no reply within 20 s"))
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.o.URL+path, r)
	if err != nil {
		return response{err: withoutURL(ctx, err)}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	if secret != "" {
		req.Header.Set(secretHeader, secret)
	}
	start := time.Now()
	resp, err := p.o.Client.Do(req)
	if err != nil {
		return response{took: time.Since(start), err: withoutURL(ctx, err)}
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	a.took, a.err = time.Since(start), withoutURL(ctx, err)
	if len(a.body) > maxReply && a.err == nil {
		a.body, a.err = nil, errTooLong
	}
	return a
}

// withoutURL returns err without the URL, which holds arguments, or the reason
// why the context ended.
func withoutURL(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// record adds a request to the result.
func (p *player) record(a response, line int, kind string, tool bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.result
	sent, times := &r.Events, &r.EventTimes
	if tool {
		sent, times = &r.Tools, &r.ToolTimes
	}
	*sent++
	if a.err == nil { // a refused connection is quick, and no reply
		*times = append(*times, a.took)
	}
	r.Steps = append(r.Steps, StepResult{line, kind, a.status, float64(a.took.Microseconds()) / 1000})
}

// sendForged sends a request with a wrong secret, which must be answered 401.
func (p *player) sendForged(ctx context.Context, line int, what, method, path string, header map[string]string, body []byte) {
	a := p.send(ctx, method, path, header, body, "wrong-"+p.o.Secret)
	switch {
	case ctx.Err() != nil:
	case a.err != nil:
		p.fail(line, "%s with a wrong secret: no reply: %v", what, a.err)
	case a.status != http.StatusUnauthorized:
		p.fail(line, "%s with a wrong secret: status %d, want 401", what, a.status)
	}
}
