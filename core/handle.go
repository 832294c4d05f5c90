package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

// The replies to requests that are refused. They are constant, so that an
// unauthenticated client learns nothing from them.
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

// Handle answers one request whose body is read already: [Processor.Admit] and
// [Admission.Handle] in one.
//
// An event is durable in the inbox when it is answered 200; the sender sends
// it once, so everything that can wait comes after, in [Processor.Deliver]. A
// tool call is answered inside its budget, which ends before the deadline of
// ctx.
func (p *Processor) Handle(ctx context.Context, r Request) Response {
	return p.Admit(r).Handle(ctx, r.Body)
}

// refuse answers an authenticated request that cannot be understood as an event.
// An event is sent only once, so its body goes to quarantine for an operator.
func (p *Processor) refuse(ctx context.Context, a *Admission, q calls.QuarantinedBody, resp Response) Response {
	q.Received, q.Tenant = a.received, a.sender.Tenant
	p.log.Warn("request refused", "reason", q.Reason, "bytes", len(q.Body), "status", resp.Status)
	if p.quarantine(ctx, q) != nil {
		return unavailable
	}
	return resp
}

// accept makes an event durable before it is acknowledged.
func (p *Processor) accept(ctx context.Context, a *Admission, body []byte, typ event.Type, call event.CallID) Response {
	if !validID(string(call)) {
		// Nothing can be done with it, and sending it again would not help.
		return p.refuse(ctx, a, calls.QuarantinedBody{Body: body, Reason: "no call"}, accepted)
	}
	env := Envelope{
		ID:       envelopeID(a.sender.Tenant, body, a.received),
		Received: a.received.UTC(),
		Type:     typ,
		Tenant:   a.sender.Tenant,
		Call:     callstate.ScopedID(a.sender.Tenant, call),
		Body:     p.on.Verifier.Redact(nil, body),
	}
	fault.Point("before put")
	if fault.Mutated("ack-before-put") {
		env.Body = bytes.Clone(env.Body)
		time.AfterFunc(20*time.Millisecond, func() { _ = p.on.Inbox.Put(context.WithoutCancel(ctx), env) })
		return accepted
	}
	if err := p.on.Inbox.Put(ctx, env); err != nil {
		p.log.Log(ctx, p.outage.Level(p.on.Now(), err, records.ErrStale), "event rejected", "type", string(typ), "reason", err, "bytes", len(body))
		return unavailable
	}
	fault.Point("after put")
	p.noteEarly(ctx, env)
	return accepted
}

func envelopeID(tenant string, body []byte, received time.Time) string {
	h := sha256.New()
	h.Write([]byte(tenant)) // the rest begins with eight bytes of a time
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(received.UnixNano()))
	h.Write(at[:])
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
