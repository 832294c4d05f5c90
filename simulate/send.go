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

// Interactly's limits (docs/events.md#delivery, docs/tools.md#budget), and one
// of ours on what is read of a reply.
const (
	requestTimeout = 20 * time.Second // an answer after it counts for nothing
	hangAfter      = 5 * time.Second  // the caller hears silence
	maxReply       = 1 << 20
)

// An answer is what came back of a request.
type answer struct {
	status int
	body   []byte
	took   time.Duration
	err    error // no answer; says nothing of the payload
}

var errTooLong = errors.New("the answer is longer than 1 MB")

// send makes one request, within the limits that Interactly has.
func (p *player) send(ctx context.Context, method, path string, body []byte, secret string) (a answer) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errors.New("nothing came within 20 s"))
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.o.URL+path, r)
	if err != nil {
		return answer{err: plain(ctx, err)}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		req.Header.Set("X-Interactly-Secret", secret)
	}
	start := time.Now()
	resp, err := p.o.Client.Do(req)
	if err != nil {
		return answer{took: time.Since(start), err: plain(ctx, err)}
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	a.took, a.err = time.Since(start), plain(ctx, err)
	if len(a.body) > maxReply && a.err == nil {
		a.body, a.err = nil, errTooLong
	}
	return a
}

// plain leaves the URL out of an error, which holds arguments, and says why
// the context ended.
func plain(ctx context.Context, err error) error {
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

// note keeps count of a request.
func (p *player) note(a answer, line int, kind string, tool bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.result
	if tool {
		r.Tools, r.ToolTimes = r.Tools+1, append(r.ToolTimes, a.took)
	} else {
		r.Events, r.EventTimes = r.Events+1, append(r.EventTimes, a.took)
	}
	r.Steps = append(r.Steps, Played{line, kind, a.status, float64(a.took.Microseconds()) / 1000})
}

// refused sends a request with a wrong secret, which must be told 401.
func (p *player) refused(ctx context.Context, line int, what, method, path string, body []byte) {
	a := p.send(ctx, method, path, body, "wrong-"+p.o.Secret)
	switch {
	case ctx.Err() != nil:
	case a.err != nil:
		p.fail("line %d: %s with a wrong secret: no answer: %v", line, what, a.err)
	case a.status != http.StatusUnauthorized:
		p.fail("line %d: %s with a wrong secret: status %d, want 401", line, what, a.status)
	}
}
