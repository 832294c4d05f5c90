package inspect_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/inspect"
)

// A page on the calls of another backend, which changes nothing there.
func ExampleServer_Run() {
	store := coretest.NewMemoryStore() // in production: the backend's own store
	page := inspect.New(store, &inspect.Options{Name: "production", ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})

	ctx, stop := context.WithCancel(context.Background())
	err := page.Run(ctx, "127.0.0.1:0", func(url string) {
		resp, err := http.Get(url + "/login")
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(resp.Status)
			resp.Body.Close()
		}
		stop()
	})
	fmt.Println(err)
	// Output:
	// 200 OK
	// <nil>
}

// A recorder stores the tool requests of a backend, so that the page shows
// their replies byte for byte.
func ExampleRecorder() {
	store := coretest.NewMemoryStore()
	recorder := inspect.NewRecorder()

	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
		return "We are open from nine to five.", nil
	})
	p.Observe(recorder.Observe)
	err := p.Bind(core.Platform{Store: store, Inbox: new(memoryInbox), Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Handle(context.Background(), core.Request{Method: "POST", Path: "/tools/opening_hours", Header: auth.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")})

	ctx, stop := context.WithCancel(context.Background())
	stop() // Run writes what is in the queue, and returns
	if err := recorder.Run(ctx, store); err != nil {
		fmt.Println(err)
	}
	requests, err := calls.ListToolRequests(context.Background(), store, "", 10)
	fmt.Println(len(requests), string(requests[0].Reply), err)
	// Output:
	// 1 {"result":"We are open from nine to five."} <nil>
}
