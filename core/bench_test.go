package core_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

type nowhere struct{}

func (nowhere) Put(context.Context, ...core.Envelope) error { return nil }

func benchProcessor(b *testing.B, inbox core.Inbox, store records.Store) *core.Processor {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, booking) (string, error) { return "Seen.", nil })
	core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, booking) (string, error) { return "Booked.", nil })
	err := p.Bind(core.Platform{Name: "bench", Store: store, Inbox: inbox,
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
		Logger:   slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// sizes of a conversation-update: the first of a call, and a late one.
var benchSizes = []struct {
	name     string
	messages int
}{{"2kB", 4}, {"200kB", 385}}

// The way of an event up to the inbox: route, sender, limits, envelope, mask.
func BenchmarkHandleEvent(b *testing.B) {
	for _, s := range benchSizes {
		b.Run(s.name, func(b *testing.B) {
			p := benchProcessor(b, nowhere{}, coretest.NewMemoryStore())
			r := request("POST", "/events", conversation(0, messages(0, s.messages)...))
			b.SetBytes(int64(len(r.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if resp := p.Handle(b.Context(), r); resp.Status != 200 {
					b.Fatal(resp.Status)
				}
			}
		})
	}
}

// The way of an event from the inbox: decode, merge, commit. Each adds two
// messages to a conversation of the size given.
func BenchmarkDeliverUpdate(b *testing.B) {
	for _, s := range benchSizes {
		b.Run(s.name, func(b *testing.B) {
			p := benchProcessor(b, nowhere{}, coretest.NewMemoryStore())
			first := []byte(conversation(0, messages(0, s.messages)...))
			next := []byte(conversation(100, messages(0, s.messages+2)...))
			b.SetBytes(int64(len(next)))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				id := fmt.Sprintf("CA-%024d-%08d", 0, n)
				for i, body := range [][]byte{first, next} {
					env := core.Envelope{ID: fmt.Sprint(n, i), Received: time.Now(), Type: event.TypeConversationUpdate, Call: event.CallID(id), Body: withCall(body, id)}
					if i == 1 {
						b.StartTimer()
					}
					if err := p.Deliver(b.Context(), env); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func withCall(body []byte, id string) []byte {
	return []byte(fmt.Sprintf(`{"message":{"timestamp":1,"type":"conversation-update","call":{"id":%q,"status":"ongoing"},%s`, id, body[len(`{"message":{"timestamp":1784044932000,"type":"conversation-update","call":{"id":"CA7c0f3b9e51d24a86b3f0a91d6e2c4478","status":"ongoing"},`):]))
}

// The way of a tool call, without the tool's own work.
func BenchmarkTool(b *testing.B) {
	for _, c := range []struct {
		name string
		next func(n int) core.Request
	}{
		{"look", func(int) core.Request { return request("POST", "/tools/look", bookNine) }},
		{"book", func(n int) core.Request {
			return request("POST", fmt.Sprintf("/tools/book?call=CA%d", n), bookNine)
		}},
		{"duplicate", func(int) core.Request { return request("POST", "/tools/book?call=CA1", bookNine) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := benchProcessor(b, nowhere{}, coretest.NewMemoryStore())
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if resp := p.Handle(b.Context(), c.next(n)); resp.Status != 200 {
					b.Fatal(resp.Status)
				}
			}
		})
	}
}

// A conversation of 20,000 messages, every one of which changes three times, is
// merged, read and exported: 1.4 MB in all.
func BenchmarkManyDifferentMessages(b *testing.B) {
	for _, n := range []int{2_500, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				differing(newBackend(b, nil), n)
			}
		})
	}
}
