package core

import (
	"context"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An Observation is something that the Processor has just done, for whoever
// looks on: see [Platform].Observe. Just one of its fields is set.
type Observation struct {
	Tool  *calls.ToolRequest  // a tool request was answered
	Event *calls.EventArrival // an event was merged into its call, or found to be known
}

// maxKeptArgs is the most bytes of arguments that are kept for the eye.
const maxKeptArgs = 32 << 10

// toolRecorder gathers the calls of one request.
type toolRecorder struct {
	mu    sync.Mutex
	calls []calls.ToolRequest
}

type toolRecorderKey struct{}

// withRecorder returns a context that gathers, where somebody looks on.
func (p *Processor) withRecorder(ctx context.Context) (context.Context, *toolRecorder) {
	if p.on.Observe == nil {
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
	r := calls.ToolRequest{ReceivedAt: at.UTC(), Latency: p.on.Now().Sub(at), ToolCallID: q.id, State: a.state, Replayed: a.replayed, Result: a.result, Call: q.call}
	if toolName.MatchString(q.name) {
		r.Tool = q.name
	}
	if !validID(string(r.Call)) {
		r.Call = ""
	}
	if t := p.tools[q.name]; t != nil {
		if r.Budget = t.Budget; p.on.ReplyTimeout > 0 {
			r.Budget = min(r.Budget, p.on.ReplyTimeout-replyMargin)
		}
		sent := q.args
		if args, err := arguments(q.args); err == nil {
			if canon, err := t.validate(t.fromQuery(args, q.query)); err == nil {
				sent = canon
				r.DedupKey = callstate.Digest("same", string(r.Call), r.Tool, string(canon))[:16]
			}
		}
		r.Args = maskedArgs(sent, &p.on.Verifier)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, r)
}

func maskedArgs(args jsontext.Value, sender *auth.Verifier) jsontext.Value {
	masked := jsontext.Value(sender.Redact(nil, args)).Clone()
	if len(masked) > maxKeptArgs || !masked.IsValid() {
		return nil
	}
	return masked
}

// notifyObserver hands what a request came to to the observer. A request to a tool's URL
// that was refused before it reached the tool is one too.
func (p *Processor) notifyObserver(w *toolRecorder, r *Request, tool string, isTool bool, resp Response, received time.Time) {
	if w == nil {
		return
	}
	if len(w.calls) == 0 {
		if !isTool {
			return
		}
		one := calls.ToolRequest{ReceivedAt: received.UTC(), Latency: p.on.Now().Sub(received), State: "refused"}
		if toolName.MatchString(tool) {
			one.Tool = tool
		}
		if id := event.CallID(r.Header.Get(callHeader)); resp.Status != unauthorized.Status && validID(string(id)) {
			one.Call = id
		}
		if id := event.CallID(queryCall(r.Query)); resp.Status != unauthorized.Status && validID(string(id)) {
			one.Call = id
		}
		w.calls = append(w.calls, one)
	}
	for _, c := range w.calls {
		c.Method, c.HTTPStatus, c.Reply = r.Method, resp.Status, resp.Body
		for _, f := range resp.Header {
			if f.Name == "Content-Type" {
				c.ContentType = f.Value
			}
		}
		p.on.Observe(Observation{Tool: &c})
	}
}

func (p *Processor) observeEvent(env Envelope, repeated bool) {
	if p.on.Observe != nil {
		p.on.Observe(Observation{Event: &calls.EventArrival{Call: env.Call, Type: env.Type, Envelope: env.ID, Received: env.Received, Duplicate: repeated}})
	}
}
