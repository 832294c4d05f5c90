package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
	"pgregory.net/rapid"
)

// T6: the calls of one request have their own outcomes. What changes something
// runs in the order in which it was asked for, reads side by side, all in one
// budget.
func TestCallsOfOneRequest(t *testing.T) {
	const notStarted = "That has not been started, and nothing was changed. Ask again in a moment."
	type call struct{ name, result string }
	for _, c := range []struct {
		name  string
		calls []call
		took  time.Duration
	}{
		{"side effects one after the other", []call{{"fine", "Fine."}, {"fine", "Fine."}, {"fine", "Fine."}}, 3 * time.Second},
		{"reads side by side", []call{{"look", "Seen."}, {"look", "Seen."}, {"look", "Seen."}}, time.Second},
		{"each with its own outcome", []call{{"fine", "Fine."}, {"panics", "It is not certain whether that went through. Do not try it again; ask the caller to check with the office."},
			{"unknown", "There is no such tool here."}, {"strict", `The argument \"date\" is missing.`}, {"fine", "Fine."}}, 2 * time.Second},
		{"a read sees what was changed before it", []call{{"fine", "Fine."}, {"look", "Seen."}, {"fine", "Fine."}}, 2 * time.Second},
		{"nothing overtakes what is late", []call{{"slow", "That is still being worked on. Ask the caller for a moment, then ask again."}, {"fine", notStarted}, {"panics", notStarted}, {"unknown", "There is no such tool here."}}, 4 * time.Second},
		{"one budget", []call{{"fine", "Fine."}, {"fine", "Fine."}, {"fine", "Fine."}, {"slow", "That is still being worked on. Ask the caller for a moment, then ask again."}, {"fine", notStarted}, {"look", notStarted}}, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, func(p *core.Processor) {
					type n struct {
						N int `json:"n,omitempty"`
					}
					core.AddTool(p, core.Tool{Name: "fine"}, func(context.Context, n) (string, error) { time.Sleep(time.Second); return "Fine.", nil })
					core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, n) (string, error) { time.Sleep(time.Second); return "Seen.", nil })
					core.AddTool(p, core.Tool{Name: "panics"}, func(context.Context, n) (string, error) { panic("canary") })
					core.AddTool(p, core.Tool{Name: "slow"}, func(ctx context.Context, _ n) (string, error) { <-ctx.Done(); return "", ctx.Err() })
					core.AddTool(p, core.Tool{Name: "strict"}, func(context.Context, booking) (string, error) { return "Booked.", nil })
				})
				var calls, want []string
				for i, a := range c.calls {
					calls = append(calls, fmt.Sprintf(`{"id":"id%d","function":{"name":%q,"arguments":{"n":%d}}}`, i, a.name, i))
					want = append(want, fmt.Sprintf(`{"toolCallId":"id%d","name":%q,"result":"%s"}`, i, a.name, a.result))
				}
				start := time.Now()
				r := b.Handle(t.Context(), request("POST", "/events", `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[`+strings.Join(calls, ",")+`]}}`))
				if !strings.HasSuffix(string(r.Body), `"results":[`+strings.Join(want, ",")+`]}`) || r.Status != 200 {
					t.Errorf("%d %s\nwant …%s", r.Status, r.Body, want)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if strings.Contains(b.logs.String(), "canary") {
					t.Error("the log holds what the panic said")
				}
				if err := b.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Of many calls in one request only some are answered, and a few run at a time.
func TestCallsOfOneRequestAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return "Seen.", nil
			})
		})
		start := time.Now()
		calls := strings.Repeat(`{"id":"x","function":{"name":"look","arguments":{}}},`, 499) + `{"id":"x","function":{"name":"look","arguments":{}}}`
		r := b.Handle(t.Context(), request("POST", "/events", `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[`+calls+`]}}`))
		seen, refused := strings.Count(string(r.Body), `"result":"Seen."`), strings.Count(string(r.Body), `"result":"That is too much at once`)
		if seen != 32 || refused != 468 || most != 16 || time.Since(start) != 2*time.Second {
			t.Errorf("%d answered, %d refused, %d at a time, after %v", seen, refused, most, time.Since(start))
		}
	})
}

