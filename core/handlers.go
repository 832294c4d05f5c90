package core

import (
	"context"
	"fmt"
	"time"
)

// A StatusUpdate tells that a call's status has moved forward. It never moves
// back, and a step that was never sent is not made up: Previous may be any
// lower one. The event is the one that brought it, often a status-update.
type StatusUpdate struct {
	Event
	Previous Status
}

// Messages are what was said in a call since the last time: Interactly repeats
// the whole conversation, New is what was never there before. A message whose
// text was cut or changed, as when the caller interrupts, comes again under
// its ID with the text that counts.
type Messages struct {
	Event
	New []Message
}

// A Hang tells that the assistant was silent for 5 s or more
// (docs/events.md#hang). The call goes on.
type Hang struct{ Event }

// An ErrorEvent tells that a model or a voice failed (docs/events.md#error).
// Its Error is set.
type ErrorEvent struct{ Event }

// A Report is the end-of-call-report: analysis, cost, recording and the whole
// conversation, in [Event.Transcript]. Interactly sends one for a call; should
// another come that differs, Revision counts on from 1.
type Report struct {
	Event
	Revision int
}

// An EndReason says how we know that a call is over.
type EndReason string

const (
	EndReported EndReason = "reported"  // the report came
	EndNoReport EndReason = "no report" // it finished, and the report did not come in time
	EndSilent   EndReason = "silent"    // nothing was heard of it for too long
	EndRepaired EndReason = "repaired"  // the report never came; the API told the rest
)

// HasReport reports whether the end-of-call report of a call that ended so is
// stored: it was sent, or the API had it.
func (r EndReason) HasReport() bool { return r == EndReported || r == EndRepaired }

// CallEnded tells once that a call is over, with all that is known of it.
type CallEnded struct {
	Call   Call
	Reason EndReason
}

// handler is one function of the user's, for one effect.
type handler struct {
	name   string // kept in the store, to tell which are done
	effect effect
	run    func(ctx context.Context, o *occasion) error
}

// An occasion is a change, as handlers see it. Parts that cost reading are
// read when they are asked for.
type occasion struct {
	event    Event
	previous Status
	fresh    func(context.Context) ([]Message, error)
	revision int
	ended    func(context.Context) (CallEnded, error)
}

func (p *Processor) when(e effect, run func(ctx context.Context, o *occasion) error) {
	if p.bound {
		panic("core: the processor is bound already")
	}
	n := 0
	for _, h := range p.handlers {
		if h.effect == e {
			n++
		}
	}
	p.handlers = append(p.handlers, handler{name: fmt.Sprintf("%s/%d", e, n), effect: e, run: run})
}

// OnStatus adds a handler for a status that has moved forward.
//
// Like all handlers it runs after the event was acknowledged and merged, is
// repeated with the same change until it returns nil, and may so run more than
// once: what it does should be harmless to repeat. Handlers of one call may
// run at the same time, and in another order than what they tell of happened.
func (p *Processor) OnStatus(f func(ctx context.Context, e StatusUpdate) error) {
	p.when(effectStatus, func(ctx context.Context, o *occasion) error {
		return f(ctx, StatusUpdate{Event: o.event, Previous: o.previous})
	})
}

// OnMessages adds a handler for what was newly said.
func (p *Processor) OnMessages(f func(ctx context.Context, e Messages) error) {
	p.when(effectMessages, func(ctx context.Context, o *occasion) error {
		fresh, err := o.fresh(ctx)
		if err != nil {
			return err
		}
		return f(ctx, Messages{Event: o.event, New: fresh})
	})
}

// OnHang adds a handler for silences of the assistant.
func (p *Processor) OnHang(f func(ctx context.Context, e Hang) error) {
	p.when(effectHang, func(ctx context.Context, o *occasion) error { return f(ctx, Hang{o.event}) })
}

// OnError adds a handler for failures of models and voices.
func (p *Processor) OnError(f func(ctx context.Context, e ErrorEvent) error) {
	p.when(effectError, func(ctx context.Context, o *occasion) error { return f(ctx, ErrorEvent{o.event}) })
}

// OnReport adds a handler for the report. It may never run for a call, because
// the report is sent once and can be lost; [Processor.OnCallEnded] always
// does.
func (p *Processor) OnReport(f func(ctx context.Context, e Report) error) {
	p.when(effectReport, func(ctx context.Context, o *occasion) error {
		return f(ctx, Report{Event: o.event, Revision: o.revision})
	})
}

// OnCallEnded adds a handler for the end of a call. There is one end for each
// call: at its report, or when Sweep finds that none comes.
func (p *Processor) OnCallEnded(f func(ctx context.Context, e CallEnded) error) {
	p.when(effectEnded, func(ctx context.Context, o *occasion) error {
		e, err := o.ended(ctx)
		if err != nil {
			return err
		}
		return f(ctx, e)
	})
}

// handles returns the effects that somebody wants to hear of.
func (p *Processor) handles(es []effect) []effect {
	var wanted []effect
	for _, e := range es {
		for _, h := range p.handlers {
			if h.effect == e {
				wanted = append(wanted, e)
				break
			}
		}
	}
	return wanted
}

// handlerTime is how long the handlers of one event may take together. The
// inbox repeats what was not done.
const handlerTime = 50 * time.Second
