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
	"github.com/serverurl/serverurl/core/event"
)

// A recorder records what the handlers got.
type recorder struct {
	mu       sync.Mutex
	statuses []event.Status
	messages []string
	hangs    int
	errors   []string
	reports  []int
	ended    []core.CallEnded
}

func (h *recorder) listen(p *core.Processor) {
	lock := func(f func()) error { h.mu.Lock(); defer h.mu.Unlock(); f(); return nil }
	p.OnStatus(func(_ context.Context, e core.StatusUpdate) error {
		return lock(func() { h.statuses = append(h.statuses, e.Status) })
	})
	p.OnMessages(func(_ context.Context, e core.Messages) error {
		return lock(func() { h.messages = append(h.messages, texts(e.New)...) })
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
	var h recorder
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
	equal(t, "messages", h.messages, []string{"line 0", "line 1", "line 2", "line 3", "line 4"})
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

// E2, E4, E5, E9: any order of arrival leads to the same state, and handlers get
// nothing twice.
func TestAnyOrderLeadsToTheSameState(t *testing.T) {
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
		var h recorder
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
		seen := map[string]int{}
		for _, s := range h.messages {
			if seen[s]++; seen[s] > 1 {
				t.Fatalf("seed %d: handlers got %q twice", seed, s)
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
func TestConcurrentInstances(t *testing.T) {
	var h recorder
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
	if c.MessageCount != 40 || len(c.Transcript) != 40 || len(h.messages) != 40 || len(h.ended) != 1 || c.PendingHandlers != 0 {
		t.Errorf("%d messages, handlers got %d, ended %d times, %d pending", c.MessageCount, len(h.messages), len(h.ended), c.PendingHandlers)
	}
}

// E19: two equal events without an id may both be real.
func TestEqualHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h recorder
		b := newBackend(t, h.listen)
		for _, wait := range []time.Duration{0, time.Second, time.Minute} {
			time.Sleep(wait)
			b.event(hang(0))
			b.deliver()
		}
		if c := b.read(callID); c.HangCount != 2 || h.hangs != 2 {
			t.Errorf("%d hangs, handlers got %d; want 2: one was sent twice, one happened a minute later", c.HangCount, h.hangs)
		}
	})
}

// E12: many hangs do not make the record of the call grow.
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

// E11: of two different reports the newer one counts, and the call ends once.
func TestTwoReports(t *testing.T) {
	var h recorder
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
func TestFailedHandlerIsRepeated(t *testing.T) {
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
	// In between the conversation continues.
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
		t.Errorf("the log contains messages:\n%s", b.logs)
	}
}

// A message that only a stale conversation had is delivered when a later one has
// it too: handlers must get everything that is in the transcript.
func TestMessageOfStaleConversationIsDeliveredLater(t *testing.T) {
	whole, cut := messages(0, 2), []string{message(0, "line 0"), message(1, "line 1 was inter")}
	for _, first := range [][]string{whole, cut} {
		var h recorder
		b := newBackend(t, h.listen)
		b.event(conversation(100, whole...))
		b.event(conversation(200, cut...))
		b.deliver()
		b.event(conversation(300, append(slices.Clone(first), messages(2, 3)...)...))
		b.deliver()
		for _, want := range texts(b.read(callID).Transcript) {
			if n := strings.Count(strings.Join(h.messages, "\n")+"\n", want+"\n"); n != 1 {
				t.Errorf("handlers got %q %d times: %q", want, n, h.messages)
			}
		}
	}
}