// T18, T25: whatever a tool returns, one line of valid text is sent.
func TestResultIsOneLine(t *testing.T) {
	var result any
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "echo", Effect: core.ReadOnly}, func(context.Context, struct{}) (any, error) { return result, nil })
	})
	check := func(t *rapid.T) {
		got := rapidSaid(t, b.Handle(context.Background(), request("POST", "/tools/echo", "{}")))
		if len(got) > core.MaxResultBytes || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }) {
			t.Fatalf("result %.80q of %d bytes", got, len(got))
		}
		result = got
		if again := rapidSaid(t, b.Handle(context.Background(), request("POST", "/tools/echo", "{}"))); again != got {
			t.Fatalf("not the same again: %.80q, then %.80q", got, again)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		result = rapid.String().Draw(t, "text")
		if rapid.Bool().Draw(t, "bytes") {
			result = string(rapid.SliceOf(rapid.Byte()).Draw(t, "any"))
		}
		check(t)
	})
	rapid.Check(t, func(t *rapid.T) {
		result = strings.Repeat(rapid.StringN(1, 3, -1).Draw(t, "text"), rapid.IntRange(1, 40_000).Draw(t, "n"))
		check(t)
	})
	for _, c := range []struct {
		result any
		want   string
	}{
		{"two\nlines\r\n\tand\u2028more", "two lines and more"},
		{map[string]any{"slots": []string{"09:00", "11:15"}, "date": "2026-07-21"}, `{"date":"2026-07-21","slots":["09:00","11:15"]}`},
		{time.Minute, "1m0s"}, // a fmt.Stringer
		{nil, "There is nothing to report."},
		{"", "There is nothing to report."},
		{(*string)(nil), "There is nothing to report."},
		{(*time.Time)(nil), "There is nothing to report."},
		{(*struct{ A int })(nil), "There is nothing to report."},
		{struct{}{}, "There is nothing to report."},
		{reply("Named."), "Named."},
		{new(" \n"), "There is nothing to report."},
		{new("Pointed at."), "Pointed at."},
		{[]string(nil), "[]"},
		{42, "42"},
		{func() {}, "Sorry, that did not work just now. Offer to take a message for the office."},
		{strings.Repeat("ü", core.MaxResultBytes), strings.Repeat("ü", (core.MaxResultBytes-6)/2) + " [cut]"},
	} {
		result = c.result
		if got := b.call("/tools/echo", "{}"); got != c.want {
			t.Errorf("%T: said %.80q, want %.80q", c.result, got, c.want)
		}
	}
}

type reply string

// What changes something and returns nothing has been done.
func TestNothingReturned(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "text"}, func(context.Context, struct{}) (string, error) { return "", nil })
		core.AddTool(p, core.Tool{Name: "pointer"}, func(context.Context, struct{}) (*booking, error) { return nil, nil })
		core.AddTool(p, core.Tool{Name: "no"}, func(context.Context, struct{}) (string, error) { return "", core.Say(" ") })
	})
	for path, want := range map[string]string{"text": "Done.", "pointer": "Done.", "no": "Sorry, that did not work just now. Offer to take a message for the office."} {
		if got := b.call("/tools/"+path, "{}"); got != want {
			t.Errorf("%s: said %q, want %q", path, got, want)
		}
	}
}

func rapidSaid(t *rapid.T, r core.Response) string {
	_, rest, ok := strings.Cut(string(r.Body), `{"result":`)
	if r.Status != 200 || !ok {
		t.Fatalf("reply %d %.80s", r.Status, r.Body)
	}
	var s string
	if err := json.Unmarshal([]byte(strings.TrimSuffix(rest, "}")), &s); err != nil {
		t.Fatalf("reply %.80s: %v", r.Body, err)
	}
	return s
}

