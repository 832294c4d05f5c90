// Package interactly is a client of Interactly's own API: what it knows of
// calls. A backend uses it to repair what was never sent, because events are
// sent once (docs/events.md#delivery).
//
//	c, err := interactly.New(os.Getenv("INTERACTLY_API_KEY"), nil)
//	call, err := c.Call(ctx, "CA7c0f3b9e51d24a86b3f0a91d6e2c4478")
//	if errors.Is(err, interactly.ErrNotFound) { ... }
//
// Every request has a deadline, and a method has a budget for all its tries
// together. What may pass is tried again, after pauses that grow and are
// random, or as long as the API asks for. Errors hold neither the key nor
// anything that was answered. Answers are read tolerantly: fields that are not
// known are kept in [Call.Raw], fields that are missing are zero.
package interactly

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// DefaultURL is Interactly's API (docs/backfill.md#api).
const DefaultURL = "https://api-prod.interactly.ai"

// Options change a Client. The zero value of each field means its default.
type Options struct {
	// URL is the API's root: https, or http on a loopback address. Default:
	// DefaultURL.
	URL string

	// Try bounds one request, from the dial to the last byte of its answer.
	// Default 10 s.
	Try time.Duration

	// Budget bounds one request with all its repetitions and the pauses
	// between them. Default 30 s.
	Budget time.Duration

	// Tries is how often a request is made at most. Default 4.
	Tries int

	// MaxAnswer is the most bytes of an answer that are read. Default 16 MiB.
	MaxAnswer int64

	// Transport makes the requests. Default: one of its own, which goes
	// through the proxy that the environment names.
	Transport http.RoundTripper
}

// A Client asks Interactly's API. It is safe for concurrent use.
type Client struct {
	root *url.URL
	key  string
	http *http.Client
	o    Options
}

// New returns a client that proves itself with the API key. It makes no
// request. It fails when there is no key, or when the key would be sent in
// clear to another machine.
func New(key string, o *Options) (*Client, error) {
	var with Options
	if o != nil {
		with = *o
	}
	with.URL = cmp.Or(with.URL, DefaultURL)
	with.Try = cmp.Or(with.Try, 10*time.Second)
	with.Budget = cmp.Or(with.Budget, 30*time.Second)
	with.Tries = cmp.Or(with.Tries, 4)
	with.MaxAnswer = cmp.Or(with.MaxAnswer, 16<<20)
	if with.Transport == nil {
		with.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	}
	key = strings.TrimSpace(key)
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("interactly: no API key, or none that a header can hold")
	}
	root, err := url.Parse(strings.TrimRight(with.URL, "/"))
	switch {
	case err != nil || root.Host == "" || root.User != nil || root.RawQuery != "" || root.Fragment != "":
		return nil, errors.New("interactly: the API's URL is its root, such as " + DefaultURL)
	case root.Scheme != "https" && (root.Scheme != "http" || !isLoopback(root.Hostname())):
		return nil, errors.New("interactly: the API's URL must be https, because the key is sent there")
	}
	return &Client{root: root, key: key, o: with, http: &http.Client{
		Transport: with.Transport,
		// The key is for one host only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get makes a request until it is answered, and returns what read makes of the
// answer. An answer that read refuses was cut off or garbled on the way, so it
// is asked for again.
func get[T any](ctx context.Context, c *Client, path string, query url.Values, read func([]byte) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Budget, errBudget)
	defer cancel()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 250*time.Millisecond, 8*time.Second
	var last error // of a try; a spent budget is not the reason
	v, err := backoff.Retry(ctx, func() (T, error) {
		body, err := c.try(ctx, path, query)
		var v T
		if err == nil {
			v, err = read(body)
		}
		e, typed := errors.AsType[*Error](err)
		switch {
		case err == nil:
			return v, nil
		case !typed || e.temporary():
			last = err
			if typed && e.RetryAfter > 0 {
				err = errors.Join(err, &backoff.RetryAfterError{Duration: e.RetryAfter})
			}
			return v, err
		}
		last = err
		return v, backoff.Permanent(err)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(uint(c.o.Tries)), backoff.WithMaxElapsedTime(c.o.Budget))
	if err != nil && last != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		err = last
	}
	return v, err
}

var errBudget = errors.New("interactly: no answer within the budget")

// try makes one request.
func (c *Client) try(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Try)
	defer cancel()
	target := c.root.String() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, &Error{kind: errBadRequest}
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{kind: ErrUnreachable, timeout: ctx.Err() != nil} // the URL in its text holds an id
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// What it says may quote what was asked for.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return nil, &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()), kind: kindOf(resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxAnswer+1))
	switch {
	case err != nil:
		return nil, &Error{kind: ErrUnreachable, timeout: ctx.Err() != nil}
	case int64(len(body)) > c.o.MaxAnswer:
		return nil, &Error{kind: ErrTooLarge}
	}
	return body, nil
}

// retryAfter reads both forms of the header. A time that is past, or none, is 0.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// day is how the API takes times (docs/backfill.md#api).
func day(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func page(n int) string { return strconv.Itoa(n) }
