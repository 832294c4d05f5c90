// Package server runs a [core.Processor] as a plain HTTP server: on a VM, in a
// container, on Railway, Cloud Run or ECS. It keeps everything in one SQLite
// file, or in Postgres where several instances share the work.
//
//	func main() { server.Main(app.New()) }
//
// Events are posted to / or /events, tools to /tools/NAME. /healthz answers
// while the process lives, /readyz while it can take events.
//
// An accepted event is committed before it is answered; concurrent accepts
// share a commit. Bodies in memory are bounded: who comes above that waits a
// little, and is told to come again. While the database is away events go into
// another file, where Config.Spool names one. When it stops, the server takes no new requests, answers
// those that it has, and lets running deliveries end. What is left in the
// inbox is delivered after the next start.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/sqldb"
)

// A Config says how a server runs. Zero fields mean their defaults.
type Config struct {
	// Addr is the address to listen on, as HOST:PORT. Port 0 takes a free one.
	// Default: every interface on port 8080.
	Addr string

	// Listener is a socket that is open already, instead of Addr. Default: none.
	Listener net.Listener

	// Database is a Postgres URL, or the path of a SQLite file. Required.
	Database string

	// Sender says who may send. Required, but on a loopback address its field
	// Anyone may be set for development.
	Sender auth.Verifier

	// Grace is how long requests and tools may take to end at a stop; running
	// deliveries have 15 s more. Default: 12 s, so that all is inside the 30 s
	// that container platforms give.
	Grace time.Duration

	// Handover is how long the server goes on taking requests when it is to
	// stop: /readyz says so, and every connection ends with its next answer, so
	// that whoever sends goes elsewhere before it is refused. Default: not at all.
	Handover time.Duration

	// Spool is a SQLite file for events that come while the database is away,
	// on a disk that outlives the process. Default: none, they are refused.
	Spool string

	// InFlight is the most bytes of request bodies in memory at a time; who comes
	// above it waits a little and is then told to come again. Default: 64 MiB.
	InFlight int64

	// Retention is how long things are kept. Default: for ever.
	Retention calls.Retention

	// Sweep is how often calls are looked for that are over without a report.
	// Default: 1 minute.
	Sweep time.Duration

	// ReportWait and CallLimit are how long a finished call waits for its
	// report, and any call for its next event. Default: see [core.Platform].
	ReportWait, CallLimit time.Duration

	// Repair is how the sweep asks for what was never sent. Default: it does not
	// ask.
	Repair core.Backfill

	// Ready is called with the server's URL when it takes requests.
	Ready func(url string)

	// Beside runs beside the server, with what the server works with, from
	// when it takes requests. It returns soon after ctx ends; when it returns an
	// error before, the server stops.
	Beside func(ctx context.Context, with Parts) error

	Logger *slog.Logger
}

// Parts are what a running server works with.
type Parts struct {
	URL       string // of the server
	Processor *core.Processor
	Store     records.Store
	Inbox     *sqldb.Inbox
}

// linger is how long a tool may go on working after its reply was due.
const linger = 20 * time.Second

// Run serves p until ctx ends, then stops as the package says and returns nil.
func Run(ctx context.Context, p *core.Processor, c Config) (err error) {
	c = c.withDefaults()
	if c.Listener != nil {
		defer c.Listener.Close()
		c.Addr = c.Listener.Addr().String()
	}
	if c.Sender.AllowUnauthenticated && !isLoopback(c.Addr) {
		return fmt.Errorf("server: %s can be reached by others, so a secret is needed: %w", c.Addr, auth.ErrNoSecret)
	}
	db, err := sqldb.Open(ctx, c.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, w := range db.Warnings() {
		c.Logger.Warn(w)
	}
	inbox, err := sqldb.NewInbox(db, p.Deliver, sqldb.InboxOptions{Sweep: p.Sweep, SweepInterval: c.Sweep, Logger: c.Logger})
	if err != nil {
		return err
	}
	var accepts core.Inbox = inbox
	var spooled *spool
	if c.Spool != "" {
		if spooled, err = openSpool(ctx, c.Spool, inbox, c.Logger); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, spooled.db.Close()) }()
		accepts = spooled
	}
	err = p.Bind(core.Platform{
		Name: "server", Store: db.Store(), Inbox: accepts, Verifier: c.Sender, BackgroundGrace: linger, Logger: c.Logger,
		Retention: c.Retention, Backfill: c.Repair, ReportTimeout: c.ReportWait, CallIdleTimeout: c.CallLimit,
	})
	if err != nil {
		return err
	}
	if c.Listener == nil {
		if c.Listener, err = net.Listen("tcp", c.Addr); err != nil {
			return fmt.Errorf("server: cannot listen on %s: %w", c.Addr, err)
		}
	}
	return serve(ctx, p, c, db, inbox, spooled)
}

