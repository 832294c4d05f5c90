// Package server runs a [core.Processor] as a plain HTTP server: on a VM, in a
// container, on Railway, Cloud Run or ECS. It stores everything in one SQLite
// file, or in PostgreSQL if several instances share the work.
//
//	func main() { os.Exit(server.Main(app.New())) }
//
// Events are posted to / or /events, tool calls to /tools/NAME. GET and HEAD of
// /healthz and / are answered while the process lives, /readyz while it can accept
// events.
//
// It never acknowledges an event that is not committed; concurrent requests share
// a commit. It never reads the body of an unauthenticated request. It never holds
// more than Config.MaxInflightBytes of bodies in memory: requests above that wait
// briefly and are then refused, events with 503, tool calls with a sentence for
// the caller.
//
// While the database is unavailable, events go into another file if Config.Spool
// names one. At shutdown the server takes no new requests, answers those that it
// has, and lets running deliveries end. Events that are left in the inbox are
// delivered after the next start.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/platform"
	"github.com/serverurl/serverurl/sqldb"
)

// A Config says how a server runs. Zero fields mean their defaults.
type Config struct {
	// Addr is the address to listen on, as HOST:PORT. Port 0 takes a free one.
	// Default: every interface on port 8080.
	Addr string

	// Listener is an open socket, used instead of Addr. Default: none.
	Listener net.Listener

	// Database is a PostgreSQL URL, or the path of a SQLite file; see
	// [sqldb.Open]. Required.
	Database string

	// Verifier authenticates requests. Required; its AllowUnauthenticated is for
	// development and is accepted on a loopback address only.
	Verifier auth.Verifier

	// ShutdownTimeout is how long requests and tools may take to end at a
	// shutdown; running deliveries have 15 s more. Default: 12 s, so that all is
	// within the 30 s that container platforms give.
	ShutdownTimeout time.Duration

	// ShutdownDelay is how long the server continues to take requests when it is
	// to stop (lame duck): /readyz fails, and every connection closes after its
	// next response, so that load balancers and senders use another instance
	// before requests are refused. Default: 0.
	ShutdownDelay time.Duration

	// IdleTimeout is how long a connection without requests stays open. Default:
	// 620 s, longer than the 600 s for which Google's load balancers keep theirs;
	// others keep theirs for less. A server that closes first can do so just when
	// the balancer sends a request, which is lost with 502.
	IdleTimeout time.Duration

	// Spool is a SQLite file for events that arrive while the database is
	// unavailable, on a disk that outlives the process. Default: none, such events
	// are refused.
	Spool string

	// MaxInflightBytes bounds the request bodies in memory. Requests above it wait
	// briefly and are then refused. Default: 64 MiB.
	MaxInflightBytes int64

	// Retention is how long data is stored. Default: forever.
	Retention calls.Retention

	// SweepInterval is how often the server looks for calls that ended without a
	// report, and for expired data. Default: 1 minute.
	SweepInterval time.Duration

	// ReportTimeout and CallIdleTimeout are how long a finished call waits for its
	// report, and any call for its next event. Default: see [core.Platform].
	ReportTimeout, CallIdleTimeout time.Duration

	// Backfill recovers events that were never received. Default: disabled.
	Backfill core.Backfill

	// OnReady, if non-nil, is called with the server's URL when it accepts
	// requests.
	OnReady func(url string)

	// Background, if non-nil, runs while the server accepts requests. It must
	// return soon after ctx ends; if it returns an error earlier, the server
	// stops.
	Background func(ctx context.Context, with Components) error

	// Logger receives all logs, which hold no secrets and nothing that callers
	// said. Default: Options.Logger, or slog.Default().
	Logger *slog.Logger

	// Options are those that every platform takes.
	Options platform.Options
}

// Components are the parts of a running server, for Config.Background.
type Components struct {
	URL       string // of the server
	Processor *core.Processor
	Store     records.Store
	Inbox     *sqldb.Inbox
}

// backgroundGrace is how long a tool may continue after its reply deadline.
const backgroundGrace = 20 * time.Second

