package core

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

const (
	// anonymousDedupWindow is how long requests that name no call are duplicates:
	// as long as Interactly's longest call by default (docs/events.md#assistant).
	// After that the request is another caller's.
	anonymousDedupWindow = 15 * time.Minute

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

	// maxCallID is the longest id of a call, a tool call or an envelope.
	maxCallID = 256
)

// A step is what to do next about a request, given its record.
type step int

const (
	stepClaim       step = iota // it has no owner: claim it and run
	stepReplay                  // it has run: send the stored result
	stepWait                    // its owner is alive: wait for the result
	stepMarkUnknown             // its owner is dead: store that
	stepReconcile               // the outcome is unknown: ask the tool
	stepRefuse                  // the outcome is unknown, and the tool cannot tell us
)

// next is the whole rule of idempotency, as a pure function. age is that of the
// record by the store's clock, lease the longest that an owner can live.
func next(t *tool, rec callstate.ToolRecord, found bool, age, lease time.Duration) step {
	switch {
	case !found:
		return stepClaim
	case rec.V != callstate.ToolRecordVersion:
		return stepWait // its owner is another version of the program
	case rec.State == callstate.ToolNotApplied:
		return stepClaim
	case rec.State == callstate.ToolDone || rec.State == callstate.ToolFailed:
		return stepReplay
	case rec.State == callstate.ToolRunning && age < lease:
		return stepWait
	case t.Effect == Idempotent, fault.Mutated("rerun-unconfirmed"):
		return stepClaim
	case rec.State == callstate.ToolRunning:
		return stepMarkUnknown
	case t.reconcile != nil:
		return stepReconcile
	}
	return stepRefuse
}

// runOnce runs a tool that changes something at most once for the same request,
// and answers every duplicate with the same bytes. ctx ends at the reply
// deadline.
func (p *Processor) runOnce(ctx context.Context, t *tool, q toolRequest, canon []byte) toolAnswer {
	if !validID(string(q.call)) {
		q.call = "" // as if there were none
	}
	if !validID(q.id) {
		q.id = ""
	}
	c := newClaim(t, q, canon)
	for {
		f, leads := p.inflight.join(c.key + c.idKey)
		if leads {
			return p.inflight.run(c.key+c.idKey, f, func() toolAnswer { return p.runAcrossInstances(ctx, c) })
		}
		select {
		case <-f.landed:
			if a := f.answer; a.shared() {
				a.replayed = true
				return a
			}
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
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
		rec, raw, refusal, err := p.lookUp(opening, c)
		switch {
		case err != nil && opening != ctx:
			return toolAnswer{result: sayNotNow, state: "store down"}
		case err != nil: // it runs elsewhere: the store may recover in time
		case refusal != "":
			return toolAnswer{result: refusal, state: "refused"}
		default:
			s := next(c.t, rec, raw.Version != 0, raw.Age, p.lease(c.t))
			if s == stepWait {
				break
			}
			if a, ok := p.takeStep(ctx, opening, c, s, rec, raw); ok {
				return a
			}
			continue // the record has changed
		}
		opening = ctx // it waits for the result now, for the rest of the budget
		select {
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
		case <-time.After(pause/2 + mathrand.N(pause)/2):
			pause = min(2*pause, pollLast)
		}
	}
}

// takeStep does what next decided about a record. ok is false if the record has
// changed, and is to be read again. opening bounds the claim.
func (p *Processor) takeStep(ctx, opening context.Context, c *claim, s step, rec callstate.ToolRecord, raw records.Record) (a toolAnswer, ok bool) {
	switch s {
	case stepClaim:
		if due, _ := ctx.Deadline(); time.Until(due) < minRunTime {
			return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}, true
		}
		mine, err := p.claim(opening, c, rec, raw.Version)
		if errors.Is(err, records.ErrStale) && fault.Mutated("no-claim-condition") {
			err = nil
		}
		switch {
		case errors.Is(err, records.ErrStale):
			return toolAnswer{}, false // another instance was faster
		case err != nil:
			return toolAnswer{result: sayNotNow, state: "store down"}, true
		}
		return p.runClaimed(ctx, c, mine), true
	case stepReplay:
		return toolAnswer{result: rec.Result, state: string(rec.State), replayed: true}, true
	case stepMarkUnknown:
		rec.State = callstate.ToolIndeterminate
		if err := p.write(ctx, c, rec, raw.Version); err == nil || errors.Is(err, records.ErrStale) {
			return toolAnswer{}, false
		}
	case stepReconcile:
		return p.reconcile(ctx, c, rec, raw.Version)
	case stepRefuse, stepWait:
	}
	return toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}, true
}

// lease returns how long the owner of a run of t can live.
func (p *Processor) lease(t *tool) time.Duration { return t.Budget + p.on.BackgroundGrace + leaseSlack }

// isSaid reports whether an error has a sentence for the caller, and so is the
// tool's own decision.
func isSaid(err error) bool {
	_, ok := errors.AsType[*SayError](err)
	return ok
}

// validID reports whether an id can identify something.
func validID(id string) bool {
	return strings.TrimSpace(id) != "" && len(id) <= maxCallID && !strings.ContainsFunc(id, unicode.IsControl)
}