type panicky struct{}

func (panicky) String() string { panic("canary") }

// A result whose own methods panic fails its request, not the process.
func TestResultPanics(t *testing.T) {
	for _, effect := range []core.Effect{core.ReadOnly, core.SideEffect} {
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "bad", Effect: effect}, func(context.Context, struct{}) (panicky, error) { return panicky{}, nil })
		})
		for range 2 { // the second finds nothing stuck
			if got := b.call("/tools/bad", "{}"); !strings.Contains(got, "Sorry") && !strings.Contains(got, "not certain") {
				t.Errorf("said %q", got)
			}
		}
	}
}

// Arguments in the query are converted to the types of the schema.
func TestQueryArguments(t *testing.T) {
	type all struct {
		Text  string   `json:"text"`
		Count int      `json:"count,omitempty"`
		Share float64  `json:"share,omitempty"`
		New   bool     `json:"new,omitempty"`
		Tags  []string `json:"tags,omitempty"`
		In    struct {
			A int `json:"a,omitempty"`
		} `json:"in,omitzero"`
		Call string `json:"call,omitempty"` // an argument that has the name of the call's id
	}
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "echo", Effect: core.ReadOnly}, func(_ context.Context, in all) (all, error) { return in, nil })
	})
	for _, c := range []struct{ query, want string }{
		{"text=12", `"text":"12"`},
		{"text=x&count=12&share=0.5&new=true", `"count":12,"share":0.5,"new":true`},
		{"text=x&tags=a&tags=b", `"tags":["a","b"]`},
		{`text=x&tags=["a"]`, `"tags":["a"]`},
		{`text=x&in={"a":3}`, `"in":{"a":3}`},
		{"text=x&call=CA1", `"call":"CA1"`},
		{"text=x&count=twelve", `The argument "count" must be a whole number.`},
		{"text=x&count=1e999", `The argument "count"`},
		{"text=a%00b", `"text":"a\u0000b"`},
		{"text=%ff", `"text":"�"`},
		{"count=1", `The argument "text" is missing.`},
		{"text=%zz", `"text":"%zz"`},
	} {
		got := said(t, b.Handle(t.Context(), request("GET", "/tools/echo?"+strings.ReplaceAll(c.query, `"`, "%22"), "")))
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: said %s, want %s", c.query, got, c.want)
		}
	}
}

// K13, T20: neither arguments nor errors are returned or logged.
func TestNothingIsEchoed(t *testing.T) {
	const canary = "canary4711"
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book"}, func(_ context.Context, in booking) (string, error) {
			return "", fmt.Errorf("no such day: %s", in.Date)
		})
		p.OnMessages(func(context.Context, core.Messages) error { return errors.New(canary) })
	})
	for _, r := range []core.Request{
		request("POST", "/tools/book", `{"date":"`+canary+`","time":"x"}`),
		request("POST", "/tools/book", `{"date":{"`+canary+`":1},"time":"x"}`),
		request("POST", "/tools/book", `{"`+canary+`":1`),
		request("POST", "/tools/book", `"`+canary+`"`),
		request("POST", "/tools/"+canary, `{}`),
		request("POST", "/"+canary, `{}`),
		request("POST", "/events", canary),
		request("POST", "/events", `{"message":{"type":"`+canary+`","call":{"id":"`+canary+`"}}}`),
		request("POST", "/events", `{"message":{"type":"conversation-update","call":{"id":"`+canary+`","status":"`+canary+`"},"messages":[{"messageId":"`+canary+`","role":"user","text":"`+canary+`"}]}}`),
		request(canary, "/events", ``),
	} {
		if resp := b.Handle(t.Context(), r); strings.Contains(string(resp.Body), canary) {
			t.Errorf("%s %s: %s", r.Method, r.Path, resp.Body)
		}
	}
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); err != nil && !errors.Is(err, core.ErrHandlerFailed) {
			t.Error(err)
		}
	}
	if strings.Contains(b.logs.String(), canary) {
		t.Errorf("in the log:\n%s", b.logs)
	}
	if !strings.Contains(b.logs.String(), "tool call") || !strings.Contains(b.logs.String(), "handler failed") {
		t.Errorf("the log is missing lines:\n%s", b.logs)
	}
}

