package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// heard is what the handlers were told.
type heard struct {
	mu       sync.Mutex
	statuses []event.Status
	said     []string
	hangs    int
	errors   []string
	reports  []int
	ended    []core.CallEnded
}

func (h *heard) listen(p *core.Processor) {
	lock := func(f func()) error { h.mu.Lock(); defer h.mu.Unlock(); f(); return nil }
	p.OnStatus(func(_ context.Context, e core.StatusUpdate) error {
		return lock(func() { h.statuses = append(h.statuses, e.Status) })
	})
	p.OnMessages(func(_ context.Context, e core.Messages) error {
		return lock(func() { h.said = append(h.said, texts(e.New)...) })
	})
	p.OnHang(func(context.Context, core.Hang) error { return lock(func() { h.hangs++ }) })
	p.OnError(func(_ context.Context, e core.ErrorEvent) error {
		return lock(func() { h.errors = append(h.errors, e.Error.Code) })
	})
	p.OnReport(func(_ context.Context, e core.Report) error {
		return lock(func() { h.reports = append(h.reports, e.Revision) })
	})
	p.OnCallEnded(func(_ context.Context, e core.CallEnded) error {
		return lock(func() { h.ended = append(h.ended, e) })
	})
}

// A whole call, in the order in which it happens.
func TestCallInOrder(t *testing.T) {
	var h heard
	b := newBackend(t, h.listen)
	for _, e := range []string{
		status("initiated", 0), status("queued", 10), status("ongoing", 20),
		conversation(100, messages(0, 1)...), conversation(200, messages(0, 2)...), conversation(300, messages(0, 4)...),
		hang(0),
		conversation(400, messages(0, 5)...), status("forwarded", 30), status("finished", 40), report(0, messages(0, 5)...),
	} {
		b.event(e)
		b.deliver()
	}
	equal(t, "statuses", h.statuses, []event.Status{event.StatusInitiated, event.StatusQueued, event.StatusOngoing, event.StatusForwarded, event.StatusFinished})
	equal(t, "said", h.said, []string{"line 0", "line 1", "line 2", "line 3", "line 4"})
	equal(t, "reports", h.reports, []int{1})
	if h.hangs != 1 || len(h.ended) != 1 || h.ended[0].Reason != event.EndReasonReport {
		t.Errorf("%d hangs, ended %+v", h.hangs, h.ended)
	}
	c := b.read(callID)
	if !c.Ended || c.Status != event.StatusFinished || c.MessageCount != 5 || c.PendingHandlers != 0 || c.HangCount != 1 || len(c.Events) != 11 {
		t.Errorf("call %+v", c.Summary)
	}
	equal(t, "transcript", texts(c.Transcript), []string{"line 0", "line 1", "line 2", "line 3", "line 4"})
	if c.Analysis.Summary != "Booked a cleaning." || c.Info.Cost == nil || c.Info.EndedAt.IsZero() {
		t.Errorf("analysis %+v, info %+v", c.Analysis, c.Info)
	}
}

// E2, E4, E5, E9: the state is the same whatever the order of arrival, and
// nothing is told twice.
func TestAnyOrderComesToTheSameState(t *testing.T) {
	cut := messages(0, 4)
	cut[3] = message(3, "line 3 was inter")
	events := []string{
		status("initiated", 0), status("queued", 10), status("ongoing", 20),
		conversation(100, messages(0, 1)...), conversation(200, messages(0, 3)...), conversation(300, messages(0, 4)...),
		conversation(350, cut...), conversation(400, append(cut[:4:4], messages(4, 6)...)...), conversation(500, append(cut[:4:4], messages(4, 8)...)...),
		hang(0), hang(60_000), status("finished", 40), report(0, append(cut[:4:4], messages(4, 8)...)...),
	}
	want := []string{"line 0", "line 1", "line 2", "line 3 was inter", "line 4", "line 5", "line 6", "line 7"}
	for seed := range uint64(300) {
		var h heard
		b := newBackend(t, h.listen)
		order := rand.New(rand.NewPCG(seed, 0)).Perm(len(events))
		for _, i := range order {
			b.event(events[i])
			if seed%3 == 0 {
				b.event(events[i]) // sent twice
			}
			b.deliver()
		}
		c := b.read(callID)
		if !c.Ended || c.Status != event.StatusFinished || c.HangCount != 2 || c.PendingHandlers != 0 {
			t.Fatalf("seed %d: call %+v, %d hangs", seed, c.Summary, c.HangCount)
		}
		equal(t, fmt.Sprintf("seed %d: transcript", seed), texts(c.Transcript), want)
		equal(t, fmt.Sprintf("seed %d: dropped", seed), texts(c.Superseded), []string{"line 3"})
		if len(h.ended) != 1 || len(h.reports) != 1 {
			t.Fatalf("seed %d: ended %d times, reported %d times", seed, len(h.ended), len(h.reports))
		}
		told := map[string]int{}
		for _, s := range h.said {
			if told[s]++; told[s] > 1 {
				t.Fatalf("seed %d: told twice of %q", seed, s)
			}
		}
		for i := 1; i < len(h.statuses); i++ {
			if h.statuses[i] == h.statuses[i-1] {
				t.Fatalf("seed %d: statuses %v", seed, h.statuses)
			}
		}
		if t.Failed() {
			t.Fatalf("order %v", order)
		}
	}
}

