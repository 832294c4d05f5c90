package cloudflare

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
)

// Serve runs p in a Worker, whatever it is called for: requests, messages of
// the queue, the schedule. Call it from init: a Worker's WASM has no main.
//
//	func init() { cloudflare.Serve(app.New()) }
//	func main() {}
//
// It is configured by wrangler.jsonc, by these bindings:
//
//	DB                the D1 database of calls and tool records
//	EVENTS            the queue of accepted events
//	BODIES            the R2 bucket of bodies that are too large for a message
//	SERVERURL_SECRET  what the sender proves itself with, set by `wrangler secret`;
//	                  several with commas between them (docs/cloudflare.md#rotation)
//	SERVERURL_RETENTION    how long things are kept (docs/operating.md#retention)
//
// All variables and secrets of the Worker are in os.Getenv. A mistake in them
// is logged in a line that says what is wrong, and each request is answered 503.
func Serve(p *core.Processor) {
	serve(func(h Host) worker {
		host = h
		log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
		store := NewStore(h)
		inbox := NewInbox(h, store)
		if err := bind(p, store, inbox, log, os.Getenv); h != nil && err != nil {
			fmt.Fprintln(os.Stderr, err) // requests find p not bound
		}
		return worker{p: p, inbox: inbox, store: store, log: log}
	})
}

func bind(p *core.Processor, store records.Store, inbox core.Inbox, log *slog.Logger, getenv func(string) string) error {
	keep, err := calls.ParseRetention(getenv("SERVERURL_RETENTION"))
	if err != nil {
		return err
	}
	secrets := auth.ParseSecrets(getenv("SERVERURL_SECRET"))
	err = p.Bind(core.Platform{
		Name: "cloudflare", Store: store, Inbox: inbox, BackgroundGrace: linger, Logger: log, Retention: keep,
		Verifier: auth.Verifier{Secrets: secrets, AllowUnauthenticated: anyone && len(secrets) == 0},
	})
	if err != nil {
		return fmt.Errorf("cloudflare: SERVERURL_SECRET: %w; try: npx wrangler secret put SERVERURL_SECRET", err)
	}
	return nil
}
