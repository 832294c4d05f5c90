package core

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

const (
	// maxCalls is how many calls of one request are answered. A model makes a few;
	// all of them share one budget.
	maxCalls = 32

	// maxParallel is how many reads of one request run side by side.
	maxParallel = 16

	// lastWord is how long after its deadline a tool's result is still taken where
	// the process freezes with the reply: the tool's context ended at that moment.
	// It is a part of replyMargin.
	lastWord = 100 * time.Millisecond
)

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
	query arguments.Query
	call  event.CallID // as sent; from answer on as stored

	twoCalls bool // the request names two calls
	misnamed bool // it is at the URL of another tool

	from *request          // the HTTP request that it came in
	say  func() *Sentences // in the language of its call
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
	query := arguments.ParseQuery(a.head.Query)
	q := toolRequest{name: name, args: body, query: query, from: a.request(query, nil)}
	q.call, q.twoCalls = p.callOf(a.head, name, query)
	q.say = p.sentencesFor(q, p.language(ctx, q))
	answer := p.answer(ctx, q)
	return reply(toolReply{Result: answer.result}, answer.replayed)
}

// unread stands for arguments that cannot be read. It is not JSON, so no tool runs.
var unread = jsontext.Value("{")

// answerUnread answers a tool call whose body cannot be read: a caller is on the
// line, and hears silence after any other status.
func (p *Processor) answerUnread(ctx context.Context, a *Admission, reason string) Response {
	p.log.Warn("tool call unreadable", "reason", reason, "status", 200)
	if a.tool == "" {
		q := toolRequest{from: a.request(nil, unread)}
		return reply(toolReply{Result: p.sentencesFor(q, p.language(ctx, q))().Unreadable}, false)
	}
	return p.answerURL(ctx, a, unread)
}

