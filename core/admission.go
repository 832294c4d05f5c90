package core

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
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
	sender   auth.Sender // by the header; nobody if a signature decides
	known    bool        // the sender is authenticated, so observers are notified
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
	by, err := p.on.Verifier.VerifyHead(head.Header)
	switch {
	case a.refusal.Status != 0:
		a.known = err == nil && by.Matched != ""
	case err != nil:
		a.refuseSender(err)
	}
	a.sender = by
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
	typ, _, _ := event.Peek(bytes.TrimPrefix(prefix, byteOrderMark))
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
func (a *Admission) Handle(ctx context.Context, body []byte) Response {
	return a.handle(ctx, body, len(body) > a.p.MaxBodyBytes())
}

// HandleTooLarge is Handle for a body of more than [Processor.MaxBodyBytes], which
// an adapter need not read to its end.
func (a *Admission) HandleTooLarge(ctx context.Context) Response { return a.handle(ctx, nil, true) }

func (a *Admission) handle(ctx context.Context, body []byte, large bool) (resp Response) {
	p := a.p
	if !p.bound {
		slog.Default().Error("request refused", "reason", "the Processor is bound to no platform", "status", 503)
		return a.refusal
	}
	ctx, recorder := p.withRecorder(p.withHTTP(ctx, a.head.Header.Get("Traceparent")))
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
	if large {
		return a.refuseLarge(ctx)
	}
	by, err := p.on.Verifier.VerifyBody(a.sender, a.head.Header, body, a.received)
	if err != nil {
		a.refuseSender(err)
		return a.refusal
	}
	a.sender, a.known = by, true
	if p.on.Verifier.Count() > 1 { // while secrets rotate: which are still in use
		p.log.Info("request authenticated", "matched", by.Matched, "tenant", by.Tenant)
	}
	return a.dispatch(ctx, body)
}

// refuseLarge answers a request whose body was not read to its end, so that no
// signature over it can be checked.
func (a *Admission) refuseLarge(ctx context.Context) Response {
	if a.tool != "" && a.sender.Matched != "" {
		a.known = true
		return a.p.answerUnread(ctx, a, string(errTooLarge))
	}
	a.p.log.Warn("request refused", "reason", string(errTooLarge), "status", 413)
	return tooLarge
}

// dispatch answers a request whose sender is authenticated.
func (a *Admission) dispatch(ctx context.Context, body []byte) Response {
	p, isTool := a.p, a.kind == KindToolCall && a.tool != ""
	switch {
	case isTool && isBlank(body):
		return p.answerURL(ctx, a, nil)
	case len(body) == 0:
		return badRequest
	}
	encoding := a.head.Header.Get("Content-Encoding")
	plain, err := p.on.Limits.open(encoding, body)
	switch {
	case isTool && err == errBadJSON && isBlank(plain): // it was compressed
		return p.answerURL(ctx, a, nil)
	case err != nil:
		return a.refuseBody(ctx, plain, encoding, err)
	case isTool && isEnvelope(plain):
		return p.answerEnvelope(ctx, a, a.tool, plain)
	case isTool:
		return p.answerURL(ctx, a, plain)
	}
	typ, call, err := event.Peek(plain)
	if err != nil {
		return p.refuse(ctx, a, calls.QuarantinedBody{Body: plain, Reason: "no event"}, badRequest)
	}
	if a.kind = kindOf(typ); a.kind == KindToolCall {
		return p.answerEnvelope(ctx, a, "", plain)
	}
	return p.accept(ctx, a, plain, typ, call)
}

// isBlank reports whether a body is nothing, or white space of JSON: a tool without
// arguments.
func isBlank(body []byte) bool {
	return len(bytes.Trim(bytes.TrimPrefix(body, byteOrderMark), " \t\r\n")) == 0
}

// refuseBody answers a request with a body that cannot be read.
func (a *Admission) refuseBody(ctx context.Context, body []byte, encoding string, err error) Response {
	reason, resp := reasonOf(err), badRequest
	switch {
	case err == errTooLarge:
		resp = tooLarge
	case err == errBadEncoding, err == errBadJSON && encoding != "" && !strings.EqualFold(encoding, "identity"):
		reason, resp = string(errBadEncoding), unsupportedMedia
	}
	if a.Peek(body); a.kind == KindToolCall {
		return a.p.answerUnread(ctx, a, reason)
	}
	if err == errTooLarge {
		a.p.log.Warn("request refused", "reason", reason, "bytes", len(body), "status", resp.Status)
		return resp
	}
	return a.p.refuse(ctx, a, calls.QuarantinedBody{Body: body, Reason: reason, Encoding: encoding}, resp)
}

// refuseSender refuses a request whose sender is not authenticated.
func (a *Admission) refuseSender(err error) {
	a.refusal = unauthorized
	level := slog.LevelWarn
	if errors.Is(err, auth.ErrStaleTimestamp) { // one request may be late; if all are, our clock is wrong
		level = a.p.clock.Level(a.received, err, auth.ErrStaleTimestamp)
	}
	a.p.log.Log(context.Background(), level, "request refused", "reason", err, "status", 401)
}

// route decides where a request goes: to a tool, or to the events. A refusal
// with a status ends it. Slashes too many make no difference: they are a common
// slip in a dashboard's URL.
func (a *Admission) route() {
	parts := strings.FieldsFunc(a.head.Path, func(r rune) bool { return r == '/' })
	switch {
	case len(parts) == 2 && parts[0] == "tools":
		name, err := url.PathUnescape(parts[1])
		if err != nil {
			a.refusal = notFound
			return
		}
		a.tool, a.kind = name, KindToolCall
		if !strings.Contains(", "+toolMethods+",", ", "+a.head.Method+",") {
			a.refusal = notAllowed(toolMethods)
		}
	case len(parts) > 1 || len(parts) == 1 && parts[0] != "events":
		a.refusal = notFound
	case a.head.Method != "POST":
		a.refusal = notAllowed("POST")
	}
}
