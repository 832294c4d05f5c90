package core

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

// callHeader and callQuery are where a tool's URL or headers may carry the id
// of the call, filled from a variable of the assistant: the body of a tool
// request has none (docs/tools.md#which-call).
const (
	callHeader = "X-Call-Id"
	callQuery  = "call"
)

// maxParallel is how many calls of one request run side by side.
const maxParallel = 16

// causes of a context's end, so that an operator can tell them apart.
var (
	errReplyDue = errors.New("core: the reply is due")
	errWorkOver = errors.New("core: the work may go on no longer")
)

// A toolRequest is one call of one tool, in whatever dialect it came.
type toolRequest struct {
	id    string // the tool call's id; empty where the dialect has none
	name  string // the tool's name as sent
	args  jsontext.Value
	query url.Values
	call  event.CallID

	// needsIDs is set in a dialect that has ids, where a missing one is an error
	// of the sender.
	needsIDs bool
}

// A toolAnswer is what a toolRequest came to.
type toolAnswer struct {
	result   string // one line
	state    string // for the log
	replayed bool   // the stored bytes of an earlier request
}

// shared reports whether duplicates that came at the same time get this answer
// too. One that was only late is for each of them to wait for.
func (a toolAnswer) shared() bool {
	return a.state != callstate.ToolTimedOut && a.state != callstate.ToolSuperseded
}

// answerURL answers a request to a tool's own URL: the bare arguments and
// nothing else (docs/tools.md#request).
func (p *Processor) answerURL(ctx context.Context, a *Admission, body []byte) Response {
	name := a.tool
	query, err := url.ParseQuery(a.head.Query)
	if err != nil {
		query = nil
	}
	q := toolRequest{name: name, args: body, query: query, call: event.CallID(a.head.Header.Get(callHeader))}
	if t := p.tools[name]; t == nil || t.properties[callQuery].types == nil {
		if id := query.Get(callQuery); id != "" {
			q.call = event.CallID(id)
		}
	}
	answer := p.answer(ctx, q)
	return reply(toolReply{Result: answer.result}, answer.replayed)
}

// answerEnvelope answers the calls of an envelope in their order
// (docs/tools.md#dialects).
func (p *Processor) answerEnvelope(ctx context.Context, body []byte) Response {
	reqs, one := envelopeRequests(body)
	if one { // the older function-call: one call without an id
		a := p.answer(ctx, reqs[0])
		return reply(toolReply{Result: a.result}, a.replayed)
	}
	answers := make([]toolAnswer, len(reqs))
	slots := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for i, q := range reqs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i] = p.answer(ctx, q)
		})
	}
	wg.Wait()

	results := make([]toolResult, len(reqs))
	said := make([]string, len(reqs))
	replayed := len(reqs) > 0
	for i, a := range answers {
		results[i] = toolResult{ToolCallID: reqs[i].id, Name: reqs[i].name, Result: a.result}
		said[i] = a.result
		replayed = replayed && a.replayed
	}
	return reply(toolReply{Result: oneLine(strings.Join(said, " ")), Results: results}, replayed)
}

// toolReply is both spellings of a reply. Results is there only when the
// request had ids; the extra key harms neither dialect (docs/tools.md#reply).
type toolReply struct {
	Result  string       `json:"result"`
	Results []toolResult `json:"results,omitempty"`
}

type toolResult struct {
	ToolCallID string `json:"toolCallId"`
	Name       string `json:"name"`
	Result     string `json:"result"`
}

func reply(t toolReply, replayed bool) Response {
	body, err := json.Marshal(t)
	if err != nil {
		body = []byte(`{"result":"` + sayFailed + `"}`)
	}
	r := Response{Status: 200, Header: jsonHeader(), Body: body}
	if replayed {
		r.Header = append(r.Header, HeaderField{"Idempotent-Replayed", "true"})
	}
	return r
}

