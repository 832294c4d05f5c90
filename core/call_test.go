package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// ringing is the first event of a call, with all that it says of it.
const ringing = `{"message":{"timestamp":1784044931000,"type":"status-update","assistant":{"name":"Front desk"},"call":{
	"id":"` + callID + `","status":"ringing","assistantId":"A-1","direction":"inbound","userNumber":"+14155550100","assistantNumber":"+14155550199",
	"metadata":{"clinic":"north"},"assistantOverrides":{"dynamicVariables":{"caller":"Kim"}}}}}`

// askable is an inbox that can be asked what it holds.
type askable struct{ *memoryInbox }

func (i askable) PendingOf(_ context.Context, call event.CallID, limit int) (es []core.Envelope, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range i.kept {
		if e.Call == call && len(es) < limit {
			es = append(es, e)
		}
	}
	return es, nil
}

// asksForItsCall adds a tool that says what it knows of its call.
func asksForItsCall(seen *core.Call) func(*core.Processor) {
	return func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "who", Effect: core.ReadOnly, Headers: []string{"X-Clinic"}, Query: []string{"clinic"}},
			func(ctx context.Context, in struct{}) (string, error) {
				*seen = core.CallFrom(ctx)
				return "Done.", nil
			})
	}
}

func TestToolKnowsItsCall(t *testing.T) {
	const known, tool = `{A-1 Front desk inbound +14155550100 +14155550199 {"clinic":"north"} {"caller":"Kim"}}`, "/tools/who?call=" + callID
	facts := func(c core.Call) string {
		return fmt.Sprint(struct {
			a, n, d, u, s string
			m, v          string
		}{c.AssistantID, c.Assistant, c.Direction, c.UserNumber, c.AssistantNumber, string(c.Metadata), string(c.Variables)})
	}
	const nothing = `{      }`
	for _, c := range []struct {
		name      string
		before    func(b *backend)
		target    string
		body      string
		source    core.CallSource
		facts     string
		missing   string // a part of it
		status    event.Status
		id        event.CallID
		isWrapped bool
	}{
		{"after delivery", func(b *backend) { b.event(ringing); b.deliver() }, tool, `{}`, core.CallFromStore, known, "", event.StatusQueued, callID, false},
		{"before delivery", func(b *backend) { b.event(ringing) }, tool, `{}`, core.CallFromInbox, known, "", "", callID, false},
		{"before delivery, when an earlier event said nothing", func(b *backend) { b.event(hang(1)); b.deliver(); b.event(ringing) }, tool, `{}`, core.CallFromInbox, known, "", "", callID, false},
		{"no event", func(*backend) {}, tool, `{}`, "", nothing, "no event of this call was received", "", callID, false},
		{"an event that says nothing", func(b *backend) { b.event(hang(1)); b.deliver() }, tool, `{}`, "", nothing, "say nothing of its assistant", "", callID, false},
		{"no id", func(b *backend) { b.event(ringing) }, "/tools/who", `{}`, "", nothing, "X-Call-Id", "", "", false},
		{"a variable that nobody filled", func(*backend) {}, "/tools/who?call=%7B%7Bcall.id%7D%7D", `{}`, "", nothing, "X-Call-Id", "", "", false},
		{"a deleted call", func(b *backend) {
			b.event(ringing)
			b.deliver()
			if err := calls.Delete(b.t.Context(), b.store, callID); err != nil {
				b.t.Fatal(err)
			}
		}, tool, `{}`, "", nothing, "deleted", "", callID, false},
		{"an envelope", func(*backend) {}, "/events", strings.Replace(strings.Replace(ringing, "status-update", "tool-calls", 1), `"assistant":`, `"toolCallList":[{"id":"1","name":"who"}],"assistant":`, 1),
			core.CallFromRequest, known, "", event.StatusQueued, callID, true},
	} {
		for inbox, change := range map[string]func(*core.Platform){
			"a queue":                    func(*core.Platform) {},
			"an inbox that can be asked": func(on *core.Platform) { on.Inbox = askable{on.Inbox.(*memoryInbox)} },
		} {
			t.Run(c.name+", "+inbox, func(t *testing.T) {
				var got core.Call
				b := newBackend(t, asksForItsCall(&got), change)
				c.before(b)
				b.call(c.target, c.body)
				if got.Source != c.source || facts(got) != c.facts || !strings.Contains(got.Missing, c.missing) || (got.Missing == "") != (c.missing == "") {
					t.Errorf("source %q, %s, missing %q", got.Source, facts(got), got.Missing)
				}
				if got.ID != c.id || got.SentID != c.id || got.Tenant != "" || got.Matched != "secret 1 of 1" {
					t.Errorf("id %q, sent %q, tenant %q, matched %q", got.ID, got.SentID, got.Tenant, got.Matched)
				}
				if c.status != "" && got.Status != c.status {
					t.Errorf("status %q, want %q", got.Status, c.status)
				}
				if wrapped := got.Dialect == core.DialectEnvelope; wrapped != c.isWrapped {
					t.Errorf("dialect %q", got.Dialect)
				}
			})
		}
	}
}

