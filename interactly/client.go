// Package interactly is a client of Interactly's calls API. It only reads calls;
// it starts, changes and controls none. A backend uses it to recover events that
// did not arrive, because Interactly sends an event only once
// (docs/events.md#delivery).
//
//	c, err := interactly.New(os.Getenv("INTERACTLY_API_KEY"), nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	call, err := c.Call(ctx, "CA7c0f3b9e51d24a86b3f0a91d6e2c4478")
//	if errors.Is(err, interactly.ErrNotFound) {
//		return nil
//	}
//
// Every request has a deadline, and so has a method with all its attempts.
// Transient failures are retried after random, growing pauses, or after the
// Retry-After of the response. Errors hold neither the key nor anything of a
// response. Responses are read tolerantly: unknown fields are in [Call.Raw],
// missing fields are zero.
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

// Limits of a request.
const (
	requestTimeout   = 10 * time.Second // of one attempt, until the last byte of its response
	totalTimeout     = 30 * time.Second // of all attempts and the pauses between them
	maxAttempts      = 4
	maxResponseBytes = 16 << 20
)

// Options configure a Client. The zero value of a field means its default.
type Options struct {
	// URL is the API's root: https, or http on a loopback address. Default:
	// DefaultURL.
	URL string

	// Transport sends the requests. Default: one that uses the proxy of the
	// environment.
	Transport http.RoundTripper
}

// A Client sends requests to Interactly's API. It is safe for concurrent use.
type Client struct {
	root *url.URL
	key  string
	http *http.Client
}

// New returns a client that authenticates with the API key. It sends no request.
// It returns an error if the key is missing or invalid, or would be sent in
// plaintext to another machine.
func New(key string, o *Options) (*Client, error) {
	var with Options
	if o != nil {
		with = *o
	}
	with.URL = cmp.Or(with.URL, DefaultURL)
	if with.Transport == nil {
		with.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	}
	key = strings.TrimSpace(key)
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("interactly: the API key is missing or not valid in a header")
	}
	root, err := url.Parse(strings.TrimRight(with.URL, "/"))
	switch {
	case err != nil || root.Host == "" || root.User != nil || root.RawQuery != "" || root.Fragment != "":
		return nil, errors.New("interactly: the API's URL must be its root, such as " + DefaultURL)
	case root.Scheme != "https" && (root.Scheme != "http" || !isLoopback(root.Hostname())):
		return nil, errors.New("interactly: the API's URL must be https, because the key is sent there")
	}
	return &Client{root: root, key: key, http: &http.Client{
		Transport: with.Transport,
		// The key must reach no other host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get sends a request until it succeeds, and returns what read decodes. A response
// that read rejects was truncated or garbled on the way, so it is retried too.
func get[T any](ctx context.Context, c *Client, path string, query url.Values, read func([]byte) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, totalTimeout, errTimeout)
	defer cancel()
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 250*time.Millisecond, 8*time.Second
	var last error // of an attempt: the reason is not that the time is up
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
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxAttempts), backoff.WithMaxElapsedTime(totalTimeout))
	if err != nil && last != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		err = last
	}
	return v, err
}

var errTimeout = errors.New("interactly: no response in time")

// try sends one request.
func (c *Client) try(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
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
		return nil, &Error{kind: ErrUnreachable, timeout: ctx.Err() != nil} // its text holds the URL, which holds an id
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// The body may quote the request.
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return nil, &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()), kind: kindOf(resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	switch {
	case err != nil:
		return nil, &Error{kind: ErrUnreachable, timeout: ctx.Err() != nil}
	case len(body) > maxResponseBytes:
		return nil, &Error{kind: ErrTooLarge}
	}
	return body, nil
}

// retryAfter parses both forms of the header. It returns 0 if it is missing or in
// the past.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// formatTime formats t as the API expects (docs/backfill.md#api).
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