// answer runs one tool inside its budget. It always has an answer, also when a
// store panics: it may be on a goroutine of its own, where that ends the
// process.
func (p *Processor) answer(ctx context.Context, q toolRequest) (a toolAnswer) {
	start := p.on.Now()
	ctx, end := p.begin(ctx, Operation{Tool: nameOf(q.name), Call: callOf(q.call)})
	defer func() { end(a.state) }()
	defer func() { p.recordToolCall(ctx, q, a, start) }()
	defer p.noteAlive(ctx, q.call)()
	defer func() {
		if recover() != nil {
			p.log.Error("tool call panicked", "tool", q.name, "state", "panic")
			a = toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}
		}
	}()
	t := p.tools[q.name]
	if t == nil {
		p.log.Warn("tool call", "tool", "unknown", "state", "refused")
		return toolAnswer{result: sayNoTool, state: "refused"}
	}
	a = p.answerKnown(ctx, t, q)
	p.log.Info("tool call", "tool", t.Name, "call", p.tag(q.call), "state", a.state,
		"replayed", a.replayed, "took_ms", float64(p.on.Now().Sub(start).Microseconds())/1000)
	return a
}

func (p *Processor) answerKnown(ctx context.Context, t *tool, q toolRequest) toolAnswer {
	args, err := arguments(q.args)
	if err != nil {
		return toolAnswer{result: sayArguments, state: "refused"}
	}
	canon, err := t.validate(t.fromQuery(args, q.query))
	if err != nil {
		return toolAnswer{result: sentence(err), state: "refused"}
	}

	// The client may disconnect meanwhile; the run is finished anyway, and its
	// result stored for a duplicate.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), p.budget(ctx, t), errReplyDue)
	defer cancel()
	if t.Effect == ReadOnly {
		run := p.start(ctx, t, canon, Invocation{Tool: t.Name, Call: q.call}, 0)
		select {
		case <-run.done:
			return run.answer(t)
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
		}
	}
	return p.runOnce(ctx, t, q, canon)
}

// budget is how long the reply to t may take: the tool's own budget, the
// platform's, and what the request's deadline leaves.
func (p *Processor) budget(ctx context.Context, t *tool) time.Duration {
	b := t.Budget
	if fault.Mutated("no-budget") {
		return time.Minute
	}
	if p.on.ReplyTimeout > 0 {
		b = min(b, p.on.ReplyTimeout-replyMargin)
	}
	if at, ok := ctx.Deadline(); ok {
		b = min(b, time.Until(at)-replyMargin)
	}
	return max(b, 0)
}

// A run is one execution of a tool's function.
type run struct {
	done chan struct{} // closed when text and err are set
	text string        // the result as it is sent
	err  error
}

var errPanicked = errors.New("core: tool panicked")

// start runs t on a context that outlives ctx by linger. Drain waits for it.
func (p *Processor) start(ctx context.Context, t *tool, args []byte, inv Invocation, linger time.Duration) *run {
	due, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), due.Add(linger), errWorkOver)
	ctx = context.WithValue(ctx, invocationKey{}, inv)
	r := &run{done: make(chan struct{}), err: errPanicked}
	p.work.Go(func() {
		defer close(r.done)
		defer cancel()
		// What a panic says may quote a patient, so it goes nowhere.
		defer func() { _ = recover() }()
		v, err := t.run(ctx, args)
		if err == nil {
			r.text, err = resultText(v) // the value's own methods may panic as well
		}
		r.err = err
	})
	return r
}

// answer is what a finished run is answered with.
func (r *run) answer(t *tool) toolAnswer {
	switch {
	case r.err == nil:
		return toolAnswer{result: r.text, state: string(callstate.ToolDone)}
	case errors.Is(r.err, errPanicked) && t.Effect != ReadOnly:
		return toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}
	}
	return toolAnswer{result: sentence(r.err), state: string(callstate.ToolFailed)}
}

// queryCall is the call that a raw query names, or "".
func queryCall(raw string) string {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return ""
	}
	return query.Get(callQuery)
}
