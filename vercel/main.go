package vercel

import (
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
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/sqldb"
)

// Main runs p as a server in Vercel's Go runtime. It listens on PORT, which
// the runtime sets, and is configured by the project's environment variables:
//
//	SERVERURL_SECRET        what the sender proves itself with; several with commas between them
//	CRON_SECRET             what Vercel's cron proves itself with, 16 characters or more
//	SERVERURL_DATABASE_URL  Postgres, the pooled connection string; or
//	DATABASE_URL            the same, as Neon's integration sets it; or
//	POSTGRES_URL            the same, as others do
//	SERVERURL_SIGNING_SECRET, SERVERURL_STANDARD_WEBHOOKS_SECRET
//	                        also accept signatures made with these
//
// A mistake in it ends the process at its start, with a line that says what is
// wrong. It connects to the database with the first request.
func Main(p *core.Processor) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, p, os.Getenv, slog.New(slog.NewJSONHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Handler returns p as the handler of a function, configured as in [Main]. It
// is called once, at the start of the instance, which it ends on a mistake.
func Handler(p *core.Processor) http.HandlerFunc {
	b, err := open(p, os.Getenv, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return b.ServeHTTP // its connections end with the instance
}

// run serves until ctx ends.
func run(ctx context.Context, p *core.Processor, getenv func(string) string, log *slog.Logger) (err error) {
	port := getenv("PORT")
	if port == "" {
		return errors.New("vercel: PORT is not set; Vercel sets it. Try it here: serverurl emulate vercel")
	}
	b, err := open(p, getenv, log)
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
		ReadTimeout:       Duration,
		WriteTimeout:      Duration + margin,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("vercel: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(ending); err != nil {
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
func open(p *core.Processor, getenv func(string) string, log *slog.Logger) (*backend, error) {
	database := ""
	for _, name := range []string{"SERVERURL_DATABASE_URL", "DATABASE_URL", "POSTGRES_URL"} {
		if database = getenv(name); database != "" {
			break
		}
	}
	if database == "" {
		return nil, errors.New("vercel: no database: set SERVERURL_DATABASE_URL (or DATABASE_URL, POSTGRES_URL) to the pooled connection string of a Postgres")
	}
	cron := getenv("CRON_SECRET")
	if len(cron) < minCronSecret {
		return nil, fmt.Errorf("vercel: CRON_SECRET is not set, or shorter than %d characters: without it nobody drains the inbox; try: openssl rand -hex 32 | vercel env add CRON_SECRET production", minCronSecret)
	}
	db, err := sqldb.OpenLazy(database, connections)
	if err != nil {
		return nil, err
	}
	b, err := bind(p, db, getenv, cron, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// minCronSecret is what Vercel recommends.
const minCronSecret = 16

// repairTime is how long a sweep may ask Interactly's API: the cron drains the
// inbox in the same request.
const repairTime = 10 * time.Second

func bind(p *core.Processor, db *sqldb.LazyDatabase, getenv func(string) string, cron string, log *slog.Logger) (*backend, error) {
	jobs, err := sqldb.NewInbox(db.Database(), p.Deliver, sqldb.InboxOptions{NoWorkers: true, Logger: log})
	if err != nil {
		return nil, err
	}
	found, assistants, err := interactly.FromEnv(getenv)
	if err != nil {
		return nil, err
	}
	keep, err := calls.ParseRetention(getenv("SERVERURL_RETENTION"))
	if err != nil {
		return nil, err
	}
	repair := core.Backfill{Assistants: assistants, Timeout: repairTime}
	if found != nil {
		repair.API = found
	}
	in := &inbox{Inbox: jobs, prepare: db.Connect, sweep: db.Sweep}
	err = p.Bind(core.Platform{
		Name: "vercel", Store: db.Database().Store(), Inbox: in, Logger: log,
		Limits: core.Limits{MaxBodyBytes: MaxBody}, ReplyTimeout: Duration - margin, Backfill: repair, Retention: keep,
		Verifier: auth.Verifier{
			Secrets:                 auth.ParseSecrets(getenv("SERVERURL_SECRET")),
			SigningSecrets:          auth.ParseSecrets(getenv("SERVERURL_SIGNING_SECRET")),
			StandardWebhooksSecrets: auth.ParseSecrets(getenv("SERVERURL_STANDARD_WEBHOOKS_SECRET")),
		},
	})
	if err != nil {
		return nil, err
	}
	return &backend{newAdapter(p, in, cron, log), db}, nil
}