// Run serves p until ctx ends, then shuts down as the package documentation says
// and returns nil.
func Run(ctx context.Context, p *core.Processor, c Config) (err error) {
	c = c.withDefaults()
	r := &running{Config: c, p: p, log: c.Logger.With("platform", "server")}
	defer func() {
		err = errors.Join(err, lifecycle.Close("server", c.Options, lifecycle.CloseTimeout))
		if r.stops {
			lifecycle.LogStopped(r.log)
		}
	}()
	if c.Listener != nil {
		defer c.Listener.Close()
		c.Addr = c.Listener.Addr().String()
	}
	if c.Verifier.AllowUnauthenticated && !isLoopback(c.Addr) {
		return fmt.Errorf("server: %s can be reached by others, so a secret is needed: %w", c.Addr, auth.ErrNoSecret)
	}
	db, err := sqldb.Open(ctx, c.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, w := range db.Warnings() {
		r.log.Warn(w)
	}
	inbox, err := sqldb.NewInbox(db, p.Deliver, sqldb.InboxOptions{Sweep: p.Sweep, SweepInterval: c.SweepInterval, Tag: p.LogTag, Logger: r.log})
	if err != nil {
		return err
	}
	r.db, r.inbox = db, inbox
	var accepting core.Inbox = inbox
	if c.Spool != "" {
		if r.spool, err = openSpool(ctx, c.Spool, inbox, p.LogTag, r.log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.spool.db.Close()) }()
		accepting = r.spool
	}
	if err := r.bind(ctx, accepting); err != nil {
		return err
	}
	if r.Listener == nil {
		if r.Listener, err = net.Listen("tcp", c.Addr); err != nil {
			return fmt.Errorf("server: cannot listen on %s: %w", c.Addr, err)
		}
	}
	return r.serve(ctx)
}

// bind binds the Processor, runs the start check and logs the start line.
func (r *running) bind(ctx context.Context, accepting core.Inbox) error {
	transport := corehttp.Transport()
	err := r.p.Bind(core.Platform{
		Name: "server", Store: r.db.Store(), Inbox: accepting, Verifier: r.Verifier, BackgroundGrace: backgroundGrace, Logger: r.Logger,
		Retention: r.Retention, Backfill: r.Backfill, ReportTimeout: r.ReportTimeout, CallIdleTimeout: r.CallIdleTimeout,
		Limits: r.Options.Limits, Now: r.Options.Now, HTTP: transport,
	})
	if err != nil {
		return err
	}
	if err := lifecycle.Start(core.WithHTTP(ctx, transport), "server", r.Options, lifecycle.StartTimeout); err != nil {
		return err
	}
	lifecycle.StartLine{Platform: "server", Store: r.db.Engine(), Verifier: r.Verifier, Retention: r.Retention}.Log(r.Logger)
	return nil
}

// A running server is what Run has opened.
type running struct {
	Config
	p     *core.Processor
	db    *sqldb.Database
	inbox *sqldb.Inbox
	spool *spool       // nil without Config.Spool
	log   *slog.Logger // with the platform; core adds it to Config.Logger itself
	stops bool         // it has served, and is to end

	notReady  atomic.Bool // the backend's own check has failed last
	readiness singleflight.Group
}

// serve runs the inbox and the listener, and stops them in the order in which
// nothing is lost: first what accepts work, then what does it.
func (r *running) serve(ctx context.Context) (err error) {
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- r.deliver(working) }()

	stopping := make(chan struct{})
	srv := r.httpServer(stopping)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(r.Listener) }()
	url := "http://" + r.Listener.Addr().String()
	if r.OnReady != nil {
		r.OnReady(url)
	}
	background := make(chan error, 1)
	if r.Background != nil {
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			background <- r.Background(ctx, Components{URL: url, Processor: r.p, Store: r.db.Store(), Inbox: r.inbox})
		}()
		defer func() {
			cancel()
			err = errors.Join(err, <-background)
		}()
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-background:
		background <- nil
	case failed = <-served:
	case failed = <-worked:
		worked <- nil
	}
	r.stops = true
	lifecycle.LogStopping(r.log, failed)
	close(stopping)
	if failed == nil && r.ShutdownDelay > 0 {
		select {
		case failed = <-served:
		case failed = <-worked:
			worked <- nil
		case <-time.After(r.ShutdownDelay):
		}
	}
	failed = errors.Join(failed, r.shutdown(ctx, srv))
	stopWork()
	return errors.Join(failed, <-worked)
}

