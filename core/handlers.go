package core

import (
	"context"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A StatusUpdate reports that a call's status has moved forward. It never moves
// back, and a step that was never sent is not invented: Previous may be any
// lower status. The event is the one that carried it, often a status-update.
type StatusUpdate struct {
	event.Event
	Previous event.Status
}

// Messages are the new messages of a call: Interactly repeats the whole
// conversation, New has those that no handler was given before. A message whose
// text was cut or changed, as when the caller interrupts, is repeated under its
// ID with the text that counts.
type Messages struct {
	event.Event
	New []event.Message
}

// A Hang reports that the assistant was silent for at least 5 s
// (docs/events.md#hang). The call continues.
type Hang struct{ event.Event }

// An ErrorEvent reports that a model or a voice failed (docs/events.md#error).
// Its Error is set.
type ErrorEvent struct{ event.Event }

// A Report is the end-of-call-report: analysis, cost, recording and the whole
// conversation, in [Event.Transcript]. Interactly sends one for a call; should
// another come that differs, Revision counts on from 1.
type Report struct {
	event.Event
	Revision int
}

// CallEnded reports that a call is over, with its stored state.
type CallEnded struct {
	Call   calls.Call
	Reason event.EndReason
}

// A HandlerOption changes a handler: see [ForTenants].
type HandlerOption func(*handler)

// ForTenants makes a handler one for the events of some tenants only, by the names
// of their secrets:
//
//	p.OnReport(toNorthsCRM, core.ForTenants("north"))
func ForTenants(names ...string) HandlerOption {
	if len(names) == 0 {
		panic("core: ForTenants: no tenant is named")
	}
	return func(h *handler) { h.tenants = names }
}

// handler is one function of the user's, for one effect.
type handler struct {
	key     string // kept in the store, to know which are done
	place          // where it is in the program
	effect  callstate.Effect
	tenants []string // whose events it handles; nil: everybody's
	run     func(ctx context.Context, o *handlerInput) error
}

// A handlerInput is a change, as handlers see it. Parts that have to be read from
// the store are read on demand.
type handlerInput struct {
	event       event.Event
	previous    event.Status
	newMessages func(context.Context) ([]event.Message, error)
	revision    int
	ended       func(context.Context) (CallEnded, error)
}

// addHandler adds the function f, which run calls.
func (p *Processor) addHandler(f any, options []HandlerOption, e callstate.Effect, run func(ctx context.Context, o *handlerInput) error) {
	p.mustNotBeBound()
	mustBeFunction("a handler of "+string(e), f)
	n := 0
	for _, h := range p.handlers {
		if h.effect == e {
			n++
		}
	}
	h := handler{key: fmt.Sprintf("%s/%d", e, n), place: placeOf(f), effect: e, run: run}
	for _, change := range options {
		change(&h)
	}
	p.handlers = append(p.handlers, h)
}

func (p *Processor) mustNotBeBound() {
	if p.bound {
		panic("core: the processor is bound already")
	}
}

// OnEvent adds a handler for every event, of types that have a handler of their
// own and of types that core does not know. A duplicate is not an event: it
// was delivered before.
func (p *Processor) OnEvent(f func(ctx context.Context, e event.Event) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectEvent, func(ctx context.Context, o *handlerInput) error { return f(ctx, o.event) })
}

// OnStatus adds a handler for a status that has moved forward.
//
// Like all handlers it runs after the event was acknowledged and merged, is
// repeated with the same change until it returns nil, and so may run more than
// once: its effect should be harmless to repeat. Handlers of one call may run
// concurrently, and in another order than the events happened.
func (p *Processor) OnStatus(f func(ctx context.Context, e StatusUpdate) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectStatus, func(ctx context.Context, o *handlerInput) error {
		return f(ctx, StatusUpdate{Event: o.event, Previous: o.previous})
	})
}

// OnMessages adds a handler for new messages of a call.
func (p *Processor) OnMessages(f func(ctx context.Context, e Messages) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectMessages, func(ctx context.Context, o *handlerInput) error {
		fresh, err := o.newMessages(ctx)
		if err != nil {
			return err
		}
		return f(ctx, Messages{Event: o.event, New: fresh})
	})
}

// OnHang adds a handler for silences of the assistant.
func (p *Processor) OnHang(f func(ctx context.Context, e Hang) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectHang, func(ctx context.Context, o *handlerInput) error { return f(ctx, Hang{o.event}) })
}

// OnError adds a handler for failures of models and voices.
func (p *Processor) OnError(f func(ctx context.Context, e ErrorEvent) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectError, func(ctx context.Context, o *handlerInput) error { return f(ctx, ErrorEvent{o.event}) })
}

// OnReport adds a handler for the report. It may never run for a call, because
// the report is sent once and can be lost; [Processor.OnCallEnded] always
// does.
func (p *Processor) OnReport(f func(ctx context.Context, e Report) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectReport, func(ctx context.Context, o *handlerInput) error {
		return f(ctx, Report{Event: o.event, Revision: o.revision})
	})
}

// OnCallEnded adds a handler for the end of a call: at its report, or when Sweep
// finds that none comes. There is one for each call, with one exception: a call
// that was silent for too long is only assumed to be over
// ([event.EndReasonIdleTimeout]). The next event or tool call takes that back,
// tools work again, and the handler runs once more at the real end. One that
// stores what it is given under the call's ID needs to know nothing of that.
func (p *Processor) OnCallEnded(f func(ctx context.Context, e CallEnded) error, options ...HandlerOption) {
	p.addHandler(f, options, callstate.EffectEnded, func(ctx context.Context, o *handlerInput) error {
		e, err := o.ended(ctx)
		if err != nil || !e.Call.Ended { // an assumed end that was taken back meanwhile
			return err
		}
		return f(ctx, e)
	})
}

// handles returns the effects that have a handler for a tenant's events.
func (p *Processor) handles(tenant string, es []callstate.Effect) []callstate.Effect {
	var wanted []callstate.Effect
	for _, e := range es {
		for _, h := range p.handlers {
			if h.effect == e && serves(h.tenants, tenant) {
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