// E16: several instances merge events of one call at the same time.
func TestInstancesAtOnce(t *testing.T) {
	var h heard
	b := newBackend(t, h.listen)
	for n := range 40 {
		b.event(conversation(n*100, messages(0, n+1)...))
	}
	b.event(report(0, messages(0, 40)...))
	var wg sync.WaitGroup
	for _, e := range b.inbox.take() {
		wg.Go(func() {
			if err := b.Deliver(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := b.read(callID)
	if c.MessageCount != 40 || len(c.Transcript) != 40 || len(h.said) != 40 || len(h.ended) != 1 || c.PendingHandlers != 0 {
		t.Errorf("%d messages, %d told, ended %d times, %d pending", c.MessageCount, len(h.said), len(h.ended), c.PendingHandlers)
	}
}

// E19: events without an id that look the same may both be real.
func TestSameHangTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		b := newBackend(t, h.listen)
		for _, wait := range []time.Duration{0, time.Second, time.Minute} {
			time.Sleep(wait)
			b.event(hang(0))
			b.deliver()
		}
		if c := b.read(callID); c.HangCount != 2 || h.hangs != 2 {
			t.Errorf("%d hangs, %d told; want 2: one was sent twice, one came a minute later", c.HangCount, h.hangs)
		}
	})
}

// E12: a storm of hangs does not make the record of the call grow.
func TestManyHangs(t *testing.T) {
	b := newBackend(t, nil)
	for n := range 2000 {
		b.event(hang(n * 10))
		b.deliver()
	}
	recs, err := b.store.Get(t.Context(), "calls/"+callID)
	if err != nil || len(recs[0].Value) > 12<<10 || b.read(callID).HangCount != 2000 {
		t.Errorf("%d bytes, %d hangs, %v", len(recs[0].Value), b.read(callID).HangCount, err)
	}
}

// E11: two reports that differ. The newest counts; the call ends once.
func TestTwoReports(t *testing.T) {
	var h heard
	b := newBackend(t, h.listen)
	second := strings.Replace(report(5000), "Booked a cleaning.", "Booked two.", 1)
	for _, e := range []string{second, report(0), second} {
		b.event(e)
		b.deliver()
	}
	c := b.read(callID)
	if c.Analysis.Summary != "Booked two." || len(h.ended) != 1 || !strings.Contains(string(c.Report), "Booked two.") {
		t.Errorf("summary %q, ended %d times", c.Analysis.Summary, len(h.ended))
	}
	equal(t, "revisions", h.reports, []int{1, 2})
}

// A handler that fails gets the same change again; the others do not.
func TestHandlerFails(t *testing.T) {
	var good, bad []string
	fail := errors.New("secret text")
	b := newBackend(t, func(p *core.Processor) {
		p.OnMessages(func(_ context.Context, m core.Messages) error {
			bad = append(bad, texts(m.New)...)
			if len(bad) < 3 {
				return fail
			}
			if len(bad) == 3 {
				panic("secret text")
			}
			return nil
		})
		p.OnMessages(func(_ context.Context, m core.Messages) error { good = append(good, texts(m.New)...); return nil })
	})
	b.event(conversation(0, messages(0, 1)...))
	e := b.inbox.take()[0]
	for try := range 3 {
		if err := b.Deliver(t.Context(), e); !errors.Is(err, core.ErrHandlerFailed) {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	// Meanwhile the conversation goes on.
	b.event(conversation(100, messages(0, 2)...))
	later := b.inbox.take()[0]
	if err := b.Deliver(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "the one that fails", bad, []string{"line 0", "line 0", "line 0", "line 1", "line 0"})
	equal(t, "the one that does not", good, []string{"line 0", "line 1"})
	if c := b.read(callID); c.PendingHandlers != 0 {
		t.Errorf("%d changes pending", c.PendingHandlers)
	}
	if strings.Contains(b.logs.String(), "secret") || strings.Contains(b.logs.String(), "line 0") {
		t.Errorf("the log holds what was said:\n%s", b.logs)
	}
}

// Calls that get no report end all the same, once.
func TestSweep(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		wait   time.Duration
		reason event.EndReason // "" while it goes on
	}{
		{"goes on", []string{status("ongoing", 0)}, 29 * time.Minute, ""},
		{"silent", []string{status("ongoing", 0)}, 30 * time.Minute, event.EndReasonIdleTimeout},
		{"finished, the report may still come", []string{status("finished", 0)}, time.Minute, ""},
		{"finished, no report", []string{status("finished", 0)}, 2 * time.Minute, event.EndReasonReportTimeout},
		{"failed, no report", []string{status("failed", 0)}, 2 * time.Minute, event.EndReasonReportTimeout},
		{"reported", []string{report(0)}, 24 * time.Hour, event.EndReasonReport},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h heard
				b := newBackend(t, h.listen)
				for _, e := range c.events {
					b.event(e)
				}
				b.deliver()
				time.Sleep(c.wait)
				for range 3 {
					if err := b.Sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				got := b.read(callID)
				if got.EndReason != c.reason || got.Ended != (c.reason != "") || got.PendingHandlers != 0 {
					t.Errorf("ended %v for %q, %d pending", got.Ended, got.EndReason, got.PendingHandlers)
				}
				if want := min(1, len(c.reason)); len(h.ended) != want {
					t.Errorf("told %d times, want %d", len(h.ended), want)
				}
				// A report that comes after all is kept, and ends nothing again.
				b.event(report(0))
				b.deliver()
				if c.reason != "" && len(h.ended) != 1 {
					t.Errorf("told %d times after a late report", len(h.ended))
				}
				if s := b.read(callID).Analysis.Summary; s != "Booked a cleaning." {
					t.Errorf("late report: summary %q", s)
				}
			})
		})
	}
}