func (r *running) httpServer(stopping <-chan struct{}) *http.Server {
	requests := newAdmissionControl(r.p, r.MaxInflightBytes).handler(corehttp.Handler(r.p))
	handler := r.routes(corehttp.WithRoutes(requests, r.Options.Routes, r.p.MaxBodyBytes(), r.log), stopping)
	if r.Verifier.AllowUnauthenticated { // any page in the developer's browser could send
		handler = http.NewCrossOriginProtection().Handler(handler)
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       r.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(r.Logger.Handler(), slog.LevelDebug),
	}
}

// shutdown waits for requests and tools to end, for ShutdownTimeout at most.
func (r *running) shutdown(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.ShutdownTimeout)
	defer cancel()
	var failed error
	if err := srv.Shutdown(ctx); err != nil {
		failed = fmt.Errorf("server: requests were cut off: %w", err)
		_ = srv.Close()
	}
	if err := r.p.Drain(ctx); err != nil {
		r.log.Warn("tools were still running at shutdown")
	}
	return failed
}

// deliver delivers from the inbox and the spool. When one fails, both end.
func (r *running) deliver(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return r.inbox.Run(ctx) })
	if r.spool != nil {
		all.Go(func() error { return r.spool.file.Run(ctx) })
	}
	return all.Wait()
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = ":8080"
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 12 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 620 * time.Second
	}
	if c.MaxInflightBytes == 0 {
		c.MaxInflightBytes = defaultMaxInflightBytes
	}
	if c.SweepInterval == 0 {
		c.SweepInterval = time.Minute
	}
	c.Logger = cmp.Or(c.Logger, c.Options.Logger, slog.Default())
	return c
}

// routes serves the health checks, and requests for everything else. It is not a
// ServeMux, which redirects an unclean path: an event is sent once and would be
// lost.
func (r *running) routes(requests http.Handler, stopping <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		stops := false
		select {
		case <-stopping:
			stops = true
		default:
		}
		reads := req.Method == http.MethodGet || req.Method == http.MethodHead // net/http leaves out the body of the latter
		switch path := strings.Trim(req.URL.Path, "/"); {
		case (path == "healthz" || path == "") && reads: // some platforms probe the root and nothing else
			fmt.Fprintln(w, "ok")
		case path == "readyz" && reads && stops:
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		case path == "readyz" && reads:
			r.serveReady(w, req)
		default:
			if stops { // the sender's next request goes to another instance
				w.Header().Set("Connection", "close")
			}
			requests.ServeHTTP(w, req)
		}
	})
}

func (r *running) serveReady(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), lifecycle.ReadyTimeout)
	defer cancel()
	own := r.ownReadiness(ctx)
	_, err := r.db.Store().Get(ctx, "health/ready")
	switch {
	case own != nil:
		http.Error(w, "not ready", http.StatusServiceUnavailable)
	case err == nil:
		fmt.Fprintln(w, "ok")
	case r.spool != nil:
		fmt.Fprintln(w, "ok, but the database cannot be reached: events are spooled")
	default:
		http.Error(w, "database cannot be reached", http.StatusServiceUnavailable)
	}
}

// ownReadiness runs the backend's own check, once for all who ask at the same time,
// because anybody may ask. It logs when the result changes.
func (r *running) ownReadiness(ctx context.Context) error {
	_, err, _ := r.readiness.Do("", func() (any, error) {
		return nil, lifecycle.Ready(context.WithoutCancel(ctx), r.Options.Ready) // not for the first of them only
	})
	switch {
	case err != nil && r.notReady.CompareAndSwap(false, true):
		lifecycle.LogNotReady(r.log, err)
	case err == nil && r.notReady.CompareAndSwap(true, false):
		r.log.Info("readiness check passes again")
	}
	return err
}
