package core

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// Sweep ends calls that are over without a report, and runs the handlers of their
// end. An end that it only assumes, because the call has been silent for too long,
// is taken back by the next event or tool call. If the platform has a [Backfiller], it first fetches such a call from
// Interactly's API, and from time to time compares the list of the last day's
// calls with the stored ones. It tries quarantined bodies that another version of
// the program could not decode, and keeps quarantine within its bounds. Then it
// deletes what [calls.Retention] no longer keeps. A platform calls it about once a minute, on one instance or on several.
// An error with one call does not stop the others; Sweep returns all errors
// joined.
func (p *Processor) Sweep(ctx context.Context) error {
	if !p.bound {
		return ErrNotBound
	}
	var run backfiller
	if p.on.Backfill != nil {
		run = p.on.Backfill.start(p)
		defer run.log()
	}
	errs := p.sweepOpen(ctx, run)
	if run != nil {
		if err := run.listDue(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if err := p.sweepQuarantine(ctx); err != nil {
		errs = append(errs, err)
	}
	if err := p.retain(ctx); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sweepOpen sweeps every call that is in progress or has handlers left to run.
func (p *Processor) sweepOpen(ctx context.Context, run backfiller) (errs []error) {
	for after := ""; ; {
		recs, err := p.on.Store.Range(ctx, callstate.OpenDir, after, 100)
		if err != nil {
			return append(errs, err)
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			if err := p.sweepCall(ctx, event.CallID(r.Value), run); err != nil {
				errs = append(errs, err)
			}
		}
		if len(recs) < 100 {
			return errs
		}
	}
}

// sweepCall ends a call that is over, unless its backfill is still possible, and
// runs the handlers of an end by the sweep.
func (p *Processor) sweepCall(ctx context.Context, id event.CallID, run backfiller) error {
	recs, err := p.on.Store.Get(ctx, callstate.CallKey(id), callstate.OpenKey(id))
	if err != nil {
		return err
	}
	s, err := callstate.DecodeState(recs[0])
	if err != nil || recs[0].Version == 0 {
		return err
	}
	now := p.on.Now()
	why := s.Overdue(now, p.on.ReportTimeout, p.on.CallIdleTimeout)
	var waits bool
	if why != "" && run != nil {
		if waits, err = run.overdue(ctx, &s, recs, now); err != nil {
			p.log.Warn("backfill failed", "call", p.tag(id), "reason", err)
		}
	}
	if why != "" && !waits {
		c := callstate.Change{State: s, Entry: &callstate.Entry{V: 1, ID: callstate.SweepEnvelope, Received: now.UTC(), PrefixLen: s.Messages, EndedBySweep: why}}
		c.State.Entries++
		callstate.End(&c, now.UTC(), why)
		err := p.commit(ctx, &c, callstate.Pending{Envelope: callstate.SweepEnvelope, Previous: s.Status}, recs)
		if errors.Is(err, records.ErrStale) {
			return nil // an event arrived in between; the next sweep decides again
		}
		if err != nil {
			return err
		}
		p.log.Info("call ended", "call", p.tag(id), "reason", string(why))
		s = c.State
	}
	var errs []error
	for _, w := range s.Pending {
		if w.Envelope == callstate.SweepEnvelope { // the inbox repeats all others
			errs = append(errs, p.runHandlers(ctx, id, p.resume(id, event.Event{}, s, w)))
		}
	}
	return errors.Join(errs...)
}