// answerEnvelope answers the calls of an envelope in their order
// (docs/tools.md#dialects). A call without a name is of the URL's tool, if any.
func (p *Processor) answerEnvelope(ctx context.Context, a *Admission, tool string, body []byte) Response {
	reqs, one := envelopeRequests(body, tool)
	from := a.request(arguments.ParseQuery(a.head.Query), body)
	for i := range reqs {
		reqs[i].from = from
		if tool != "" {
			p.bindToURL(a, tool, &reqs[i])
		}
	}
	first := toolRequest{name: tool, from: from}
	if len(reqs) > 0 { // the call is the same of all
		first.call, first.twoCalls = reqs[0].call, reqs[0].twoCalls
	}
	language := p.language(ctx, first) // what the URL says is known by now: it looks at the call at once
	for i := range reqs {
		reqs[i].say = p.sentencesFor(reqs[i], language)
	}
	if len(reqs) == 0 {
		p.log.Warn("tool calls without a call", "state", "refused")
		return reply(toolReply{Result: p.sentencesFor(first, language)().NoCall}, false)
	}
	if one { // the older function-call: one call without an id
		one := p.answer(ctx, reqs[0])
		return reply(toolReply{Result: one.result}, one.replayed)
	}
	answers := p.answerAll(ctx, reqs)
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

// bindToURL holds a call of an envelope to what the URL of the tool says: the tool, and
// the call if it names one. The model writes the arguments, and may write some that
// look like an envelope.
func (p *Processor) bindToURL(a *Admission, tool string, q *toolRequest) {
	q.misnamed = q.name != tool
	id, two := p.callOf(a.head, tool, q.from.query)
	if id == "" && !two {
		return
	}
	q.twoCalls = two || q.call != "" && q.call != id
	q.call, q.from.named = id, true
}

// answerAll answers the calls of one request inside one budget. What changes
// something runs in the order in which it was asked for, and not at all if what
// came before it is not finished; reads run side by side.
func (p *Processor) answerAll(ctx context.Context, reqs []toolRequest) []toolAnswer {
	ctx, cancel := p.withinOneBudget(ctx, reqs)
	defer cancel()
	answers := make([]toolAnswer, len(reqs))
	slots := make(chan struct{}, maxParallel)
	var reads sync.WaitGroup
	stopped := false
	for i, q := range reqs {
		t := p.tools[q.name]
		switch {
		case i >= maxCalls:
			answers[i] = toolAnswer{result: q.say().TooMany, state: callstate.ToolRefused}
		case t == nil || t.Effect == ReadOnly || fault.Mutated("unordered"):
			slots <- struct{}{}
			reads.Go(func() {
				defer func() { <-slots }()
				answers[i] = p.answer(ctx, q)
			})
		case stopped:
			answers[i] = toolAnswer{result: q.say().NotStarted, state: callstate.ToolNotStarted}
		default:
			answers[i] = p.answer(ctx, q)
			stopped = answers[i].state == callstate.ToolTimedOut
		}
	}
	reads.Wait()
	if len(reqs) > maxCalls {
		p.log.Warn("tool calls refused: too many in one request", "count", len(reqs)-maxCalls)
	}
	return answers
}

// withinOneBudget returns a context with the deadline of a request: the largest
// budget of its tools.
func (p *Processor) withinOneBudget(ctx context.Context, reqs []toolRequest) (context.Context, context.CancelFunc) {
	budget := DefaultBudget
	for i, q := range reqs {
		if t := p.tools[q.name]; t != nil && (i == 0 || t.Budget > budget) {
			budget = t.Budget
		}
	}
	return context.WithTimeout(ctx, budget+replyMargin)
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
	body, err := json.Marshal(t, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("core: reply encoding failed") // of nothing but text
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
	q.call = callstate.ScopedID(q.from.tenant(), p.validCall(string(q.call)))
	ctx = p.withCall(ctx, q)
	ctx, end := p.begin(ctx, Operation{Tool: p.knownTool(q.name), Call: q.call})
	defer func() { end(a.state) }()
	defer func() { p.recordToolCall(ctx, q, a, start) }()
	defer p.noteAlive(ctx, q.call)()
	defer func() {
		if recover() != nil {
			p.log.Error("tool call panicked", "tool", p.knownTool(q.name), "state", "panic")
			a = toolAnswer{result: q.say().Uncertain, state: string(callstate.ToolIndeterminate)}
		}
	}()
	t := p.tools[q.name]
	if t == nil || q.misnamed || !serves(t.Tenants, q.from.tenant()) {
		name, reason := "unknown", "no such tool"
		switch {
		case t != nil && q.misnamed:
			name, reason = t.Name, "at the url of another"
		case t != nil:
			name, reason = t.Name, "of another tenant"
		}
		p.log.Warn("tool call", "tool", name, "tenant", q.from.tenant(), "state", "refused", "reason", reason)
		return toolAnswer{result: q.say().NoTool, state: callstate.ToolRefused}
	}
	a = p.answerKnown(ctx, t, q)
	p.log.Info("tool call", "tool", t.Name, "tenant", q.from.tenant(), "call", p.tag(q.call), "state", a.state,
		"replayed", a.replayed, "took_ms", float64(p.on.Now().Sub(start).Microseconds())/1000)
	return a
}

func (p *Processor) answerKnown(ctx context.Context, t *tool, q toolRequest) toolAnswer {
	// The client may disconnect meanwhile; the run is finished anyway, and its
	// result stored for a duplicate.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), p.budget(ctx, t), errReplyDue)
	defer cancel()
	canon, err := t.read(q, func() Call { return CallFrom(ctx) })
	if errors.Is(err, arguments.ErrWrapped) {
		p.log.Warn("arguments are inside another object, where no tool looks (docs/tools.md#request)", "tool", t.Name)
	}
	if hidden, ok := errors.AsType[*arguments.HiddenError](err); ok {
		p.logHidden(t, hidden)
	}
	if err != nil || t.Effect == ReadOnly {
		p.usedIDs.note(q.call, q.id)
	}
	switch {
	case errors.Is(err, arguments.ErrNotObject):
		return toolAnswer{result: sentence(err, q.say().Unreadable), state: callstate.ToolUnreadable}
	case err != nil:
		return toolAnswer{result: sentence(err, q.say().Unreadable), state: callstate.ToolRefused}
	case ctx.Err() != nil:
		return toolAnswer{result: q.say().NotStarted, state: callstate.ToolNotStarted}
	case t.Effect == ReadOnly:
		return p.read(ctx, t, q, canon)
	case q.twoCalls:
		return toolAnswer{result: q.say().TwoCalls, state: callstate.ToolRefused}
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
