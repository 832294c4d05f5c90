package coretest_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
)

const secret = "adapter-suite-secret-5a1c7e"

type discard struct{}

func (discard) Put(context.Context, ...core.Envelope) error { return nil }

// The suite against net/http and a store in memory. go test -update rewrites
// the golden replies here; other packages only compare them.
func TestAdapter(t *testing.T) {
	p := app.New()
	err := p.Bind(core.Platform{
		Name: "test", Store: coretest.NewMemoryStore(), Inbox: discard{}, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(secret)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(corehttp.Handler(p))
	defer srv.Close()
	coretest.Adapter(t, coretest.Target{URL: srv.URL, Secret: secret})
}
