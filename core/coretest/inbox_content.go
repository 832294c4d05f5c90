package coretest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

func roundTrip(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, typ := range []event.Type{
		event.TypeStatusUpdate, event.TypeConversationUpdate, event.TypeHang, event.TypeError, event.TypeReport, "of-next-year", "",
	} {
		e := newEnvelope(fmt.Sprint("roundTrip", i), `{"message":{"type":"x"}}`)
		e.Type, e.Backfilled, e.RedriveCount = typ, i%2 == 0, i
		e.Tenant = []string{"", "north"}[i%2]
		e.Received = time.Date(2026, 2, 28+i, 23, 59, 59, 999e6, time.FixedZone("", -8*3600))
		if i == 6 {
			e.Call = ""
		}
		if err := in.Put(ctx, e); err != nil {
			return err
		}
		es = append(es, e)
	}
	return m.all(ctx, caps, es...)
}

// oddBodies are valid JSON that a queue or an encoding might change.
func oddBodies() []string {
	var all strings.Builder // every character that JSON allows unescaped in a string
	for r := rune(0x20); r <= 0x10ffff; r++ {
		if r != '"' && r != '\\' && (r < 0xd800 || r > 0xdfff) {
			all.WriteRune(r)
		}
	}
	return []string{
		`0`, `{}`, `null`, `""`,
		" \t\r\n{ \"b\" : 1 ,\n\"a\" : 2 }\r\n",
		`{"a":1,"a":2,"A":3}`,
		`[1.0,1,1e2,100000000000000000001,-0,0.1000]`,
		`{"nul":"\u0000","esc":"\u001b\u0008\f\/","A":"\u0041"}`,
		`{"half":"\ud800","pair":"\ud83d\ude00","raw":"😀"}`,
		"{\"not in XML\":\"\uffff\ufffe\u007f\u0080\u009f\ufdd0\",\"lines\":\"\u2028\u2029\u0085\",\"bom\":\"\ufeff\"}",
		`{"html":"<script>&amp;'</script>","sql":"'; DROP TABLE calls; --","printf":"%s%n","shell":"$(date)"}`,
		`{"decomposed":"é é Å"}`,
		`"` + strings.Repeat(`\\\"`, 1000) + `"`,
		strings.Repeat("[", 60) + strings.Repeat("]", 60),
		`"` + all.String() + `"`,
	}
}

func bodiesAreExact(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, body := range oddBodies() {
		if len(body) > caps.MaxBodyBytes {
			body = body[:1] + strings.ToValidUTF8(body[1:caps.MaxBodyBytes-8], "") + `"`
		}
		e := newEnvelope(fmt.Sprint("body", i), body)
		if err := in.Put(ctx, e); err != nil {
			return fmt.Errorf("body %d: %w", i, err)
		}
		es = append(es, e)
	}
	return m.all(ctx, caps, es...)
}

func arbitraryIDs(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, id := range []string{"a\x00b", "\"'\\", "\uffff\ufffe", "a b/c?d=e&f", "Ünï 😀", "\x1b[31m", strings.Repeat("x", 2000)} {
		e := newEnvelope(fmt.Sprint("id", i), `{}`)
		e.Call, e.Type = event.CallID(id), event.Type(id)
		if err := in.Put(ctx, e); err != nil {
			return fmt.Errorf("call %.20q: %w", id, err)
		}
		es = append(es, e)
	}
	return m.all(ctx, caps, es...)
}

func largestBody(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	random := make([]byte, caps.MaxBodyBytes)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[r.IntN(64)]
	}
	random[0], random[len(random)-1] = '"', '"'
	var es []core.Envelope
	for i, body := range []string{
		string(random),
		`"` + strings.Repeat("x", caps.MaxBodyBytes-2) + `"`,
		`"` + strings.Repeat("é", (caps.MaxBodyBytes-2)/2) + `"`,
	} {
		es = append(es, newEnvelope(fmt.Sprint("large", i), body))
		if err := in.Put(ctx, es[i]); err != nil {
			return fmt.Errorf("%d bytes: %w", len(body), err)
		}
	}
	return m.all(ctx, caps, es...)
}