// Mistakes in the program are found at its start.
func TestAddToolPanics(t *testing.T) {
	for name, add := range map[string]func(p *core.Processor){
		"no name": func(p *core.Processor) { core.AddTool(p, core.Tool{}, look) },
		"a slash": func(p *core.Processor) { core.AddTool(p, core.Tool{Name: "a/b"}, look) },
		"taken":   func(p *core.Processor) { core.AddTool(p, core.Tool{Name: "book"}, look) },
		"no struct": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "x"}, func(context.Context, string) (string, error) { return "", nil })
		},
		"a key of no field": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "x", IdempotencyArgs: []string{"Date"}}, look)
		},
		"an argument that cannot be filled": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "x"}, func(context.Context, struct{ F func() }) (string, error) { return "", nil })
		},
		"a wrong tag": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "x"}, func(context.Context, struct {
				N int `minimum:"one"`
			}) (string, error) {
				return "", nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			p := core.New()
			core.AddTool(p, core.Tool{Name: "book"}, look)
			add(p)
		})
	}
}

// The requests that create the tools at Interactly.
func TestDefinitions(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "book", Description: "Book one."}, look)
	core.AddTool(p, core.Tool{Name: "hours", Description: "When we are open."}, func(context.Context, struct{}) (string, error) { return "", nil })
	core.AddTool(p, core.Tool{Name: "whole", Description: "All of it.", Async: true, Strict: true, Method: "GET", StartMessage: "One moment, {{name}}.", Budget: time.Minute},
		func(context.Context, struct {
			Day string `json:"day"`
		}) (string, error) {
			return "", nil
		})
	ds, err := p.ToolDefinitions("https://desk.example.com", core.DefinitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(ds)
	const want = `[{"type":"function","async":false,"function":{"name":"book","description":"Book one.","parameters":{"type":"object","properties":{"date":{"type":"string"},"time":{"type":"string"},"note":{"type":"string"}},"required":["date","time"]},"strict":false},"server":{"url":"https://desk.example.com/tools/book","timeoutSeconds":20}},` +
		`{"type":"function","async":false,"function":{"name":"hours","description":"When we are open.","parameters":{"type":"object","properties":{}},"strict":false},"server":{"url":"https://desk.example.com/tools/hours","timeoutSeconds":20}},` +
		`{"type":"function","async":true,"function":{"name":"whole","description":"All of it.","parameters":{"type":"object","properties":{"day":{"type":"string"}},"required":["day"],"additionalProperties":false},"strict":true},` +
		`"messages":[{"type":"request-start","content":"One moment, {{name}}."}],"server":{"url":"https://desk.example.com/tools/whole","method":"GET","timeoutSeconds":65}}]`
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
}

func look(context.Context, booking) (string, error) { return "Seen.", nil }

