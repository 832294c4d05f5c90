package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// Calls without a report end anyway, once.
func TestSweep(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		wait   time.Duration
		reason event.EndReason // "" for a call in progress
	}{
		{"in progress", []string{status("ongoing", 0)}, 29 * time.Minute, ""},
		{"silent", []string{status("ongoing", 0)}, 30 * time.Minute, event.EndReasonIdleTimeout},
		{"finished, the report may still come", []string{status("finished", 0)}, time.Minute, ""},
		{"finished, no report", []string{status("finished", 0)}, 2 * time.Minute, event.EndReasonReportTimeout},
		{"failed, no report", []string{status("failed", 0)}, 2 * time.Minute, event.EndReasonReportTimeout},
		{"reported", []string{report(0)}, 24 * time.Hour, event.EndReasonReport},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h recorder
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
					t.Errorf("OnCallEnded ran %d times, want %d", len(h.ended), want)
				}
				// A late report is stored, and does not end the call again.
				b.event(report(0))
				b.deliver()
				want := 1
				if c.reason == event.EndReasonIdleTimeout {
					want = 2 // nobody had said that it was over
				}
				if len(h.ended) != want || c.reason == "" && h.ended[0].Reason != event.EndReasonReport {
					t.Errorf("OnCallEnded ran %d times after a late report, want %d", len(h.ended), want)
				}
				if s := b.read(callID).Analysis.Summary; s != "Booked a cleaning." {
					t.Errorf("late report: summary %q", s)
				}
			})
		})
	}
}

// A sign of life after an end that was only assumed takes it back: tools change
// something again, and the call ends once more when it does. An end that the
// sender stated stays.
func TestAssumedEndIsTakenBack(t *testing.T) {
	for _, c := range []struct {
		name     string
		first    string // the event before the silence
		life     func(b *backend)
		taken    bool
		lastTool string
	}{
		{"an event", status("ongoing", 0), func(b *backend) { b.event(conversation(0, messages(0, 1)...)); b.deliver() }, true, "ran"},
		{"a tool that changes something", status("ongoing", 0), func(b *backend) { b.call("/tools/change?call="+callID, "{}") }, true, "ran"},
		{"a tool that reads", status("ongoing", 0), func(b *backend) { b.call("/tools/look?call="+callID, "{}") }, true, "ran"},
		{"an event after a stated end", status("finished", 0), func(b *backend) { b.event(conversation(0, messages(0, 1)...)); b.deliver() }, false, "The call is over"},
		{"a tool after a stated end", status("finished", 0), func(b *backend) { b.call("/tools/look?call="+callID, "{}") }, false, "The call is over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h recorder
				b := newBackend(t, func(p *core.Processor) { h.listen(p); addLifeTools(p) })
				b.event(c.first)
				b.deliver()
				time.Sleep(40 * time.Minute)
				b.sweep()
				if got := b.read(callID); !got.Ended || len(h.ended) != 1 {
					t.Fatalf("ended %v, OnCallEnded ran %d times", got.Ended, len(h.ended))
				}
				time.Sleep(2 * time.Minute)
				c.life(b)
				b.Drain(t.Context())
				if got := b.read(callID); got.Ended == c.taken || len(h.ended) != 1 {
					t.Errorf("ended %v after a sign of life, OnCallEnded ran %d times", got.Ended, len(h.ended))
				}
				if got := b.call("/tools/change?call="+callID, `{"n":"2"}`); !strings.HasPrefix(got, c.lastTool) {
					t.Errorf("the tool says %q, want %q", got, c.lastTool)
				}
				b.event(report(0))
				b.deliver()
				want := 1
				if c.taken {
					want = 2
				}
				if got := b.read(callID); !got.Ended || len(h.ended) != want || c.taken && h.ended[1].Reason != event.EndReasonReport {
					t.Errorf("ended %v, OnCallEnded ran %d times, want %d", got.Ended, len(h.ended), want)
				}
			})
		})
	}
}

func addLifeTools(p *core.Processor) {
	type in struct {
		N string `json:"n,omitempty"`
	}
	core.AddTool(p, core.Tool{Name: "change"}, func(context.Context, in) (string, error) { return "ran", nil })
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, in) (string, error) { return "read", nil })
}

// A call in which only tools are called is alive, and that costs a commit a
// minute at most.
func TestToolCallsKeepACallAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h recorder
		b := newBackend(t, func(p *core.Processor) { h.listen(p); addLifeTools(p) })
		b.event(status("ongoing", 0))
		b.deliver()
		version := func() int64 {
			recs, err := b.store.Get(t.Context(), "calls/"+callID)
			if err != nil {
				t.Fatal(err)
			}
			return recs[0].Version
		}
		commits, before := 0, version()
		for range 2 * 3600 / 20 { // two hours, a tool every 20 s
			time.Sleep(20 * time.Second)
			b.call("/tools/look?call="+callID, "{}")
			b.Drain(t.Context())
			if now := version(); now != before {
				commits, before = commits+1, now
			}
			b.sweep()
		}
		if got := b.read(callID); got.Ended || len(h.ended) != 0 {
			t.Errorf("ended for %q while it was spoken", got.EndReason)
		}
		if commits > 120 || commits < 60 {
			t.Errorf("%d commits in 120 minutes", commits)
		}
		if recs, _ := b.store.Get(t.Context(), "calls/unknown"); recs[0].Version != 0 {
			t.Error("a tool call invented a call")
		}
		time.Sleep(31 * time.Minute)
		b.sweep()
		if got := b.read(callID); got.EndReason != event.EndReasonIdleTimeout {
			t.Errorf("still open after half an hour of silence: %+v", got.Summary)
		}
	})
}

// The handlers of an assumed end that have not run yet do not run after it was
// taken back.
func TestAssumedEndTakenBackBeforeItsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		var got []event.EndReason
		b := newBackend(t, func(p *core.Processor) {
			p.OnCallEnded(func(_ context.Context, e core.CallEnded) error {
				if down {
					return errors.New("down")
				}
				got = append(got, e.Reason)
				return nil
			})
		})
		b.event(status("ongoing", 0))
		b.deliver()
		time.Sleep(time.Hour)
		_ = b.Sweep(t.Context()) // its handler fails
		b.event(conversation(0, messages(0, 1)...))
		b.deliver()
		down = false
		b.sweep()
		if c := b.read(callID); c.Ended || c.PendingHandlers != 0 || len(got) != 0 {
			t.Errorf("ended %v, %d pending, OnCallEnded got %v", c.Ended, c.PendingHandlers, got)
		}
		b.event(report(0))
		b.deliver()
		equal(t, "ends", got, []event.EndReason{event.EndReasonReport})
	})
}

func (b *backend) sweep() {
	b.t.Helper()
	if err := b.Sweep(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// The sweep repeats the handlers of the ends that it found.
func TestSweepRepeatsHandlers(t *testing.T) {
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

// Where nothing runs after a reply, a sign of life is noted before it.
func TestSignOfLifeBeforeTheReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, addLifeTools, func(on *core.Platform) { on.BackgroundGrace = 0 })
		b.event(status("ongoing", 0))
		b.deliver()
		time.Sleep(time.Hour)
		b.sweep()
		b.call("/tools/look?call="+callID, "{}")
		if b.read(callID).Ended {
			t.Error("the call is over while it is spoken")
		}
	})
}
