package core_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// Every event can be rebuilt as it was sent.
func TestEventsAreRebuilt(t *testing.T) {
	b := newBackend(t, nil)
	sent := []string{
		status("queued", 0), conversation(100, messages(0, 2)...), conversation(200, messages(0, 5)...),
		conversation(150, messages(0, 3)...), // stale
		`{"message":{"timestamp":1,"type":"weather","call":{"id":"` + callID + `"},"new":{"field":[1,2]}}}`,
		report(0, messages(0, 5)...),
	}
	for _, e := range sent {
		b.event(e)
		b.deliver()
	}
	i := 0
	for r, err := range calls.Events(t.Context(), b.store, callID) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(sent) || string(r.Body) != sent[i] {
			t.Fatalf("event %d:\ngot  %s\nsent %s", i, r.Body, sent[min(i, len(sent)-1)])
		}
		i++
	}
	if i != len(sent) {
		t.Errorf("%d events, want %d", i, len(sent))
	}
}

// Older payloads have no time, and the messages inside the call. Nothing but the
// messages differs, so the second event is stored as a reference to the first.
func TestOlderPayloads(t *testing.T) {
	b := newBackend(t, nil)
	sent := make([]string, 3)
	for i := range sent {
		sent[i] = `{"message":{"type":"conversation-update","call":{"id":"` + callID + `","status":"ongoing","messages":[` + strings.Join(messages(0, i+1), ",") + `]}}}`
		b.event(sent[i])
		b.deliver()
	}
	b.event(`{"message":{"type":"status-update","status":"completed","call":{"id":"` + callID + `"}}}`)
	b.deliver()
	c := b.read(callID)
	equal(t, "transcript", texts(c.Transcript), []string{"line 0", "line 1", "line 2"})
	if c.Status != event.StatusFinished {
		t.Errorf("status %q", c.Status)
	}
	i := 0
	for r, err := range calls.Events(t.Context(), b.store, callID) {
		if err != nil {
			t.Fatal(err)
		}
		if i < len(sent) && string(r.Body) != sent[i] {
			t.Errorf("event %d:\ngot  %s\nsent %s", i, r.Body, sent[i])
		}
		i++
	}
}

// E13: what is stored of a call grows with its transcript, not with the square.
func TestStorageOfLongCall(t *testing.T) {
	b := newBackend(t, nil)
	turns := 300 // docs/performance.md has its figure
	if raceEnabled {
		turns = 100 // each update has the whole conversation: a ninth of the time
	}
	b.event(status("queued", 0))
	var transcript int
	for n := range 2 * turns {
		ms := messages(0, n+1)
		b.event(conversation(n*100, ms...))
		b.deliver()
		transcript += len(ms[n])
	}
	b.event(report(0, messages(0, 2*turns)...))
	b.deliver()
	if c := b.read(callID); len(c.Transcript) != 2*turns {
		t.Fatalf("%d messages", len(c.Transcript))
	}
	stored := 0
	for _, dir := range []string{"calls", "calls/" + callID + "/log", "calls/" + callID + "/blobs", "recent", "open"} {
		for after := ""; ; {
			recs, err := b.store.Range(t.Context(), dir, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range recs {
				stored += len(r.Key) + len(r.Value)
				_, after, _ = records.SplitKey(r.Key)
			}
			if len(recs) < 100 {
				break
			}
		}
	}
	t.Logf("%d bytes stored for a transcript of %d", stored, transcript)
	if stored > 2*transcript {
		t.Errorf("%d bytes stored for a transcript of %d", stored, transcript)
	}
}

// A report is the only event of a long call, and larger than a record.
func TestReportOnly(t *testing.T) {
	var h recorder
	b := newBackend(t, h.listen)
	var ms []string
	for n := range 600 {
		ms = append(ms, message(n, strings.Repeat(fmt.Sprintf("line %d ", n), 400)))
	}
	b.event(report(0, ms...))
	b.deliver()
	c := b.read(callID)
	if len(c.Transcript) != 600 || len(h.messages) != 600 || !c.Ended || len(h.ended) != 1 || len(h.ended[0].Call.Transcript) != 600 {
		t.Errorf("%d messages, handlers got %d, ended %v", len(c.Transcript), len(h.messages), c.Ended)
	}
}

// Calls are listed newest first, whatever their ids.
func TestListCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, nil)
		var want []event.CallID
		for n := range 60 {
			id := event.CallID(fmt.Sprintf("WC-%d/ü../%d", n*7919%60, n))
			want = append([]event.CallID{id}, want...)
			b.event(fmt.Sprintf(`{"message":{"type":"hang","call":{"id":%q}}}`, id))
			b.deliver()
			time.Sleep(time.Second)
		}
		var got []event.CallID
		for after := ""; ; {
			calls, next, err := calls.List(t.Context(), b.store, after, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range calls {
				got = append(got, c.ID)
			}
			if next == "" {
				break
			}
			after = next
		}
		equal(t, "calls", got, want)
	})
}
