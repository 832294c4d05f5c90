package watch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/watch"
)

// stopAfterLine ends a context when a line was written.
type stopAfterLine struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (w *stopAfterLine) Write(b []byte) (int, error) {
	defer w.stop()
	return w.Buffer.Write(b)
}

// directInbox delivers each event at once.
type directInbox struct{ p *core.Processor }

func (in directInbox) Put(ctx context.Context, es ...core.Envelope) error {
	for _, e := range es {
		if err := in.p.Deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// A line is written for each call, without the text of the conversation.
func ExampleFollow() {
	store := coretest.NewMemoryStore() // in production: the backend's own store
	p := core.New()
	err := p.Bind(core.Platform{Store: store, Inbox: directInbox{p}, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Handle(context.Background(), core.Request{Method: "POST", Path: "/events", Header: auth.Header{"Content-Type": {"application/json"}},
		Body: []byte(`{"message":{"type":"status-update","call":{"id":"CA1","status":"ongoing"}}}`)})

	ctx, stop := context.WithCancel(context.Background())
	out := stopAfterLine{stop: stop}
	err = watch.Follow(ctx, store, &out, &watch.Options{PollInterval: time.Second})
	_, line, _ := strings.Cut(out.String(), "  ") // without the time
	fmt.Print(line)
	fmt.Println(err)
	// Output:
	// call  CA1  ongoing, 0 messages
	// <nil>
}
