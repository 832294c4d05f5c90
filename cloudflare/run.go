package cloudflare

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envconfig"
)

// Main runs p in a Worker, whatever it is called for: requests, messages of the
// queue, the schedule. Call it from init: a Worker's WASM has no main.
//
//	func init() { cloudflare.Main(app.New()) }
//	func main() {}
//
// It is configured by wrangler.jsonc, with these bindings:
//
//	DB      the D1 database of calls and tool records
//	EVENTS  the queue of accepted events
//	BODIES  the R2 bucket of messages that are too large for the queue
//
// and by the Worker's variables and secrets, which docs/cloudflare.md lists. A
// mistake in them is logged in a line that says what is wrong, and each request
// is answered 503.
func Main(p *core.Processor) {
	serve(func(b Bindings) worker {
		bindings = b
		log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
		store := NewStore(b)
		inbox := NewInbox(b, store)
		env := envconfig.New(envconfig.Cloudflare, os.Getenv)
		if err := bind(p, store, inbox, log, env); b != nil && err != nil {
			fmt.Fprintln(os.Stderr, err) // requests find p not bound
		}
		return worker{p: p, inbox: inbox, store: store, log: log}
	})
}

func bind(p *core.Processor, store records.Store, inbox core.Inbox, log *slog.Logger, env envconfig.Env) error {
	retention, err := env.Retention()
	if err != nil {
		return err
	}
	verifier := env.Verifier()
	verifier.AllowUnauthenticated = insecure && !env.HasSecret()
	err = p.Bind(core.Platform{
		Name: "cloudflare", Store: store, Inbox: inbox, BackgroundGrace: backgroundGrace, Logger: log, Retention: retention, Verifier: verifier,
	})
	if err != nil {
		return fmt.Errorf("cloudflare: SERVERURL_SECRET: %w; try: npx wrangler secret put SERVERURL_SECRET", err)
	}
	return nil
}
