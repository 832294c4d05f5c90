package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/event"
)

// A sentRequest is what a transport was given.
type sentRequest struct {
	core.HTTPRequest
	deadline time.Time
}

// transportOf answers each request, and returns what was sent.
func transportOf(answer func(core.HTTPRequest) (core.HTTPResponse, error)) (core.HTTPTransport, *[]sentRequest) {
	sent := new([]sentRequest)
	return func(ctx context.Context, r core.HTTPRequest) (core.HTTPResponse, error) {
		at, _ := ctx.Deadline()
		*sent = append(*sent, sentRequest{r, at})
		return answer(r)
	}, sent
}

func ok(core.HTTPRequest) (core.HTTPResponse, error) { return core.HTTPResponse{Status: 200}, nil }

const incomingTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// A tool's requests end with its budget, and carry the trace and the key of its run.
func TestHTTPInATool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, sent := transportOf(ok)
		var key string
		var due time.Time
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "book"}, func(ctx context.Context, _ struct{}) (string, error) {
				inv, _ := core.InvocationFromContext(ctx)
				key = inv.IdempotencyKey
				due, _ = ctx.Deadline()
				for _, r := range []core.HTTPRequest{
					{URL: "https://pms.test/slots"},
					{URL: "https://pms.test/book", JSON: map[string]int{"n": 1}},
					{URL: "https://pms.test/book", JSON: map[string]int{"n": 1}}, // the same again
					{URL: "https://pms.test/book", JSON: map[string]int{"n": 2}},
					{Method: "delete", URL: "https://pms.test/hold", Header: map[string]string{"idempotency-key": "mine", "traceparent": "none"}},
				} {
					if _, err := core.HTTP(ctx).Do(r); err != nil {
						return "", err
					}
				}
				return "Booked.", nil
			})
		}, func(on *core.Platform) { on.HTTP = transport })
		b.Handle(t.Context(), core.Request{Method: "POST", Path: "/tools/book", Query: "call=CA1", Body: []byte("{}"),
			Header: auth.Header{"X-Interactly-Secret": {testSecret}, "traceparent": {incomingTrace}}})
		if len(*sent) != 5 || key == "" {
			t.Fatalf("%d requests, key %q", len(*sent), key)
		}
		for i, want := range []struct{ method, key, trace, body string }{
			{"GET", "", incomingTrace, ""},
			{"POST", key, incomingTrace, `{"n":1}`},
			{"POST", key, incomingTrace, `{"n":1}`},
			{"POST", key + "-2", incomingTrace, `{"n":2}`},
			{"DELETE", "", "", ""},
		} {
			r := (*sent)[i]
			if r.Method != want.method || r.Header["Idempotency-Key"] != want.key || r.Header["Traceparent"] != want.trace || string(r.Body) != want.body || !r.deadline.Equal(due) {
				t.Errorf("request %d: %+v, want %+v by %v", i, r, want, due)
			}
		}
	})
}

// A handler has the client as well, also at the end of a call; a header that is not
// a trace is not handed on.
func TestHTTPInHandlers(t *testing.T) {
	transport, sent := transportOf(ok)
	b := newBackend(t, func(p *core.Processor) {
		p.OnEvent(func(ctx context.Context, _ event.Event) error {
			_, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "http://crm.test/", Body: []byte("x")})
			return err
		})
		core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
			_, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "http://crm.test/look"})
			return "", err
		})
	}, func(on *core.Platform) { on.HTTP = transport })
	head := auth.Header{"X-Interactly-Secret": {testSecret}, "Traceparent": {"00-canary"}}
	b.Handle(t.Context(), core.Request{Method: "POST", Path: "/events", Header: head, Body: []byte(`{"message":{"type":"hang","call":{"id":"CA1"}}}`)})
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	b.Handle(t.Context(), core.Request{Method: "POST", Path: "/tools/look", Header: head, Body: []byte(`{}`)})
	if len(*sent) != 2 {
		t.Fatalf("%d requests", len(*sent))
	}
	for _, r := range *sent {
		if len(r.Header) != 0 {
			t.Errorf("%s: %v", r.URL, r.Header)
		}
	}
}