func TestBind(t *testing.T) {
	store, inbox := newBackend(t, nil).store, &memoryInbox{}
	for _, c := range []struct {
		name string
		on   core.Platform
		want error
	}{
		{"no secret", core.Platform{Store: store, Inbox: inbox}, auth.ErrNoSecret},
		{"weak secret", core.Platform{Store: store, Inbox: inbox, Verifier: auth.Verifier{Secrets: auth.ParseSecrets("short")}}, auth.ErrWeakSecret},
		{"anyone", core.Platform{Store: store, Inbox: inbox, Verifier: auth.Verifier{AllowUnauthenticated: true}}, nil},
	} {
		if err := core.New().Bind(c.on); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := core.New().Bind(core.Platform{Verifier: auth.Verifier{AllowUnauthenticated: true}}); err == nil {
		t.Error("bound without a store")
	}
	p := core.New()
	if r := p.Handle(t.Context(), request("POST", "/events", "{}")); r.Status != 503 {
		t.Errorf("before Bind: status %d", r.Status)
	}
	if _, err := p.AppStore("mine").Get(t.Context(), "a/b"); !errors.Is(err, core.ErrNotBound) {
		t.Errorf("before Bind: %v", err)
	}
}

// The app's own records are separate from those of the calls.
func TestAppStore(t *testing.T) {
	b := newBackend(t, nil)
	mine := b.AppStore("mine")
	if err := mine.Commit(t.Context(), records.Record{Key: "days/monday", Value: []byte("open")}); err != nil {
		t.Fatal(err)
	}
	got, err := mine.Get(t.Context(), "days/monday", "days/tuesday")
	if err != nil || string(got[0].Value) != "open" || got[0].Key != "days/monday" || got[1].Version != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	list, err := mine.Range(t.Context(), "days", "", 10)
	if err != nil || len(list) != 1 || list[0].Key != "days/monday" {
		t.Errorf("%+v, %v", list, err)
	}
	if other, err := b.AppStore("other").Get(t.Context(), "days/monday"); err != nil || other[0].Version != 0 {
		t.Errorf("another table sees it: %+v, %v", other, err)
	}
}

// An event is answered 200 only if it is durable.
func TestInboxIsDown(t *testing.T) {
	b := newBackend(t, nil)
	b.inbox.fail = errors.New("disk full: secret text")
	r := b.Handle(t.Context(), request("POST", "/events", hang(0)))
	if r.Status != 503 || strings.Contains(b.logs.String(), "secret text") {
		t.Errorf("status %d, log %s", r.Status, b.logs)
	}
}

// Authenticated bodies that cannot be decoded are stored, redacted.
func TestQuarantine(t *testing.T) {
	b := newBackend(t, nil)
	for _, body := range []string{
		`{"message":{"type":"hang"}}`, `{"message":{}}`, `[]`, `{"message":{"type":"hang","call":{"id":"CA1"`,
		`{"assistantServer":{"secret":"` + testSecret + `"}`, strings.Repeat("[", 300_000), `[]`,
	} {
		b.Handle(t.Context(), request("POST", "/events", body))
	}
	stranger := request("POST", "/events", `{"from":"a stranger"}`)
	stranger.Header = auth.Header{}
	b.Handle(t.Context(), stranger)
	b.Handle(t.Context(), request("POST", "/tools/none", `{`))
	kept, err := calls.ListQuarantine(t.Context(), b.store, "", 100)
	if err != nil || len(kept) != 6 {
		t.Fatalf("%d kept, %v; want 6: each body once, none of a stranger's, none of a tool's", len(kept), err)
	}
	for _, q := range kept {
		if strings.Contains(string(q.Body), testSecret) || strings.Contains(string(q.Body), "stranger") || q.Reason == "" || q.Received.IsZero() {
			t.Errorf("kept %.60s for %q", q.Body, q.Reason)
		}
	}
}

// Our secret, which payloads repeat, reaches no store, no handler and no log.
func TestSecretsAreRedacted(t *testing.T) {
	var raw string
	b := newBackend(t, func(p *core.Processor) {
		p.OnStatus(func(_ context.Context, e core.StatusUpdate) error { raw = string(e.Raw); return nil })
	})
	b.event(`{"message":{"type":"status-update","call":{"id":"` + callID + `","status":"queued","monitor":{"controlUrl":"https://control.example.com/4711"}},` +
		`"assistant":{"assistantServer":{"secret":"` + testSecret + `","headers":{"Authorization":"Bearer canary4711"}}}}}`)
	b.deliver()
	everything := raw + b.logs.String()
	for _, r := range b.store.All() {
		everything += r.Key + string(r.Value)
	}
	for _, secret := range []string{testSecret, "canary4711", "control.example.com"} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q is kept", secret)
		}
	}
	if !strings.Contains(raw, `"queued"`) {
		t.Errorf("the rest is gone: %s", raw)
	}
}
