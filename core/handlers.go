package core

import (
	"context"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A StatusUpdate tells that a call's status has moved forward. It never moves
// back, and a step that was never sent is not made up: Previous may be any
// lower one. The event is the one that brought it, often a status-update.
type StatusUpdate struct {
	event.Event
	Previous event.Status
}

// Messages are what was said in a call since the last time: Interactly repeats
// the whole conversation, New is what was never there before. A message whose
// text was cut or changed, as when the caller interrupts, comes again under
// its ID with the text that counts.
type Messages struct {
	event.Event
	New []event.Message
}

// A Hang tells that the assistant was silent for 5 s or more
// (docs/events.md#hang). The call goes on.
type Hang struct{ event.Event }

// An ErrorEvent tells that a model or a voice failed (docs/events.md#error).
// Its Error is set.
type ErrorEvent struct{ event.Event }

// A Report is the end-of-call-report: analysis, cost, recording and the whole
// conversation, in [Event.Transcript]. Interactly sends one for a call; should
// another come that differs, Revision counts on from 1.
type Report struct {
	event.Event
	Revision int
}

// CallEnded tells once that a call is over, with all that is known of it.
type CallEnded struct {
	Call   calls.Call
	Reason event.EndReason
}

// handler is one function of the user's, for one effect.
type handler struct {
	name   string // kept in the store, to tell which are done
	effect callstate.Effect
	run    func(ctx context.Context, o *handlerInput) error
}

// An handlerInput is a change, as handlers see it. Parts that cost reading are
// read when they are asked for.
type handlerInput struct {
	event       event.Event
	previous    event.Status
	newMessages func(context.Context) ([]event.Message, error)
	revision    int
	ended       func(context.Context) (CallEnded, error)
}

func (p *Processor) addHandler(e callstate.Effect, run func(ctx context.Context, o *handlerInput) error) {
	p.mustNotBeBound()
	n := 0
	for _, h := range p.handlers {
		if h.effect == e {
			n++
		}
	}
	p.handlers = append(p.handlers, handler{name: fmt.Sprintf("%s/%d", e, n), effect: e, run: run})
}

func (p *Processor) mustNotBeBound() {
	if p.bound {
		panic("core: the processor is bound already")
	}
}

// OnEvent adds a handler for every event, of types that have a handler of their
// own and of types that core does not know. A duplicate is not an event: it
// was delivered before.
func (p *Processor) OnEvent(f func(ctx context.Context, e event.Event) error) {
	p.addHandler(callstate.EffectEvent, func(ctx context.Context, o *handlerInput) error { return f(ctx, o.event) })
}

// OnStatus adds a handler for a status that has moved forward.
//
// Like all handlers it runs after the event was acknowledged and merged, is
// repeated with the same change until it returns nil, and may so run more than
// once: what it does should be harmless to repeat. Handlers of one call may
// run at the same time, and in another order than what they tell of happened.
func (p *Processor) OnStatus(f func(ctx context.Context, e StatusUpdate) error) {
	p.addHandler(callstate.EffectStatus, func(ctx context.Context, o *handlerInput) error {
		return f(ctx, StatusUpdate{Event: o.event, Previous: o.previous})
	})
}

// OnMessages adds a handler for what was newly said.
func (p *Processor) OnMessages(f func(ctx context.Context, e Messages) error) {
	p.addHandler(callstate.EffectMessages, func(ctx context.Context, o *handlerInput) error {
		fresh, err := o.newMessages(ctx)
		if err != nil {
			return err
		}
		return f(ctx, Messages{Event: o.event, New: fresh})
	})
}

// OnHang adds a handler for silences of the assistant.
func (p *Processor) OnHang(f func(ctx context.Context, e Hang) error) {
	p.addHandler(callstate.EffectHang, func(ctx context.Context, o *handlerInput) error { return f(ctx, Hang{o.event}) })
}

// OnError adds a handler for failures of models and voices.
func (p *Processor) OnError(f func(ctx context.Context, e ErrorEvent) error) {
	p.addHandler(callstate.EffectError, func(ctx context.Context, o *handlerInput) error { return f(ctx, ErrorEvent{o.event}) })
}

// OnReport adds a handler for the report. It may never run for a call, because
// the report is sent once and can be lost; [Processor.OnCallEnded] always
// does.
func (p *Processor) OnReport(f func(ctx context.Context, e Report) error) {
	p.addHandler(callstate.EffectReport, func(ctx context.Context, o *handlerInput) error {
		return f(ctx, Report{Event: o.event, Revision: o.revision})
	})
}

// OnCallEnded adds a handler for the end of a call. There is one end for each
// call: at its report, or when Sweep finds that none comes.
func (p *Processor) OnCallEnded(f func(ctx context.Context, e CallEnded) error) {
	p.addHandler(callstate.EffectEnded, func(ctx context.Context, o *handlerInput) error {
		e, err := o.ended(ctx)
		if err != nil {
			return err
		}
		return f(ctx, e)
	})
}

// handles returns the effects that somebody wants to hear of.
func (p *Processor) handles(es []callstate.Effect) []callstate.Effect {
	var wanted []callstate.Effect
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

// handlersTimeout is how long the handlers of one event may take together. The
// inbox repeats what was not done.
const handlersTimeout = 50 * time.Second
