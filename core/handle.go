package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

// What a stranger is told. Constant, so that it tells nothing.
var (
	badRequest       = refusal(400, "bad request")
	unauthorized     = refusal(401, "unauthorized")
	notFound         = refusal(404, "not found")
	tooLarge         = refusal(413, "too large")
	unsupportedMedia = refusal(415, "unsupported media type")
	unavailable      = refusal(503, "try again", HeaderField{"Retry-After", "1"})

	accepted = Response{Status: 200, Header: jsonHeader(), Body: []byte(`{}`)}
)

func refusal(status int, what string, more ...HeaderField) Response {
	return Response{Status: status, Header: append(jsonHeader(), more...), Body: []byte(`{"error":"` + what + `"}`)}
}

func notAllowed(methods string) Response {
	return refusal(405, "method not allowed", HeaderField{"Allow", methods})
}

func jsonHeader() []HeaderField { return []HeaderField{{"Content-Type", "application/json"}} }

const toolMethods = "GET, POST, PUT, PATCH, DELETE"

// Handle answers one request. It never fails: what went wrong is in the
// Response, for strangers in constant words, and in the log.
//
// An event is durable in the inbox when it is answered 200; the sender sends
// it once, so everything that can wait comes after, in [Processor.Deliver]. A
// tool call is answered inside its budget, which is below the deadline of ctx.
func (p *Processor) Handle(ctx context.Context, r Request) (resp Response) {
	if !p.bound {
		slog.Default().Error("request refused", "reason", "the Processor is bound to no platform", "status", 503)
		return unavailable
	}
	received := p.on.Now()
	ctx, watched := p.withRecorder(ctx)
	tool, isTool := "", false
	defer func() { p.notifyObserver(watched, &r, tool, isTool, resp, received) }()
	defer func() {
		if recover() != nil { // a mistake of ours; what it says may quote the payload
			p.log.Error("request", "state", "panic")
			resp = unavailable
		}
	}()

	tool, isTool, resp = route(r)
	if resp.Status != 0 {
		return resp
	}
	if err := p.on.Verifier.VerifyHead(r.Header); err != nil {
		p.log.Warn("request refused", "reason", err, "status", 401)
		return unauthorized
	}
	if len(r.Body) > p.on.Limits.MaxBodyBytes {
		p.log.Warn("request refused", "reason", "too large", "status", 413)
		return tooLarge
	}
	matched, err := p.on.Verifier.Verify(r.Header, r.Body, received)
	switch {
	case errors.Is(err, auth.ErrStaleTimestamp): // the sender is right, so our clock may be wrong
		p.log.Error("request refused", "reason", err, "status", 401)
		return unauthorized
	case err != nil:
		p.log.Warn("request refused", "reason", err, "status", 401)
		return unauthorized
	case p.on.Verifier.Count() > 1: // while secrets change: which are still in use
		p.log.Info("request", "matched", matched)
	}
	switch {
	case isTool && len(r.Body) == 0:
		return p.answerURL(ctx, tool, &r)
	case len(r.Body) == 0:
		return badRequest
	case !isJSON(r.Header):
		return p.refuse(ctx, isTool, r.Body, received, "media type", unsupportedMedia)
	}
	if err := p.on.Limits.validate(r.Body); err != nil {
		return p.refuse(ctx, isTool, r.Body, received, reasonOf(err), badRequest)
	}
	switch {
	case isTool && isEnvelope(r.Body):
		return p.answerEnvelope(ctx, r.Body)
	case isTool:
		return p.answerURL(ctx, tool, &r)
	}
	return p.accept(ctx, r.Body, received)
}

// WantsBody reports whether the body of a request is worth reading: not when
// its path, its method or its sender will be refused whatever the body is. An
// adapter that reads bodies itself asks it first, and hands those requests to
// Handle without one.
func (p *Processor) WantsBody(r Request) bool {
	_, _, resp := route(r)
	return p.bound && resp.Status == 0 && p.on.Verifier.VerifyHead(r.Header) == nil
}

// route tells where a request goes: to a tool, or to the events. A Response
// with a status refuses it.
func route(r Request) (tool string, isTool bool, resp Response) {
	path := "/" + strings.Trim(r.Path, "/")
	if rest, ok := strings.CutPrefix(path, "/tools/"); ok && !strings.Contains(rest, "/") {
		name, err := url.PathUnescape(rest)
		switch {
		case err != nil:
			return "", false, notFound
		case !strings.Contains(", "+toolMethods+",", ", "+r.Method+","):
			return name, true, notAllowed(toolMethods)
		}
		return name, true, Response{}
	}
	switch {
	case path != "/" && path != "/events":
		return "", false, notFound
	case r.Method != "POST":
		return "", false, notAllowed("POST")
	}
	return "", false, Response{}
}

// refuse answers an authenticated request that cannot be understood. An event
// comes only once, so its body is kept for somebody to look at.
func (p *Processor) refuse(ctx context.Context, isTool bool, body []byte, received time.Time, reason string, resp Response) Response {
	p.log.Warn("request refused", "reason", reason, "bytes", len(body), "status", resp.Status)
	if isTool {
		return resp
	}
	if err := p.quarantine(ctx, body, received, reason); err != nil {
		return unavailable
	}
	return resp
}

// accept makes an event durable, or answers the tool calls in it.
func (p *Processor) accept(ctx context.Context, body []byte, received time.Time) Response {
	typ, call, err := event.Peek(body)
	switch {
	case err != nil:
		return p.refuse(ctx, false, body, received, "no event", badRequest)
	case typ == event.TypeToolCalls, typ == event.TypeFunctionCall:
		return p.answerEnvelope(ctx, body)
	case !validID(string(call)):
		// Nothing can be done with it, and sending it again would not help.
		return p.refuse(ctx, false, body, received, "no call", accepted)
	}
	env := Envelope{
		ID:       envelopeID(body, received),
		Received: received.UTC(),
		Type:     typ,
		Call:     call,
		Body:     p.on.Verifier.Redact(nil, body),
	}
	fault.Point("before put")
	if fault.Mutated("ack before put") {
		env.Body = bytes.Clone(env.Body)
		time.AfterFunc(20*time.Millisecond, func() { _ = p.on.Inbox.Put(context.WithoutCancel(ctx), env) })
		return accepted
	}
	if err := p.on.Inbox.Put(ctx, env); err != nil {
		p.log.Error("event not accepted", "type", string(typ), "reason", err, "bytes", len(body))
		return unavailable
	}
	fault.Point("after put")
	return accepted
}

func envelopeID(body []byte, received time.Time) string {
	h := sha256.New()
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(received.UnixNano()))
	h.Write(at[:])
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// quarantine keeps a body under its own hash: the same one again changes
// nothing.
func (p *Processor) quarantine(ctx context.Context, body []byte, received time.Time, reason string) error {
	sum := sha256.Sum256(body)
	q := calls.QuarantinedBody{ID: hex.EncodeToString(sum[:16]), Received: received.UTC(), Reason: reason,
		Body: p.on.Verifier.Redact(nil, body)}
	b, err := callstate.PutValue(ctx, p.on.Store, callstate.QuarantineDir+"/blobs", q.ID, q)
	if err == nil {
		err = p.on.Store.Commit(ctx, records.Record{Key: callstate.QuarantineDir + "/" + q.ID, Value: b})
	}
	if err != nil && !errors.Is(err, records.ErrStale) {
		p.log.Error("body not kept", "reason", err, "bytes", len(body))
		return fmt.Errorf("core: quarantine: %w", err)
	}
	return nil
}
