package core

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

const (
	// anonymousWindow is how long a request that names neither its call nor its
	// caller has duplicates: a model that asks twice, or a sender that retries.
	// After that the same request is somebody else's.
	anonymousWindow = 20 * time.Second

	// callerWindow is the same for a request that names its caller: as long as
	// Interactly's longest call by default (docs/events.md#assistant).
	callerWindow = 15 * time.Minute

	// anonymousKeep is for how long records of requests without a call exist. It
	// is longer than the windows, because it is set by the instances' own clocks.
	anonymousKeep = 30 * time.Minute

	// leaseSlack is added to the longest time that a run may take, until its owner
	// is considered dead.
	leaseSlack = 30 * time.Second

	// postCallGrace is how long after the end of a call its last requests may still
	// change something.
	postCallGrace = time.Minute

	// Duplicates read the store at these intervals, growing, for the result.
	pollFirst, pollLast = 25 * time.Millisecond, 250 * time.Millisecond

	// minRunTime is what must be left of the budget to start a run after waiting
	// for another one: a run that is cut off has an unknown outcome.
	minRunTime = 100 * time.Millisecond

	// claimBudgetShare is the part of the budget that claiming may take; the tool
	// needs the rest.
	claimBudgetShare = 0.3
)

// A step is what to do next about a request, given its record.
type step int

const (
	stepClaim       step = iota // it has no owner: claim it and run
	stepClaimAnew               // it has been decided, and is wanted again: claim a new generation and run
	stepReplay                  // it has run: send the stored result
	stepCheck                   // it has run, for an earlier request: find out whether anything has changed since
	stepWait                    // its owner is alive: wait for the result
	stepMarkUnknown             // its owner is dead: store that
	stepReconcile               // the outcome is unknown: ask the tool
	stepRefuse                  // the outcome is unknown, and the tool cannot tell us
	stepAskAgain                // it has run, and something has changed since: ask the tool whether its effect still holds
	stepDecline                 // it has run, something has changed since, and the tool cannot tell us
)

// next is the rule of idempotency, as a pure function; [afterDone] continues it.
// lease is the longest that an owner can live, window how long the request has
// duplicates (0: as long as its call is known).
func next(t *tool, f found, lease, window time.Duration) step {
	state, age := f.rec.State, f.raw.Age
	switch {
	case f.raw.Version == 0:
		return stepClaim
	case f.rec.V == 0:
		return stepWait // its owner is another version of the program
	case state == callstate.ToolRunning && age < lease:
		return stepWait
	case state == callstate.ToolRunning && (t.Effect == Idempotent || fault.Mutated("rerun-unconfirmed")):
		return stepClaim
	case state == callstate.ToolRunning:
		return stepMarkUnknown
	case window > 0 && age > window:
		return stepClaimAnew // by now it is another caller's
	case state == callstate.ToolAbsent:
		return stepClaim
	case f.same && (state == callstate.ToolDone || state == callstate.ToolNotApplied):
		return stepReplay
	case state == callstate.ToolNotApplied, state == callstate.ToolFailed && t.Effect == Idempotent:
		return stepClaimAnew
	case state == callstate.ToolDone:
		return stepCheck
	case state == callstate.ToolFailed:
		return stepReplay
	case t.Effect == Idempotent, fault.Mutated("rerun-unconfirmed"):
		return stepClaim
	case t.reconcile != nil:
		return stepReconcile
	}
	return stepRefuse
}

// afterDone is the rule for a request that has been done, and is made again: its
// answer is repeated only while it is true.
func afterDone(t *tool, s scope, since changes) step {
	switch {
	case since.running:
		return stepWait // what changes something is done in the order in which it was asked for
	case !since.any && (s.counted && s.window == 0 || t.reconcile == nil), fault.Mutated("replay-stale"):
		return stepReplay
	case t.Effect == Idempotent:
		return stepClaimAnew
	case t.reconcile != nil:
		return stepAskAgain
	case since.undone:
		return stepClaimAnew
	}
	return stepDecline
}

// runOnce runs a tool that changes something at most once for the same request,
// and answers every duplicate with the same bytes. ctx ends at the reply
// deadline.
func (p *Processor) runOnce(ctx context.Context, t *tool, q toolRequest, canon []byte) toolAnswer {
	if p.usedIDs.has(q.call, q.id) {
		q.id = ""
	}
	c := newClaim(t, q, canon)
	for {
		f, leads := p.inflight.join(c.key + c.idKey)
		if leads {
			return p.inflight.run(c.key+c.idKey, f, q.say, func() toolAnswer { return p.runAcrossInstances(ctx, c) })
		}
		select {
		case <-f.landed:
			if a := f.answer; a.shared() {
				a.replayed = true
				return a
			}
		case <-ctx.Done():
			return toolAnswer{result: q.say().Working, state: callstate.ToolTimedOut}
		}
	}
}

