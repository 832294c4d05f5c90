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
	// anonymousDedupWindow is how long a request that names no call counts as the same
	// as one before it: Interactly's default longest call
	// (docs/events.md#assistant). Later it is another caller's.
	anonymousDedupWindow = 15 * time.Minute

	// leaseSlack is added to the longest time that a run may take before its
	// owner counts as dead.
	leaseSlack = 30 * time.Second

	// postCallGrace is how long after a call's end its last requests may still
	// change something.
	postCallGrace = time.Minute

	// Duplicates ask for the result at these intervals, growing.
	pollFirst, pollLast = 25 * time.Millisecond, 250 * time.Millisecond

	// minRunTime is what must be left of the budget to begin a run after waiting
	// for another's: one that is cut off leaves its outcome open.
	minRunTime = 100 * time.Millisecond

	// claimBudgetShare is the part of the budget that claiming may take, because
	// the tool needs the rest.
	claimBudgetShare = 0.3

	maxCallID = 256
)

// A step is what to do next about a request, given its record.
type step int

const (
	stepClaim       step = iota // nobody runs it: claim it and run
	stepReplay                  // it has run: send what was sent
	stepWait                    // someone runs it: wait for the result
	stepMarkUnknown             // its owner is gone: write that down
	stepReconcile               // nobody knows: ask the tool
	stepRefuse                  // nobody knows, and nobody can be asked
)

// next decides. It is the whole rule of once, and reads nothing but what it is
// given: age is the record's by the store's clock, lease the longest that an
// owner can live.
func next(t *tool, rec callstate.ToolRecord, found bool, age, lease time.Duration) step {
	switch {
	case !found:
		return stepClaim
	case rec.V != callstate.ToolRecordVersion:
		return stepWait // another version of the program owns it
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

// runOnce runs a tool that changes something at most runOnce for the same request,
// and answers every duplicate with the same bytes. ctx ends when the reply is
// due.
func (p *Processor) runOnce(ctx context.Context, t *tool, q toolRequest, canon []byte) toolAnswer {
	if q.needsIDs && (!validID(q.id) || !validID(string(q.call))) {
		return toolAnswer{result: sayNoID, state: "refused"}
	}
	if !validID(string(q.call)) {
		q.call = "" // as if the URL did not tell
	}
	c, err := newClaim(t, q, canon)
	if err != nil {
		return toolAnswer{result: sayArguments, state: "refused"}
	}
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

// runAcrossInstances is once among instances; flights has settled it within this one.
func (p *Processor) runAcrossInstances(ctx context.Context, c *claim) toolAnswer {
	lease := p.lease(c.t)
	due, _ := ctx.Deadline()
	opening, cancel := context.WithTimeout(ctx, time.Duration(float64(time.Until(due))*claimBudgetShare))
	defer cancel()
	for pause := pollFirst; ; {
		rec, raw, refusal, err := p.lookUp(opening, c)
		switch {
		case err != nil && opening != ctx:
			return toolAnswer{result: sayNotNow, state: "store down"}
		case err != nil: // it was seen to run elsewhere: the store may come back
		case refusal != "":
			return toolAnswer{result: refusal, state: "refused"}
		default:
			switch next(c.t, rec, raw.Version != 0, raw.Age, lease) {
			case stepClaim:
				if time.Until(due) < minRunTime {
					return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
				}
				mine, err := p.claim(opening, c, rec, raw.Version)
				if errors.Is(err, records.ErrStale) && fault.Mutated("no-claim-condition") {
					err = nil
				}
				if errors.Is(err, records.ErrStale) {
					continue // somebody was faster
				}
				if err != nil {
					return toolAnswer{result: sayNotNow, state: "store down"}
				}
				return p.runClaimed(ctx, c, mine)
			case stepReplay:
				return toolAnswer{result: rec.Result, state: string(rec.State), replayed: true}
			case stepMarkUnknown:
				rec.State = callstate.ToolIndeterminate
				if err := p.write(ctx, c, rec, raw.Version); err != nil && !errors.Is(err, records.ErrStale) {
					return toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}
				}
				continue
			case stepReconcile:
				if a, ok := p.reconcile(ctx, c, rec, raw.Version); ok {
					return a
				}
				continue
			case stepRefuse:
				return toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}
			case stepWait:
			}
		}
		opening = ctx // from here on it waits, for all that is left
		select {
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
		case <-time.After(pause/2 + mathrand.N(pause)/2):
			pause = min(2*pause, pollLast)
		}
	}
}

// lease is how long an owner of a run of t can live.
func (p *Processor) lease(t *tool) time.Duration { return t.Budget + p.on.BackgroundGrace + leaseSlack }

func isSaid(err error) bool {
	_, ok := errors.AsType[*SayError](err)
	return ok
}

// validID reports whether an id can tell one thing from another.
func validID(id string) bool {
	return strings.TrimSpace(id) != "" && len(id) <= maxCallID && !strings.ContainsFunc(id, unicode.IsControl)
}
