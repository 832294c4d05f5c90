package vercel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envconfig/backfillenv"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/platform"
	"github.com/serverurl/serverurl/sqldb"
)

// Main runs p as a server in Vercel's Go runtime. It listens on PORT, which the
// runtime sets, and is configured by the project's environment variables;
// docs/vercel.md lists them.
//
// It returns the program's exit code: 0 after SIGTERM, or 1 after a line on stderr that
// says what is wrong, or 2 for more than one [platform.Options]. It connects to the database with the first request.
//
//	func main() { os.Exit(vercel.Main(app.New())) }
func Main(p *core.Processor, opts ...platform.Options) (exitCode int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := lifecycle.One(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := run(ctx, p, o, os.Getenv, logger(o)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Handler returns p as the handler of a function, configured as in [Main]. It is
// called once, in a package variable, and Vercel's main is not ours: a mistake panics,
// after a line on stderr that says what is wrong, and ends the instance.
func Handler(p *core.Processor, opts ...platform.Options) http.HandlerFunc {
	o, err := lifecycle.One(opts)
	var b *backend
	if err == nil {
		b, err = open(p, o, os.Getenv, logger(o))
	}
	if err != nil {
		err = errors.Join(err, lifecycle.Close("vercel", o, lifecycle.CloseTimeout))
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
	return b.ServeHTTP // its connections end with the instance
}

func logger(o platform.Options) *slog.Logger {
	return cmp.Or(o.Logger, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

// run serves until ctx ends, and runs the closers.
func run(ctx context.Context, p *core.Processor, o platform.Options, getenv func(string) string, log *slog.Logger) (err error) {
	ours, stops := log.With("platform", "vercel"), false
	defer func() {
		err = errors.Join(err, lifecycle.Close("vercel", o, lifecycle.CloseTimeout))
		if stops {
			lifecycle.LogStopped(ours)
		}
	}()
	port := envconfig.New(envconfig.Vercel, getenv).Get("PORT")
	if port == "" {
		return errors.New("vercel: PORT is not set; Vercel sets it. Run it locally: serverurl emulate vercel")
	}
	b, err := open(p, o, getenv, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)) // Vercel's own proxy is before it
	if err != nil {
		return fmt.Errorf("vercel: cannot listen on port %s: %w", port, err)
	}
	srv := &http.Server{
		Handler:           b,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       MaxDuration,
		WriteTimeout:      MaxDuration + margin,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stops = true
	lifecycle.LogStopping(ours, err)
	if err != nil {
		return fmt.Errorf("vercel: %w", err)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(stopping); err != nil {
		_ = srv.Close()
	}
	<-served
	return nil
}

// A backend is an adapter with its database.
type backend struct {
	*adapter
	db *sqldb.LazyDatabase
}

// open binds p to what the environment names. It opens no connection.
func open(p *core.Processor, o platform.Options, getenv func(string) string, log *slog.Logger) (*backend, error) {
	env := envconfig.New(envconfig.Vercel, getenv)
	database := cmp.Or(env.Get("SERVERURL_DATABASE_URL"), env.Get("DATABASE_URL"), env.Get("POSTGRES_URL"))
	if database == "" {
		return nil, errors.New("vercel: no database: set SERVERURL_DATABASE_URL (or DATABASE_URL, POSTGRES_URL) to the pooled connection string of a Postgres")
	}
	if len(env.Get("CRON_SECRET")) < minCronSecretBytes {
		return nil, fmt.Errorf("vercel: CRON_SECRET is not set, or shorter than %d characters: without it nobody drains the inbox; try: openssl rand -hex 32 | vercel env add CRON_SECRET production", minCronSecretBytes)
	}
	db, err := sqldb.OpenLazy(database, maxConnections)
	if err != nil {
		return nil, err
	}
	b, err := bind(p, db, env, o, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// minCronSecretBytes is what Vercel recommends.
const minCronSecretBytes = 16

// backfillTimeout bounds the requests of a sweep to Interactly's API: the cron
// drains the inbox in the same request.
const backfillTimeout = 10 * time.Second

func bind(p *core.Processor, db *sqldb.LazyDatabase, env envconfig.Env, o platform.Options, log *slog.Logger) (*backend, error) {
	jobs, err1 := sqldb.NewInbox(db.Database(), p.Deliver, sqldb.InboxOptions{NoWorkers: true, Tag: p.LogTag, Logger: log.With("platform", "vercel")})
	backfill, err2 := backfillenv.Read(env)
	retention, err3 := env.Retention()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	backfill.Timeout = backfillTimeout
	in := &inbox{Inbox: jobs, prepare: db.Connect, sweep: db.Sweep}
	transport, limits := corehttp.Transport(), o.Limits
	limits.MaxBodyBytes = min(cmp.Or(limits.MaxBodyBytes, MaxBodyBytes), MaxBodyBytes)
	err := p.Bind(core.Platform{
		Name: "vercel", Store: db.Database().Store(), Inbox: in, Logger: log, Verifier: env.Verifier(), HTTP: transport, Now: o.Now,
		Limits: limits, ReplyTimeout: MaxDuration - margin, Backfill: backfill, Retention: retention,
	})
	if err != nil {
		return nil, err
	}
	if err := lifecycle.Start(core.WithHTTP(context.Background(), transport), "vercel", o, lifecycle.StartTimeout); err != nil {
		return nil, err
	}
	lifecycle.StartLine{Platform: "vercel", Store: "postgres", Verifier: env.Verifier(), Retention: retention}.Log(log)
	return &backend{newAdapter(p, in, env.Get("CRON_SECRET"), log, o.Routes), db}, nil
}