// serve runs the inbox and the listener, and stops them in the order in which
// nothing is lost: first what brings work, then what does it.
func serve(ctx context.Context, p *core.Processor, c Config, db *sqldb.Database, inbox *sqldb.Inbox, spooled *spool) (err error) {
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- deliver(working, inbox, spooled) }()

	stopping := make(chan struct{})
	srv := &http.Server{
		Handler:           routes(db, spooled, newGate(p, c.InFlight).handler(corehttp.Handler(p)), stopping),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(c.Listener) }()
	url := "http://" + c.Listener.Addr().String()
	if c.Ready != nil {
		c.Ready(url)
	}
	beside := make(chan error, 1)
	besideCtx, stopBeside := context.WithCancel(ctx)
	defer stopBeside()
	if c.Beside != nil {
		go func() { beside <- c.Beside(besideCtx, Parts{URL: url, Processor: p, Store: db.Store(), Inbox: inbox}) }()
		defer func() {
			stopBeside()
			err = errors.Join(err, <-beside)
		}()
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-beside:
		beside <- nil
	case failed = <-served:
	case failed = <-worked:
		worked <- nil
	}
	close(stopping)
	if failed == nil && c.Handover > 0 {
		select {
		case failed = <-served:
		case failed = <-worked:
			worked <- nil
		case <-time.After(c.Handover):
		}
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Grace)
	defer cancel()
	if err := srv.Shutdown(graceful); err != nil {
		failed = errors.Join(failed, fmt.Errorf("server: requests were cut off: %w", err))
		_ = srv.Close()
	}
	if err := p.Drain(graceful); err != nil {
		c.Logger.Warn("tools were still running at the stop")
	}
	stopWork()
	return errors.Join(failed, <-worked)
}

// deliver runs the inbox and what is spooled. When one fails, both end.
func deliver(ctx context.Context, inbox *sqldb.Inbox, spooled *spool) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return inbox.Run(ctx) })
	if spooled != nil {
		all.Go(func() error { return spooled.file.Run(ctx) })
	}
	return all.Wait()
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = ":8080"
	}
	if c.Grace == 0 {
		c.Grace = 12 * time.Second
	}
	if c.InFlight == 0 {
		c.InFlight = inFlight
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// routes puts the health checks beside the events and tools. It is no ServeMux,
// because that answers an untidy path with a redirect, and an event that is
// sent once would be lost.
func routes(db *sqldb.Database, spooled *spool, requests http.Handler, stopping <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz" && r.Method == http.MethodGet:
			fmt.Fprintln(w, "ok")
		case r.URL.Path == "/readyz" && r.Method == http.MethodGet:
			ready(w, r, db, spooled, stopping)
		default:
			select {
			case <-stopping: // the sender's next request goes elsewhere
				w.Header().Set("Connection", "close")
			default:
			}
			requests.ServeHTTP(w, r)
		}
	})
}

func ready(w http.ResponseWriter, r *http.Request, db *sqldb.Database, spooled *spool, stopping <-chan struct{}) {
	select {
	case <-stopping:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := db.Store().Get(ctx, "health/ready"); err != nil {
		if spooled != nil {
			fmt.Fprintln(w, "ok, but the database cannot be reached: events are spooled")
			return
		}
		http.Error(w, "database cannot be reached", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
