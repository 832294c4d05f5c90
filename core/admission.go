package core

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/event"
)

// A Kind is what a request asks for. An adapter decides by it how long a
// request may wait for capacity, and what it answers if there is none.
type Kind int

const (
	// KindEvent is an event: it is stored, then acknowledged.
	KindEvent Kind = iota

	// KindToolCall is a call of a tool. A caller is on the line, so any answer
	// but 200 and a sentence is silence (docs/tools.md#reply).
	KindToolCall

	// KindReply is an event whose sender waits for more than an
	// acknowledgment, with a caller on the line.
	KindReply
)

const toolMethods = "GET, POST, PUT, PATCH, DELETE"

// An Admission is the decision about one request before its body is read. It
// is made once, by [Processor.Admit], and carried to Handle: the route and the
// sender's header are not looked at again.
type Admission struct {
	p        *Processor
	head     Request // without its body
	received time.Time
	tool     string // the name in a tool's URL, as sent
	kind     Kind
	matched  string // the secret that the header has, "" if a signature decides
	known    bool   // the sender is authenticated, so observers are notified
	refusal  Response
}

// Admit decides about a request by everything but its body: where it goes, and
// whether its sender may be authenticated. head.Body is ignored.
func (p *Processor) Admit(head Request) *Admission {
	head.Body = nil
	a := &Admission{p: p, head: head}
	if !p.bound {
		a.refusal = unavailable
		return a
	}
	a.received = p.on.Now()
	a.route()
	matched, err := p.on.Verifier.VerifyHead(head.Header)
	switch {
	case a.refusal.Status != 0:
		a.known = err == nil && matched != ""
	case err != nil:
		a.refuseSender(err)
	}
	a.matched = matched
	return a
}

// ReadBody reports whether the body is worth reading: it is not if the path,
// the method or the sender is refused whatever the body is.
func (a *Admission) ReadBody() bool { return a.refusal.Status == 0 }

// Kind returns what the request asks for, as far as it is known: a request to
// a tool's URL is a tool call; what comes to the events' URL is an event until
// [Admission.Peek] or [Admission.Handle] has seen the body.
func (a *Admission) Kind() Kind { return a.kind }

// Peek looks for the kind in the beginning of the body and reports whether it
// is known now. An adapter that makes requests wait for capacity calls it
// before, so that a tool call in an envelope waits among the tool calls.
func (a *Admission) Peek(prefix []byte) (known bool) {
	if a.tool != "" || !a.ReadBody() {
		return true
	}
	typ, _, _ := event.Peek(prefix)
	a.kind = kindOf(typ)
	return typ != ""
}

func kindOf(t event.Type) Kind {
	switch t = toolType(t); {
	case t == event.TypeToolCalls, t == event.TypeFunctionCall:
		return KindToolCall
	case t.WantsReply():
		return KindReply
	}
	return KindEvent
}

// Handle answers the request; body is what the adapter has read, at most one
// byte more than [Processor.MaxBodyBytes]. It never fails: what went wrong is
// in the Response, in constant words, and in the log.
func (a *Admission) Handle(ctx context.Context, body []byte) (resp Response) {
	p := a.p
	if !p.bound {
		slog.Default().Error("request refused", "reason", "the Processor is bound to no platform", "status", 503)
		return a.refusal
	}
	ctx, recorder := p.withRecorder(ctx)
	defer func() { p.notifyObservers(recorder, a, resp) }()
	defer func() {
		if recover() != nil { // a bug here; the panic's text may quote the payload
			p.log.Error("request handling panicked", "state", "panic")
			resp = unavailable
		}
	}()
	if a.refusal.Status != 0 {
		return a.refusal
	}
	if len(body) > p.on.Limits.MaxBodyBytes {
		p.log.Warn("request refused", "reason", "too large", "status", 413)
		return tooLarge
	}
	matched, err := p.on.Verifier.VerifyBody(a.matched, a.head.Header, body, a.received)
	if err != nil {
		a.refuseSender(err)
		return a.refusal
	}
	a.known = true
	if p.on.Verifier.Count() > 1 { // while secrets rotate: which are still in use
		p.log.Info("request authenticated", "matched", matched)
	}
	return a.dispatch(ctx, body)
}

// dispatch answers a request whose sender is authenticated.
func (a *Admission) dispatch(ctx context.Context, body []byte) Response {
	p, isTool := a.p, a.kind == KindToolCall && a.tool != ""
	switch {
	case isTool && len(body) == 0:
		return p.answerURL(ctx, a, nil)
	case len(body) == 0:
		return badRequest
	case !isJSON(a.head.Header):
		return p.refuse(ctx, isTool, body, a.received, "media type", unsupportedMedia)
	}
	if err := p.on.Limits.validate(body); err != nil {
		return p.refuse(ctx, isTool, body, a.received, reasonOf(err), badRequest)
	}
	switch {
	case isTool && isEnvelope(body):
		return p.answerEnvelope(ctx, a.tool, body)
	case isTool:
		return p.answerURL(ctx, a, body)
	}
	typ, call, err := event.Peek(body)
	if err != nil {
		return p.refuse(ctx, false, body, a.received, "no event", badRequest)
	}
	if a.kind = kindOf(typ); a.kind == KindToolCall {
		return p.answerEnvelope(ctx, "", body)
	}
	return p.accept(ctx, body, a.received, typ, call)
}

// refuseSender refuses a request whose sender is not authenticated.
func (a *Admission) refuseSender(err error) {
	a.refusal = unauthorized
	if errors.Is(err, auth.ErrStaleTimestamp) { // the sender is right, so our clock may be wrong
		a.p.log.Error("request refused", "reason", err, "status", 401)
		return
	}
	a.p.log.Warn("request refused", "reason", err, "status", 401)
}

// route decides where a request goes: to a tool, or to the events. A refusal
// with a status ends it.
func (a *Admission) route() {
	path := "/" + strings.Trim(a.head.Path, "/")
	if rest, ok := strings.CutPrefix(path, "/tools/"); ok && !strings.Contains(rest, "/") {
		name, err := url.PathUnescape(rest)
		if err != nil {
			a.refusal = notFound
			return
		}
		a.tool, a.kind = name, KindToolCall
		if !strings.Contains(", "+toolMethods+",", ", "+a.head.Method+",") {
			a.refusal = notAllowed(toolMethods)
		}
		return
	}
	switch {
	case path != "/" && path != "/events":
		a.refusal = notFound
	case a.head.Method != "POST":
		a.refusal = notAllowed("POST")
	}
}
