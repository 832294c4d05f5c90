package cloudflare

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
)

// fakeFetch is what JavaScript answers to a fetch.
type fakeFetch func(op operation, body []byte) (result, []byte)

func (f fakeFetch) Do(ctx context.Context, frame []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var op operation
	body, err := decodeFrame(frame, &op)
	if err != nil {
		return nil, err
	}
	out, answer := f(op, body)
	return encodeFrame(out, answer)
}

func TestHTTP(t *testing.T) {
	var op operation
	var body string
	b := fakeFetch(func(o operation, sent []byte) (result, []byte) {
		op, body = o, string(sent)
		return result{Status: 201, Header: [][2]string{{"a", "1"}, {"a", "2"}}}, []byte("{}")
	})
	client := core.HTTP(core.WithHTTP(t.Context(), transport(b)))
	resp, err := client.Do(core.HTTPRequest{URL: "https://pms.test/book", Body: []byte("x"), Header: map[string]string{"X-Key": "k"}})
	if err != nil || resp.Status != 201 || len(resp.Header.Values("A")) != 2 || string(resp.Body) != "{}" {
		t.Errorf("%+v, %v", resp, err)
	}
	if op.Op != "fetch" || op.Method != "POST" || op.URL != "https://pms.test/book" || op.Limit != core.MaxHTTPResponseBytes || body != "x" || len(op.Header) != 1 {
		t.Errorf("%+v %q", op, body)
	}
}

func TestHTTPErrors(t *testing.T) {
	code := ""
	b := fakeFetch(func(operation, []byte) (result, []byte) { return result{Error: code}, nil })
	for _, code = range []string{"timeout", "limit", "too-large", "reset", "other"} {
		_, err := core.HTTP(core.WithHTTP(t.Context(), transport(b))).Do(core.HTTPRequest{URL: "https://pms.test/?canary"})
		if e, ok := errors.AsType[*core.HTTPError](err); !ok || e.Code != code || e.NotSent || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", code, err)
		}
	}
	ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), errors.New("the reply is due"))
	defer cancel()
	if _, err := core.HTTP(core.WithHTTP(ctx, transport(b))).Do(core.HTTPRequest{URL: "https://pms.test/"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := core.HTTP(core.WithHTTP(t.Context(), transport(nil))).Do(core.HTTPRequest{URL: "https://pms.test/"}); err == nil {
		t.Error("outside of a Worker there is a response")
	}
}

// workerd's own fetch follows no redirect by itself, and stops at the limit.
func TestHTTPInWorkerd(t *testing.T) {
	w := startWorkerd(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was followed with %v", r.URL, r.Header)
	}))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(out, r, elsewhere.URL, http.StatusFound)
		case "/near":
			http.Redirect(out, r, "/echo", http.StatusFound)
		case "/large":
			_, _ = io.Copy(out, strings.NewReader(strings.Repeat("x", core.MaxHTTPResponseBytes+1)))
		default:
			body, _ := io.ReadAll(r.Body)
			out.Header().Set("X-Seen", r.Method+" "+r.Header.Get("Idempotency-Key"))
			_, _ = out.Write(body)
		}
	}))
	defer srv.Close()
	client := core.HTTP(core.WithHTTP(t.Context(), transport(w)))
	for _, c := range []struct {
		r            core.HTTPRequest
		status       int
		seen, answer string
	}{
		{core.HTTPRequest{URL: srv.URL + "/echo", JSON: "ü", Header: map[string]string{"Idempotency-Key": "k1"}}, 200, "POST k1", `"ü"`},
		{core.HTTPRequest{URL: srv.URL + "/away"}, 302, "", ""},
		{core.HTTPRequest{URL: srv.URL + "/near"}, 200, "GET", ""},
	} {
		resp, err := client.Do(c.r)
		if err != nil || resp.Status != c.status || resp.Header.Get("X-Seen") != c.seen || c.answer != "" && string(resp.Body) != c.answer {
			t.Errorf("%s: %d %v %q, %v", c.r.URL, resp.Status, resp.Header, resp.Body, err)
		}
	}
	_, err := client.Do(core.HTTPRequest{URL: srv.URL + "/large"})
	if e, ok := errors.AsType[*core.HTTPError](err); !ok || e.Code != "too-large" {
		t.Errorf("too large: %v", err)
	}
}