// runAcrossInstances is runOnce among instances; singleflight has joined the
// duplicates within this one. It takes steps until one of them has an answer.
func (p *Processor) runAcrossInstances(ctx context.Context, c *claim) toolAnswer {
	due, _ := ctx.Deadline()
	opening, cancel := context.WithTimeout(ctx, time.Duration(float64(time.Until(due))*claimBudgetShare))
	defer cancel()
	for pause := pollFirst; ; {
		s, f, err := p.decide(opening, c)
		switch {
		case err != nil && opening != ctx:
			return toolAnswer{result: c.q.say().Unreachable, state: callstate.ToolStoreDown}
		case err != nil: // the store may recover in time
		case s == stepWait && f.rec.State == callstate.ToolRunning: // it runs elsewhere, for this delivery too
			p.noteDelivery(ctx, c, f, toolAnswer{})
		case s == stepWait: // something else runs
		default:
			if a, ok := p.takeStep(ctx, opening, c, s, f); ok {
				return a
			}
			continue // the record has changed
		}
		opening = ctx // it waits for the result now, for the rest of the budget
		select {
		case <-ctx.Done():
			return toolAnswer{result: c.q.say().Working, state: callstate.ToolTimedOut}
		case <-time.After(pause/2 + mathrand.N(pause)/2):
			pause = min(2*pause, pollLast)
		}
	}
}

// decide reads what is known of a request and returns what to do about it.
func (p *Processor) decide(ctx context.Context, c *claim) (step, found, error) {
	f, err := p.lookUp(ctx, c)
	if err != nil {
		return stepWait, f, err
	}
	if f.same && f.delivery.State != "" {
		f.rec.State, f.rec.Result = f.delivery.State, f.delivery.Result
		return stepReplay, f, nil
	}
	s := next(c.t, f, p.lease(c.t), c.window)
	if s != stepCheck {
		return s, f, nil
	}
	since, err := p.changesSince(ctx, c, f)
	return afterDone(c.t, c.scope, since), f, err
}

// takeStep does what decide returned. ok is false if the record has changed, and
// is to be read again. opening bounds the claim.
func (p *Processor) takeStep(ctx, opening context.Context, c *claim, s step, f found) (a toolAnswer, ok bool) {
	switch s {
	case stepClaim, stepClaimAnew:
		return p.claimAndRun(ctx, opening, c, f, s == stepClaimAnew)
	case stepReplay:
		a = toolAnswer{result: f.rec.Result, state: string(f.rec.State), replayed: true}
		p.noteDelivery(ctx, c, f, a)
		return a, true
	case stepDecline:
		return p.decline(ctx, c, f), true
	case stepMarkUnknown:
		f.rec.State = callstate.ToolIndeterminate
		if err := p.write(ctx, c, f, f.rec); err == nil || errors.Is(err, records.ErrStale) {
			return toolAnswer{}, false
		}
	case stepReconcile:
		return p.reconcile(ctx, c, f)
	case stepAskAgain:
		return p.askAgain(ctx, opening, c, f)
	case stepRefuse, stepCheck, stepWait:
	}
	a = toolAnswer{result: c.q.say().Uncertain, state: string(callstate.ToolIndeterminate)}
	if f.rec.Result != "" { // in the tool's own words
		a.result = f.rec.Result
	}
	return a, true
}

// claimAndRun makes this instance the owner of a run, and runs the tool.
func (p *Processor) claimAndRun(ctx, opening context.Context, c *claim, f found, anew bool) (a toolAnswer, ok bool) {
	if due, _ := ctx.Deadline(); time.Until(due) < minRunTime {
		return toolAnswer{result: c.q.say().NotStarted, state: callstate.ToolNotStarted}, true
	}
	if f.ended {
		return toolAnswer{result: c.q.say().CallOver, state: callstate.ToolRefused}, true
	}
	mine, err := p.claim(opening, c, f, anew)
	if errors.Is(err, records.ErrStale) && fault.Mutated("no-claim-condition") {
		err = nil
	}
	switch {
	case errors.Is(err, records.ErrStale):
		return toolAnswer{}, false // another instance was faster
	case err != nil:
		return toolAnswer{result: c.q.say().Unreachable, state: callstate.ToolStoreDown}, true
	}
	return p.runClaimed(ctx, c, mine), true
}

// decline answers a request that was done before, when it is unknown
// whether that still holds.
func (p *Processor) decline(ctx context.Context, c *claim, f found) toolAnswer {
	a := toolAnswer{result: c.q.say().DoneBefore, state: callstate.ToolDoneBefore}
	p.noteDelivery(ctx, c, f, a)
	return a
}

// lease returns how long the owner of a run of t can live.
func (p *Processor) lease(t *tool) time.Duration { return t.Budget + p.on.BackgroundGrace + leaseSlack }
