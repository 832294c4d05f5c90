package core

import (
	"context"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An Operation is what a Processor begins to do for an authenticated sender: a
// tool call, or the delivery of an event to its call and its handlers.
type Operation struct {
	Tool  string       // the tool's name, "" for an event or for what is not a name
	Event event.Type   // the event's type, "" for a tool call
	Call  event.CallID // "" if it is not known
}

// OnStart adds a hook that is called when an operation begins, with the context
// of its request or delivery. It returns the context in which the tool or the
// handlers run, and a function, never nil, that is called once when the
// operation is over, with its outcome: done, failed, timed_out, indeterminate
// and so on, never a text of the sender's. This is the place to begin a span:
//
//	p.OnStart(func(ctx context.Context, op core.Operation) (context.Context, func(string)) {
//		ctx, span := tracer.Start(ctx, cmp.Or(op.Tool, string(op.Event)))
//		return ctx, func(outcome string) { span.SetAttributes(attribute.String("outcome", outcome)); span.End() }
//	})
//
// Hooks run while the sender waits, from several goroutines at a time. Like
// tools and handlers, they are added before Bind. What a hook is given holds
// patients' data: a call's id.
func (p *Processor) OnStart(f func(ctx context.Context, op Operation) (context.Context, func(outcome string))) {
	p.mustNotBeBound()
	mustBeFunction("OnStart", f)
	p.onStart = append(p.onStart, f)
}

// begin calls the start hooks; end calls what they returned, last first.
func (p *Processor) begin(ctx context.Context, op Operation) (_ context.Context, end func(outcome string)) {
	if len(p.onStart) == 0 {
		return ctx, func(string) {}
	}
	ends := make([]func(string), len(p.onStart))
	for i, f := range p.onStart {
		ctx, ends[i] = f(ctx, op)
	}
	return ctx, func(outcome string) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](outcome)
		}
	}
}

// An Observation is something that the Processor has done: see
// [Processor.Observe]. Exactly one of its fields is set.
type Observation struct {
	Tool  *calls.ToolRequest  // a tool request was answered
	Event *calls.EventArrival // an event was merged into its call, or was a duplicate
}

// Observe adds an observer, which is called after each tool request is
// answered and after each event is merged. It is called for authenticated requests
// only. It is called while the sender waits, from several goroutines at a
// time, so it must return at once. Observers are added before Bind; what they
// are given holds patients' data.
func (p *Processor) Observe(f func(Observation)) {
	p.mustNotBeBound()
	mustBeFunction("Observe", f)
	p.observe = append(p.observe, f)
}

func (p *Processor) notify(o Observation) {
	for _, f := range p.observe {
		f(o)
	}
}

// maxKeptArgs is the most bytes of arguments that an observer is given.
const maxKeptArgs = 32 << 10

// toolRecorder collects the calls of one request.
type toolRecorder struct {
	mu    sync.Mutex
	calls []calls.ToolRequest
}

type toolRecorderKey struct{}

// withRecorder returns a context that collects tool calls, and the collection;
// nil if there is no observer.
func (p *Processor) withRecorder(ctx context.Context) (context.Context, *toolRecorder) {
	if len(p.observe) == 0 {
		return ctx, nil
	}
	w := new(toolRecorder)
	return context.WithValue(ctx, toolRecorderKey{}, w), w
}

// recordToolCall adds a call that was answered.
func (p *Processor) recordToolCall(ctx context.Context, q toolRequest, a toolAnswer, at time.Time) {
	w, _ := ctx.Value(toolRecorderKey{}).(*toolRecorder)
	if w == nil {
		return
	}
	r := calls.ToolRequest{ReceivedAt: at.UTC(), Latency: p.on.Now().Sub(at), ToolCallID: q.id, State: a.state, Replayed: a.replayed,
		Result: a.result, Tool: nameOf(q.name), Tenant: q.from.tenant(), Call: q.call}
	if t := p.tools[q.name]; t != nil {
		if r.Budget = t.Budget; p.on.ReplyTimeout > 0 {
			r.Budget = min(r.Budget, p.on.ReplyTimeout-replyMargin)
		}
		sent := q.args
		if canon, err := t.read(q, func() Call { return CallFrom(ctx) }); err == nil {
			sent = canon
			r.DedupKey = callstate.Digest("same", r.Tenant, string(r.Call), r.Tool, string(t.sentArguments(r.Call, canon))+q.listed(t))[:16]
		}
		r.Args = redactedArgs(sent, &p.on.Verifier)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, r)
}

func redactedArgs(args jsontext.Value, v *auth.Verifier) jsontext.Value {
	redacted := jsontext.Value(v.Redact(nil, args)).Clone()
	if len(redacted) > maxKeptArgs || !redacted.IsValid() {
		return nil
	}
	return redacted
}

// knownTool returns the name of a tool, or "" if there is none: the sender may have
// written anything.
func (p *Processor) knownTool(sent string) string {
	if p.tools[sent] == nil {
		return ""
	}
	return sent
}

// nameOf returns a tool's name, or "" for what is not one: a sender chose it.
func nameOf(sent string) string {
	if toolName.MatchString(sent) {
		return sent
	}
	return ""
}

// notifyObservers passes on what an authenticated request came to. A request
// to a tool's URL that was refused before it reached the tool counts too.
func (p *Processor) notifyObservers(w *toolRecorder, a *Admission, resp Response) {
	if w == nil || !a.known {
		return
	}
	if len(w.calls) == 0 {
		if a.tool == "" {
			return
		}
		w.calls = append(w.calls, calls.ToolRequest{ReceivedAt: a.received.UTC(), Latency: p.on.Now().Sub(a.received), State: "refused",
			Tool: nameOf(a.tool), Tenant: a.sender.Tenant, Call: a.call()})
	}
	for _, c := range w.calls {
		c.Method, c.HTTPStatus, c.Reply = a.head.Method, resp.Status, resp.Body
		for _, f := range resp.Header {
			if f.Name == "Content-Type" {
				c.ContentType = f.Value
			}
		}
		p.notify(Observation{Tool: &c})
	}
}

// call is the call that a tool's URL or headers name, as it is stored, or "".
func (a *Admission) call() event.CallID {
	id, _ := a.p.callOf(a.head, a.tool, arguments.ParseQuery(a.head.Query))
	return callstate.ScopedID(a.sender.Tenant, id)
}

func (p *Processor) observeEvent(env Envelope, duplicate bool) {
	if len(p.observe) > 0 {
		p.notify(Observation{Event: &calls.EventArrival{Call: env.Call, Type: env.Type, Envelope: env.ID, Received: env.Received, Duplicate: duplicate}})
	}
}