// Handlers of an end that the sweep found are repeated by the sweep.
func TestSweepRepeatsItsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		b := newBackend(t, func(p *core.Processor) {
			p.OnCallEnded(func(context.Context, core.CallEnded) error {
				if tries++; tries < 3 {
					return errors.New("down")
				}
				return nil
			})
		})
		b.event(status("finished", 0))
		b.deliver()
		time.Sleep(10 * time.Minute)
		for try := range 5 {
			if err := b.Sweep(t.Context()); (err == nil) != (try >= 2) {
				t.Errorf("sweep %d: %v", try, err)
			}
		}
		if c := b.read(callID); c.PendingHandlers != 0 || tries != 3 {
			t.Errorf("%d pending after %d tries", c.PendingHandlers, tries)
		}
		recs, err := b.store.Range(t.Context(), "open", "", 10)
		if err != nil || len(recs) != 0 {
			t.Errorf("%d calls still open, %v", len(recs), err)
		}
	})
}

// Every event can be put together again as it came.
func TestEventsAreKeptWhole(t *testing.T) {
	b := newBackend(t, nil)
	sent := []string{
		status("queued", 0), conversation(100, messages(0, 2)...), conversation(200, messages(0, 5)...),
		conversation(150, messages(0, 3)...), // late
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

// The older shapes: no time, messages inside the call. Nothing but the
// messages differs, so the second event is kept as being like the first.
func TestOlderShapes(t *testing.T) {
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

// E13: what is stored of a call grows with what was said, not with its square.
func TestLongCallIsStoredOnce(t *testing.T) {
	b := newBackend(t, nil)
	const turns = 300
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

// A report of a long call that nothing else was heard of, larger than a record.
func TestReportOnly(t *testing.T) {
	var h heard
	b := newBackend(t, h.listen)
	var ms []string
	for n := range 600 {
		ms = append(ms, message(n, strings.Repeat(fmt.Sprintf("line %d ", n), 400)))
	}
	b.event(report(0, ms...))
	b.deliver()
	c := b.read(callID)
	if len(c.Transcript) != 600 || len(h.said) != 600 || !c.Ended || len(h.ended) != 1 || len(h.ended[0].Call.Transcript) != 600 {
		t.Errorf("%d messages, told of %d, ended %v", len(c.Transcript), len(h.said), c.Ended)
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

// A message that only an older snapshot had is told when it counts after all:
// its handlers must not miss what is in the transcript.
func TestMessageOfAnOlderSnapshotIsToldWhenItCounts(t *testing.T) {
	whole, cut := messages(0, 2), []string{message(0, "line 0"), message(1, "line 1 was inter")}
	for _, first := range [][]string{whole, cut} {
		var h heard
		b := newBackend(t, h.listen)
		b.event(conversation(100, whole...))
		b.event(conversation(200, cut...))
		b.deliver()
		b.event(conversation(300, append(slices.Clone(first), messages(2, 3)...)...))
		b.deliver()
		for _, want := range texts(b.read(callID).Transcript) {
			if n := strings.Count(strings.Join(h.said, "\n")+"\n", want+"\n"); n != 1 {
				t.Errorf("%q was told %d times: %q", want, n, h.said)
			}
		}
	}
}