// A tool whose request names two calls knows neither.
func TestToolThatNamesTwoCalls(t *testing.T) {
	var got core.Call
	b := newBackend(t, asksForItsCall(&got))
	b.event(ringing)
	r := request("POST", "/tools/who?call="+callID, `{}`)
	r.Header["X-Call-Id"] = []string{"WC-other"}
	b.Handle(t.Context(), r)
	if got.ID != "" || got.UserNumber != "" || !strings.Contains(got.Missing, "two calls") {
		t.Errorf("id %q, number %q, missing %q", got.ID, got.UserNumber, got.Missing)
	}
}

// A tool reads the fields of the header and the query that it lists, and no others.
func TestToolReadsWhatItLists(t *testing.T) {
	var got core.Call
	b := newBackend(t, asksForItsCall(&got))
	r := request("POST", "/tools/who?clinic=north&other=1", `{}`)
	r.Header["x-clinic"], r.Header["X-Other"] = []string{"south"}, []string{"1"}
	b.Handle(t.Context(), r)
	if h, q := got.Header("X-Clinic"), got.Query("clinic"); h != "south" || q != "north" {
		t.Errorf("header %q, query %q", h, q)
	}
	for _, name := range []string{"X-Other", "other", "X-Interactly-Secret", "x-interactly-secret", "call"} {
		if h, q := got.Header(name), got.Query(name); h != "" || q != "" {
			t.Errorf("%s: header %q, query %q", name, h, q)
		}
	}
}

// A pointStore and its inbox call at before one of their operations.
type points struct {
	mu    sync.Mutex
	n, at int
	do    func()
}

func (p *points) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n == p.at {
		p.do()
	}
}

type pointStore struct {
	records.Store
	*points
}

func (s pointStore) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	s.pass()
	return s.Store.Get(ctx, keys...)
}

type pointInbox struct {
	askable
	*points
}

func (i pointInbox) PendingOf(ctx context.Context, call event.CallID, limit int) ([]core.Envelope, error) {
	i.pass()
	return i.askable.PendingOf(ctx, call, limit)
}

// Whenever the first event is delivered while a tool looks for its call, the tool
// finds it: before each operation of the search, and after the last.
func TestDeliveryWhileAToolLooksForItsCall(t *testing.T) {
	for at := 1; at <= 6; at++ {
		for _, asked := range []bool{true, false} {
			var got core.Call
			at := &points{at: at}
			b := newBackend(t, asksForItsCall(&got), func(on *core.Platform) {
				at.do = func() {}
				in := askable{on.Inbox.(*memoryInbox)}
				if on.Store = (pointStore{on.Store, at}); asked {
					on.Inbox = pointInbox{in, at}
				}
			})
			b.event(ringing)
			at.n = 0
			at.do = func() { // the inbox forgets an event when it is delivered
				at.mu.Unlock()
				defer at.mu.Lock()
				b.inbox.mu.Lock()
				es := b.inbox.kept
				b.inbox.mu.Unlock()
				for _, e := range es {
					if err := b.Deliver(t.Context(), e); err != nil {
						t.Error(err)
					}
				}
				b.inbox.take()
			}
			b.call("/tools/who?call="+callID, `{}`)
			if got.UserNumber != "+14155550100" {
				t.Errorf("delivered before operation %d, inbox asked %t: number %q, missing %q", at.at, asked, got.UserNumber, got.Missing)
			}
		}
	}
}

// If neither store nor inbox answer, the tool runs, and is given that.
func TestToolWhileNothingIsKnown(t *testing.T) {
	var got core.Call
	b := newBackend(t, asksForItsCall(&got))
	b.store.Fail = func(string, []string) error { return context.DeadlineExceeded }
	if said := b.call("/tools/who?call="+callID, `{}`); said != "Done." {
		t.Errorf("said %q", said)
	}
	if !strings.Contains(got.Missing, "store could not be read") {
		t.Errorf("missing %q", got.Missing)
	}
}

// A handler knows the call of its event, and the end of a call by the sweep too.
func TestHandlerKnowsItsCall(t *testing.T) {
	seen := map[string]core.Call{}
	note := func(what string, ctx context.Context) error { seen[what] = core.CallFrom(ctx); return nil }
	b := newBackend(t, func(p *core.Processor) {
		p.OnStatus(func(ctx context.Context, _ core.StatusUpdate) error { return note("status", ctx) })
		p.OnHang(func(ctx context.Context, _ core.Hang) error { return note("hang", ctx) })
		p.OnCallEnded(func(ctx context.Context, _ core.CallEnded) error { return note("ended", ctx) })
	})
	b.event(ringing)
	b.deliver()
	b.event(hang(1))
	b.deliver()
	b.event(report(2))
	b.deliver()
	for _, what := range []string{"status", "hang", "ended"} {
		c := seen[what]
		if c.ID != callID || c.UserNumber != "+14155550100" || c.Source != core.CallFromEvent || c.Missing != "" {
			t.Errorf("%s: id %q, number %q, source %q, missing %q", what, c.ID, c.UserNumber, c.Source, c.Missing)
		}
	}
	if s := seen["ended"].Status; s != event.StatusFinished {
		t.Errorf("at the end the status is %q", s)
	}
}

func TestCallFromOtherContexts(t *testing.T) {
	if c := core.CallFrom(t.Context()); c.Missing == "" || c.ID != "" {
		t.Errorf("%+v", c)
	}
}
