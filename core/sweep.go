package core

import (
	"context"
	"errors"
	"time"
)

// sweepEnvelope stands for an envelope where the sweep ended a call.
const sweepEnvelope = "sweep"

// Sweep finds calls that are over without a report, ends them, and runs the
// handlers of their end. Where the platform has an [Asker], such a call is first
// asked for, and once in a while the list of the last day's calls is compared
// with ours. At last it deletes what the platform's [Retention] keeps no longer.
// A platform calls it about once a minute, on one instance or on several. One
// call's trouble does not stop the others; the errors come back joined.
func (p *Processor) Sweep(ctx context.Context) error {
	if !p.bound {
		return ErrNotBound
	}
	var asks rounds
	if p.on.Repair != nil {
		asks = p.on.Repair.round(p)
		defer asks.say()
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
func (p *Processor) sweepOpen(ctx context.Context, asks rounds) (errs []error) {
	for after := ""; ; {
		recs, err := p.on.Store.Range(ctx, openDir, after, 100)
		if err != nil {
			return append(errs, err)
		}
		for _, r := range recs {
			_, after, _ = SplitKey(r.Key)
			if err := p.sweepCall(ctx, CallID(r.Value), asks); err != nil {
				errs = append(errs, err)
			}
		}
		if len(recs) < 100 {
			return errs
		}
	}
}

func (p *Processor) sweepCall(ctx context.Context, id CallID, asks rounds) error {
	recs, err := p.on.Store.Get(ctx, callKey(id), openKey(id))
	if err != nil {
		return err
	}
	s, err := decodeState(recs[0])
	if err != nil || recs[0].Version == 0 {
		return err
	}
	now := p.on.Now()
	why := s.overdue(now, p.on.ReportWait, p.on.CallLimit)
	var waits bool
	if why != "" && asks != nil {
		if waits, err = asks.overdue(ctx, &s, recs, now); err != nil {
			p.log.Warn("repair", "call", p.tag(id), "reason", err)
		}
	}
	if why != "" && !waits {
		c := change{state: s, entry: &entry{V: 1, ID: sweepEnvelope, Received: now.UTC(), Keep: s.Messages, Sweep: why}}
		c.state.Entries++
		endCall(&c, now.UTC(), why)
		err := p.commit(ctx, &c, pending{Envelope: sweepEnvelope, Previous: s.Status}, recs)
		if errors.Is(err, ErrStale) {
			return nil // something came after all; the next sweep looks again
		}
		if err != nil {
			return err
		}
		p.log.Info("call ended", "call", p.tag(id), "reason", string(why))
		s = c.state
	}
	var errs []error
	for _, w := range s.Pending {
		if w.Envelope == sweepEnvelope { // the others are repeated by the inbox
			errs = append(errs, p.runHandlers(ctx, id, p.resume(id, Event{}, s, w)))
		}
	}
	return errors.Join(errs...)
}

// overdue says why the call counts as over at now, or "".
func (s *callState) overdue(now time.Time, reportWait, callLimit time.Duration) EndReason {
	quiet := now.Sub(s.Last)
	switch {
	case s.Ended != nil:
		return ""
	case s.Status.Terminal() && quiet >= reportWait:
		return EndNoReport
	case quiet >= callLimit:
		return EndSilent
	}
	return ""
}
