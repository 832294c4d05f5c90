package core_test

import (
	"context"
	"errors"
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
				if c.reason != "" && len(h.ended) != 1 {
					t.Errorf("OnCallEnded ran %d times after a late report", len(h.ended))
				}
				if s := b.read(callID).Analysis.Summary; s != "Booked a cleaning." {
					t.Errorf("late report: summary %q", s)
				}
			})
		})
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
