package calls_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

// deliverInline is an inbox that delivers at once. A real one is durable.
type deliverInline struct{ p *core.Processor }

func (in deliverInline) Put(ctx context.Context, es ...core.Envelope) error {
	for _, e := range es {
		if err := in.p.Deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// oneCall returns a store with one call.
func oneCall(ctx context.Context) records.Store {
	store, p := coretest.NewMemoryStore(), core.New()
	if err := p.Bind(core.Platform{Store: store, Inbox: deliverInline{p}, Verifier: auth.Verifier{AllowUnauthenticated: true}}); err != nil {
		panic(err)
	}
	err := deliverInline{p}.Put(ctx, core.Envelope{ID: "1", Received: time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC), Type: "end-of-call-report", Call: "CA1",
		Body: []byte(`{"message":{"type":"end-of-call-report","call":{"id":"CA1"},"messages":[{"role":"user","text":"Goodbye."}]}}`)})
	if err != nil {
		panic(err)
	}
	return store
}

// List calls, newest first, a page at a time.
func ExampleList() {
	ctx := context.Background()
	store := oneCall(ctx)
	for after := ""; ; {
		page, next, err := calls.List(ctx, store, after, 100)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range page {
			fmt.Println(c.ID, c.Status, c.MessageCount, c.EndReason, c.NeedsAttention())
		}
		if after = next; after == "" {
			return
		}
	}
	// Output:
	// CA1 finished 1 reported false
}

// Delete everything of a call for a data subject request, with a line in the
// audit log.
func ExampleDelete() {
	ctx := context.Background()
	store := oneCall(ctx)

	entry := calls.AuditEntry{Actor: "sam", Action: calls.AuditDelete, Call: calls.AuditCallRef("CA1")}
	if err := calls.WriteAudit(ctx, store, entry); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(calls.Delete(ctx, store, "CA1"))
	_, err := calls.Read(ctx, store, "CA1")
	fmt.Println(errors.Is(err, calls.ErrNotFound))
	// Output:
	// <nil>
	// true
}
