package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// observed is a backend whose observations a test can look at.
func observed(t *testing.T, setup func(p *core.Processor), change ...func(*core.Platform)) (*backend, func() []core.Observation) {
	var mu sync.Mutex
	var all []core.Observation
	b := newBackend(t, func(p *core.Processor) {
		if setup != nil {
			setup(p)
		}
		p.Observe(func(o core.Observation) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, o)
		})
	}, change...)
	return b, func() []core.Observation {
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

type slot struct {
	Date string `json:"date"`
}

func addTools(p *core.Processor) {
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, slot) (string, error) { return "two\nlines", nil })
	core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, slot) (string, error) { return "Booked.", nil })
}

func TestObservedToolRequests(t *testing.T) {
	b, take := observed(t, addTools)
	for _, c := range []struct {
		why    string
		r      core.Request
		tools  int
		status int
		state  string
		result string
	}{
		{"a tool that only looks is seen", request("POST", "/tools/look?call=CA1", `{"date":"2035-07-16"}`), 1, 200, "done", "two lines"},
		{"a tool that changes something is seen", request("POST", "/tools/book?call=CA1", `{"date":"2035-07-16"}`), 1, 200, "done", "Booked."},
		{"bad arguments are seen as refused", request("POST", "/tools/book?call=CA1", `{}`), 1, 200, "refused", `The argument "date" is missing.`},
		{"an unknown tool is seen as refused", request("POST", "/tools/other", `{}`), 1, 200, "refused", "There is no such tool here."},
		{"a body that is not JSON is seen", request("POST", "/tools/look?call=CA1", `{"date": 2035-07`), 1, 200, "unreadable", "The arguments could not be read. Call the tool again with a JSON object of its arguments."},
		{"a wrong method is seen", request("HEAD", "/tools/look", ``), 1, 405, "refused", ""},
		{"each call of an envelope is seen", request("POST", "/events", `{"message":{"type":"tool-calls","call":{"id":"CA2"},"toolCallList":[`+
			`{"id":"a","function":{"name":"look","arguments":{"date":"x"}}},{"id":"b","function":{"name":"look","arguments":{"date":"y"}}}]}}`), 2, 200, "done", "two lines"},
		{"an event is no tool request", request("POST", "/events", `{"message":{"type":"hang","call":{"id":"CA1"}}}`), 0, 0, "", ""},
	} {
		resp := b.Handle(t.Context(), c.r)
		all := take()
		if len(all) != c.tools {
			t.Errorf("%s: %d observations, want %d", c.why, len(all), c.tools)
		}
		for _, o := range all {
			r := o.Tool
			if r == nil || r.HTTPStatus != c.status || r.State != c.state || r.Result != c.result || string(r.Reply) != string(resp.Body) {
				t.Errorf("%s: %+v", c.why, r)
			}
		}
	}
}

// What an unauthenticated client sends is not observed, so that it fills no
// store and stands on no page, whatever it is refused for.
func TestUnauthenticatedRequestsAreNotObserved(t *testing.T) {
	b, take := observed(t, addTools)
	for _, method := range []string{"POST", "GET", "OPTIONS", "HEAD"} {
		for _, path := range []string{"/tools/look?call=CA1", "/tools/none?call=CA1", "/events"} {
			for _, secret := range []string{"wrong", ""} {
				r := request(method, path, `{"date":"x"}`)
				r.Header["x-interactly-secret"] = []string{secret}
				b.Handle(t.Context(), r)
			}
		}
	}
	if all := take(); len(all) != 0 {
		t.Errorf("%d requests were observed, the first: %+v", len(all), all[0].Tool)
	}
}

// Start hooks give the tool and the handlers their context, and learn how the
// operation ended.
func TestStartHooks(t *testing.T) {
	type key struct{}
	var log []string
	var mu sync.Mutex
	note := func(s string) { mu.Lock(); defer mu.Unlock(); log = append(log, s) }
	fail := errors.New("not now")
	b := newBackend(t, func(p *core.Processor) {
		for _, name := range []string{"outer", "inner"} {
			p.OnStart(func(ctx context.Context, op core.Operation) (context.Context, func(string)) {
				seen, _ := ctx.Value(key{}).(string)
				note(fmt.Sprintf("%s begins %s%s %s", name, op.Tool, op.Event, op.Call))
				return context.WithValue(ctx, key{}, seen+name+" "), func(outcome string) { note(name + " ends " + outcome) }
			})
		}
		core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(ctx context.Context, _ slot) (string, error) {
			note("look in " + ctx.Value(key{}).(string))
			return "Two.", nil
		})
		p.OnHang(func(ctx context.Context, _ core.Hang) error {
			note("hang in " + ctx.Value(key{}).(string))
			return fail
		})
	})
	b.call("/tools/look?call=CA1", `{"date":"x"}`)
	b.Handle(t.Context(), request("POST", "/events", `{"message":{"type":"hang","call":{"id":"CA1"}}}`))
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); !errors.Is(err, fail) {
			t.Errorf("Deliver: %v", err)
		}
	}
	want := []string{
		"outer begins look CA1", "inner begins look CA1", "look in outer inner ", "inner ends done", "outer ends done",
		"outer begins hang CA1", "inner begins hang CA1", "hang in outer inner ", "inner ends failed", "outer ends failed",
	}
	if !slices.Equal(log, want) {
		t.Errorf("got %q\nwant %q", log, want)
	}
}

