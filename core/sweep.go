package core

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// sweepEnvelope stands for an envelope where the sweep ended a call.
const sweepEnvelope = "sweep"

// Sweep finds calls that are over without a report, ends them, and runs the
// handlers of their end. Where the platform has an [Backfiller], such a call is first
// asked for, and once in a while the list of the last day's calls is compared
// with ours. At last it deletes what the platform's [calls.Retention] keeps no longer.
// A platform calls it about once a minute, on one instance or on several. One
// call's trouble does not stop the others; the errors come back joined.
func (p *Processor) Sweep(ctx context.Context) error {
	if !p.bound {
		return ErrNotBound
	}
	var asks backfiller
	if p.on.Backfill != nil {
		asks = p.on.Backfill.round(p)
		defer asks.log()
	}
	errs := p.sweepOpen(ctx, asks)
	if asks != nil {
		if err := asks.listDue(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if err := p.retain(ctx); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sweepOpen looks at every call that is not done with.
func (p *Processor) sweepOpen(ctx context.Context, asks backfiller) (errs []error) {
	for after := ""; ; {
		recs, err := p.on.Store.Range(ctx, callstate.OpenDir, after, 100)
		if err != nil {
			return append(errs, err)
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			if err := p.sweepCall(ctx, event.CallID(r.Value), asks); err != nil {
				errs = append(errs, err)
			}
		}
		if len(recs) < 100 {
			return errs
		}
	}
}

func (p *Processor) sweepCall(ctx context.Context, id event.CallID, asks backfiller) error {
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
	if why != "" && asks != nil {
		if waits, err = asks.overdue(ctx, &s, recs, now); err != nil {
			p.log.Warn("repair", "call", p.tag(id), "reason", err)
		}
	}
	if why != "" && !waits {
		c := callstate.Change{State: s, Entry: &callstate.Entry{V: 1, ID: sweepEnvelope, Received: now.UTC(), PrefixLen: s.Messages, EndedBySweep: why}}
		c.State.Entries++
		callstate.End(&c, now.UTC(), why)
		err := p.commit(ctx, &c, callstate.Pending{Envelope: sweepEnvelope, Previous: s.Status}, recs)
		if errors.Is(err, records.ErrStale) {
			return nil // something came after all; the next sweep looks again
		}
		if err != nil {
			return err
		}
		p.log.Info("call ended", "call", p.tag(id), "reason", string(why))
		s = c.State
	}
	var errs []error
	for _, w := range s.Pending {
		if w.Envelope == sweepEnvelope { // the others are repeated by the inbox
			errs = append(errs, p.runHandlers(ctx, id, p.resume(id, event.Event{}, s, w)))
		}
	}
	return errors.Join(errs...)
}
