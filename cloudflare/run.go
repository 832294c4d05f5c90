package cloudflare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/platform"
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
// mistake in them, or a start check that fails, is logged in a line that says what is
// wrong, and each request is answered 503: there is no process to end, so Main
// returns nothing. It takes at most one [platform.Options].
func Main(p *core.Processor, opts ...platform.Options) {
	o, err := lifecycle.One(opts)
	serve(func(b Bindings) worker {
		log := cmp.Or(o.Logger, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
		store := NewStore(b)
		inbox := NewInbox(b, store)
		env := envconfig.New(envconfig.Cloudflare, os.Getenv)
		w := worker{p: p, inbox: inbox, store: store, log: log.With("platform", "cloudflare"), start: starter(b, log, env, o), outage: new(errcode.Outage)}
		err := err
		if err == nil {
			err = bind(p, b, store, inbox, log, env, o)
		}
		if err != nil && b != nil {
			fmt.Fprintln(os.Stderr, err)
			w.start = nil // requests find p not bound
		}
		return w
	})
}

func bind(p *core.Processor, b Bindings, store records.Store, inbox core.Inbox, log *slog.Logger, env envconfig.Env, o platform.Options) error {
	retention, err := env.Retention()
	if err != nil {
		return err
	}
	verifier := env.Verifier()
	verifier.AllowUnauthenticated = insecure && !env.HasSecret()
	err = p.Bind(core.Platform{
		Name: "cloudflare", Store: store, Inbox: inbox, BackgroundGrace: backgroundGrace, Logger: log, Retention: retention, Verifier: verifier,
		Limits: o.Limits, Now: o.Now, HTTP: transport(b),
	})
	if err != nil {
		return fmt.Errorf("cloudflare: SERVERURL_SECRET: %w; try: npx wrangler secret put SERVERURL_SECRET", err)
	}
	return nil
}

// starter returns what is called before each invocation: the first one waits for the
// start check. An instance whose check fails gets no other invocation, so the next
// instance checks again.
func starter(b Bindings, log *slog.Logger, env envconfig.Env, o platform.Options) func(context.Context) error {
	started := false // an instance has one invocation at a time until it has started
	return func(ctx context.Context) error {
		if started {
			return nil
		}
		if err := lifecycle.Start(core.WithHTTP(ctx, transport(b)), "cloudflare", o, lifecycle.ShortStartTimeout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return errors.Join(err, lifecycle.Close("cloudflare", o, lifecycle.CloseTimeout))
		}
		started = true
		retention, _ := env.Retention() // bind has reported its error
		lifecycle.StartLine{Platform: "cloudflare", Store: "d1", Verifier: env.Verifier(), Retention: retention}.Log(log)
		return nil
	}
}