// OnEvent is called for every event, known or not, and not for a duplicate.
func TestOnEvent(t *testing.T) {
	var got []event.Type
	b := newBackend(t, func(p *core.Processor) {
		p.OnEvent(func(_ context.Context, e event.Event) error { got = append(got, e.Type); return nil })
	})
	for _, typ := range []string{"status-update", "speech-update", "user-interrupted", "assistant-request", "hang", "end-of-call-report", "speech-update"} {
		b.Handle(t.Context(), request("POST", "/events", `{"message":{"type":"`+typ+`","call":{"id":"CA1"}}}`))
	}
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := []event.Type{"status-update", "speech-update", "user-interrupted", "assistant-request", "hang", "end-of-call-report"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestObservedDuplicatesAreTheSame(t *testing.T) {
	b, take := observed(t, addTools)
	b.call("/tools/book?call=CA1", `{"date":"2035-07-16","secret":"`+testSecret+`"}`)
	b.call("/tools/book?call=CA1", `{ "date": "2035-07-16" }`)
	b.call("/tools/book?call=CA1", `{"date":"2035-07-17"}`)
	all := take()
	first, second, third := all[0].Tool, all[1].Tool, all[2].Tool
	if first.DedupKey == "" || first.DedupKey != second.DedupKey || first.DedupKey == third.DedupKey || first.Replayed || !second.Replayed {
		t.Errorf("same %q %q %q, replayed %v %v", first.DedupKey, second.DedupKey, third.DedupKey, first.Replayed, second.Replayed)
	}
	if strings.Contains(string(first.Args), testSecret) {
		t.Error("a secret is in the arguments that an observer gets")
	}
}

func TestKeptToolRequestsAreRead(t *testing.T) {
	b, take := observed(t, addTools)
	b.call("/tools/look?call=CA1", `{"date":"x"}`)
	b.call("/tools/book?call=CA1", `{"date":"x"}`)
	b.call("/tools/look", `{"date":"y"}`)
	for _, o := range take() {
		if err := calls.RecordToolRequest(t.Context(), b.store, *o.Tool); err != nil {
			t.Fatal(err)
		}
	}
	all, err := calls.ListToolRequests(t.Context(), b.store, "", 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d requests, %v; want 3", len(all), err)
	}
	ofCall, err := calls.ToolRequests(t.Context(), b.store, "CA1")
	if err != nil || len(ofCall) != 2 || ofCall[0].ReceivedAt.After(ofCall[1].ReceivedAt) {
		t.Fatalf("%+v, %v; want the 2 of the call, oldest first", ofCall, err)
	}
	one, ok, err := calls.ReadToolRequest(t.Context(), b.store, ofCall[0].ID)
	if err != nil || !ok || string(one.Reply) != string(ofCall[0].Reply) {
		t.Errorf("%+v %v %v", one, ok, err)
	}
}

func TestRepeatedEventsAreObservedAndKept(t *testing.T) {
	b, take := observed(t, nil)
	for range 2 {
		b.Handle(t.Context(), request("POST", "/events", `{"message":{"type":"status-update","call":{"id":"CA1","status":"ongoing"}}}`))
	}
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	all := take()
	if len(all) != 2 || all[0].Event.Duplicate || !all[1].Event.Duplicate {
		t.Fatalf("%+v; want an event and its repeat", all)
	}
	for range 2 { // also a delivery that comes twice is one repeat
		if err := calls.RecordDuplicate(t.Context(), b.store, *all[1].Event); err != nil {
			t.Fatal(err)
		}
	}
	repeats, err := calls.Duplicates(t.Context(), b.store, "CA1")
	if err != nil || len(repeats) != 1 || repeats[0].Type != event.TypeStatusUpdate {
		t.Errorf("%+v, %v; want one repeat", repeats, err)
	}
}

func TestSummariesTellWhatCallsAreFoundBy(t *testing.T) {
	b := newBackend(t, nil)
	long := strings.Repeat("x", 2000)
	for _, body := range []string{
		`{"message":{"type":"status-update","call":{"id":"CA1","status":"ongoing","assistantId":"a1","metadata":{"practice":"p1"}},"assistant":{"name":"Front desk"}}}`,
		`{"message":{"type":"hang","call":{"id":"CA1"}}}`,
		`{"message":{"type":"status-update","call":{"id":"CA2","status":"finished","metadata":{"x":"` + long + `"}}}}`,
		`{"message":{"type":"end-of-call-report","call":{"id":"CA2"}}}`,
	} {
		b.Handle(t.Context(), request("POST", "/events", body))
	}
	for _, e := range b.inbox.take() {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	s, err := calls.Summaries(t.Context(), b.store, "CA2", "none", "CA1")
	if err != nil || len(s) != 2 {
		t.Fatalf("%+v, %v; want two", s, err)
	}
	if s[0].ID != "CA2" || s[0].Metadata != nil || s[0].EndReason != event.EndReasonReport {
		t.Errorf("%+v; want large metadata left out, and the reason of the end", s[0])
	}
	if s[1].AssistantID != "a1" || s[1].Assistant != "Front desk" || string(s[1].Metadata) != `{"practice":"p1"}` || s[1].HangCount != 1 {
		t.Errorf("%+v", s[1])
	}
	open, next, err := calls.ListUnfinished(t.Context(), b.store, "", 10)
	if err != nil || next != "" || len(open) != 1 || open[0] != "CA1" {
		t.Errorf("open %v %q %v; want the one that goes on", open, next, err)
	}
}
