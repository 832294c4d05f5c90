package corehttp_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
)

// noInbox accepts no events: this backend has tools only.
type noInbox struct{}

func (noInbox) Put(context.Context, ...core.Envelope) error { return http.ErrNotSupported }

// A handler serves a processor in any Go HTTP server, here a test's.
func ExampleHandler() {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
		return "We are open from nine to five.", nil
	})
	err := p.Bind(core.Platform{
		Name: "example", Store: coretest.NewMemoryStore(), Inbox: noInbox{},
		Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(corehttp.Handler(p))
	defer srv.Close()

	resp, err := http.Post(srv.URL+"/tools/opening_hours", "application/json", strings.NewReader(`{}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body), err)
	// Output:
	// 200 {"result":"We are open from nine to five."} <nil>
}
