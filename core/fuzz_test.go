package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
)

// fuzzed is a backend for fuzzing: its tools give back what they are given.
func fuzzed(f testing.TB) (*core.Processor, *memoryInbox) {
	p := core.New()
	type echo struct {
		Text string         `json:"text"`
		N    float64        `json:"n,omitempty"`
		More map[string]any `json:"more,omitempty"`
	}
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(_ context.Context, e echo) (any, error) { return e, nil })
	core.AddTool(p, core.Tool{Name: "say", Effect: core.ReadOnly}, func(_ context.Context, e echo) (string, error) { return e.Text, core.Say(e.Text) })
	core.AddTool(p, core.Tool{Name: "book"}, func(_ context.Context, e echo) (string, error) { return e.Text, nil })
	inbox := &memoryInbox{}
	err := p.Bind(core.Platform{Name: "fuzz", Store: coretest.NewMemoryStore(), Inbox: inbox, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}}})
	if err != nil {
		f.Fatal(err)
	}
	return p, inbox
}

func soundResponse(t *testing.T, r core.Response) {
	t.Helper()
	if !slices.Contains([]int{200, 400, 401, 404, 405, 413, 415, 503}, r.Status) {
		t.Fatalf("status %d", r.Status)
	}
	if !utf8.Valid(r.Body) || !json.Valid(r.Body) || bytes.ContainsAny(r.Body, "\r\n") {
		t.Fatalf("the body is no line of JSON: %q", r.Body)
	}
	var reply struct {
		Result  *string
		Results []struct{ Result *string }
	}
	if r.Status == 200 && json.Unmarshal(r.Body, &reply) == nil && reply.Result != nil {
		all := []string{*reply.Result}
		for _, one := range reply.Results {
			if one.Result == nil {
				t.Fatalf("a result is missing: %q", r.Body)
			}
			all = append(all, *one.Result)
		}
		for _, s := range all {
			if strings.ContainsAny(s, "\n\r\v\f\u0085\u2028\u2029\x00") {
				t.Fatalf("a result is not one line: %q", s)
			}
		}
	}
}

// FuzzHandle sends anything as the authenticated sender: paths, queries and bodies of
// events, of tools and of envelopes. What is accepted can be delivered, twice.
func FuzzHandle(f *testing.F) {
	for _, s := range [][3]string{
		{"/events", "", `{"message":{"type":"hang","call":{"id":"CA1"}}}`},
		{"/", "", `{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"a\u2028b"}]}}`},
		{"/events", "", `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[{"id":"a","function":{"name":"look","arguments":"{\"text\":\"x\\ny\"}"}},{"id":"b","function":{"name":"book","arguments":{"text":"` + testSecret + `"}}}]}}`},
		{"/events", "", `{"message":{"type":"function-call","call":{"id":"CA1"},"functionCall":{"name":"say","parameters":{"text":"\ud800"}}}}`},
		{"/tools/look", "call=CA1&n=1", `{"text":"\u0000\u0085","more":{"a":[1e309,null]}}`},
		{"/tools/say", "%zz", `{"text":"a\r\nb"}`},
		{"/tools/book", "", ``},
		{"/tools/%2e%2e", "", `{}`},
		{"/events", "", `{"message":{"type":"end-of-call-report","call":{"id":"CA1"}},"messages":[],"analysis":{"summary":1}}`},
		{"/events", "", `{"message":{},"message":{"type":"hang"}}`},
	} {
		f.Add(s[0], s[1], []byte(s[2]))
	}
	p, inbox := fuzzed(f)
	f.Fuzz(func(t *testing.T, path, query string, body []byte) {
		r := core.Request{Method: "POST", Path: path, Query: query, Body: body, Header: auth.Header{"X-Interactly-Secret": {testSecret}}}
		soundResponse(t, p.Handle(t.Context(), r))
		for _, e := range inbox.take() {
			if bytes.Contains(e.Body, []byte(testSecret)) {
				t.Fatalf("the secret is in what is kept: %q", e.Body)
			}
			for range 2 {
				if err := p.Deliver(t.Context(), e); err != nil {
					t.Fatalf("what was accepted cannot be delivered: %v", err)
				}
			}
		}
	})
}

// FuzzStranger sends whatever comes without the secret: it opens nothing.
func FuzzStranger(f *testing.F) {
	f.Add("/events", "X-Interactly-Secret", "guess", []byte(`{"message":{"type":"hang","call":{"id":"CA1"}}}`))
	f.Add("/tools/look", "Authorization", "Bearer x", []byte(`{"text":"a"}`))
	f.Add("/tools/look", "X-Interactly-Signature", "t=1,v1=ab", []byte(`{"text":"a"}`))
	p, inbox := fuzzed(f)
	f.Fuzz(func(t *testing.T, path, name, value string, body []byte) {
		if strings.Contains(value, testSecret) {
			t.Skip("not a stranger")
		}
		resp := p.Handle(t.Context(), core.Request{Method: "POST", Path: path, Body: body, Header: auth.Header{name: {value}}})
		soundResponse(t, resp)
		if resp.Status == 200 || len(inbox.take()) > 0 {
			t.Fatalf("a stranger was let in with %s: %q", name, value)
		}
		for _, constant := range []string{"unauthorized", "not found", "too large"} {
			if string(resp.Body) == `{"error":"`+constant+`"}` {
				return
			}
		}
		t.Fatalf("a stranger is told %q", resp.Body)
	})
}