func TestHTTPRedirects(t *testing.T) {
	for _, c := range []struct {
		method, to string
		status     int
		want       []string
	}{
		{"GET", "/b?x=1", 302, []string{"https://a.test/", "https://a.test/b?x=1"}},
		{"HEAD", "https://A.test/b", 308, []string{"https://a.test/", "https://A.test/b"}},
		{"POST", "/b", 307, []string{"https://a.test/"}},
		{"GET", "https://b.test/", 302, []string{"https://a.test/"}},
		{"GET", "http://a.test/", 301, []string{"https://a.test/"}},
		{"GET", "//b.test/", 303, []string{"https://a.test/"}},
		{"GET", "", 302, []string{"https://a.test/"}},
		{"GET", "/", 302, slices.Repeat([]string{"https://a.test/"}, 6)},
	} {
		transport, sent := transportOf(func(r core.HTTPRequest) (core.HTTPResponse, error) {
			if strings.Contains(r.URL, "/b") && strings.Contains(strings.ToLower(r.URL), "a.test") {
				return core.HTTPResponse{Status: 200}, nil
			}
			return core.HTTPResponse{Status: c.status, Header: auth.Header{"location": {c.to}}}, nil
		})
		_, err := core.HTTP(core.WithHTTP(t.Context(), transport)).Do(core.HTTPRequest{Method: c.method, URL: "https://a.test/", Header: map[string]string{"Authorization": "x"}})
		var got []string
		for _, r := range *sent {
			got = append(got, r.URL)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s to %q: %q, %v", c.method, c.to, got, err)
		}
	}
}

// No error quotes more of the request or of the response than the host.
func TestHTTPErrors(t *testing.T) {
	const secret = "canary"
	response := core.HTTPResponse{Status: 503, Body: []byte(`{"note":"canary"}`)}
	for name, c := range map[string]struct {
		url    string
		json   any
		answer error
		want   core.HTTPError
	}{
		"a URL that is none":          {url: "https://pms.test:canary/", want: core.HTTPError{Code: "url", NotSent: true}},
		"another scheme":              {url: "file:///canary", want: core.HTTPError{Code: "url", NotSent: true}},
		"JSON that cannot be encoded": {url: "https://pms.test/?canary", json: func() {}, want: core.HTTPError{Host: "pms.test", Code: "encoding", NotSent: true}},
		"a transport's error":         {url: "https://u:canary@pms.test:81/?canary", answer: &core.HTTPError{Code: "refused", NotSent: true}, want: core.HTTPError{Host: "pms.test:81", Code: "refused", NotSent: true}},
		"any other error":             {url: "https://pms.test/", answer: errors.New("canary"), want: core.HTTPError{Host: "pms.test", Code: "other"}},
		"a status":                    {url: "https://pms.test/?canary", want: core.HTTPError{Host: "pms.test", Code: "status", Status: 503}},
	} {
		transport, _ := transportOf(func(core.HTTPRequest) (core.HTTPResponse, error) { return response, c.answer })
		resp, err := core.HTTP(core.WithHTTP(t.Context(), transport)).Do(core.HTTPRequest{URL: c.url, JSON: c.json})
		if err == nil {
			err = resp.JSON(new(struct{}))
		}
		e, ok := errors.AsType[*core.HTTPError](err)
		if !ok || *e != c.want || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want %+v", name, err, c.want)
		}
	}
	transport, _ := transportOf(func(core.HTTPRequest) (core.HTTPResponse, error) {
		return core.HTTPResponse{Status: 200, Body: response.Body}, nil
	})
	resp, _ := core.HTTP(core.WithHTTP(t.Context(), transport)).Do(core.HTTPRequest{URL: "https://pms.test/"})
	if err := resp.JSON(new([]int)); err == nil || strings.Contains(err.Error(), secret) || !strings.HasSuffix(err.Error(), "pms.test: json") {
		t.Error(err)
	}
	if _, err := core.HTTP(t.Context()).Do(core.HTTPRequest{URL: "https://pms.test/"}); !errors.Is(err, core.ErrNoHTTP) {
		t.Error(err)
	}
}

// A tool is tested with a transport of the test's.
func ExampleWithHTTP() {
	type slot struct{ Time string }
	slots := func(ctx context.Context) (all []slot, err error) {
		resp, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "https://pms.example.com/slots"})
		if err != nil {
			return nil, err
		}
		err = resp.JSON(&all)
		return all, err
	}

	ctx := core.WithHTTP(context.Background(), func(_ context.Context, r core.HTTPRequest) (core.HTTPResponse, error) {
		return core.HTTPResponse{Status: 200, Body: []byte(`[{"Time":"09:00"}]`)}, nil
	})
	fmt.Println(slots(ctx))
	// Output: [{09:00}] <nil>
}
