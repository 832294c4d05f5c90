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
// share a commit. When it stops, the server takes no new requests, answers
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

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/sqlinbox"
)

// A Config says how a server runs. Zero fields mean their defaults.
type Config struct {
	// Addr is the address to listen on, as HOST:PORT. Port 0 takes a free one.
	// Default: every interface on port 8080.
	Addr string

	// Database is a Postgres URL, or the path of a SQLite file. Required.
	Database string

	// Sender says who may send. Required, but on a loopback address its field
	// Anyone may be set for development.
	Sender core.Sender

	// Grace is how long requests and tools may take to end at a stop; running
	// deliveries have 15 s more. Default: 12 s, so that all is inside the 30 s
	// that container platforms give.
	Grace time.Duration

	// Sweep is how often calls are looked for that are over without a report.
	// Default: 1 minute.
	Sweep time.Duration

	// ReportWait and CallLimit are how long a finished call waits for its
	// report, and any call for its next event. Default: see [core.Platform].
	ReportWait, CallLimit time.Duration

	// Repair is how the sweep asks for what was never sent. Default: it does not
	// ask.
	Repair core.Repair

	// Ready is called with the server's URL when it takes requests.
	Ready func(url string)

	// Observe hears of what was done, see core.Platform.
	Observe func(core.Observation)

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
	Store     core.Store
	Inbox     *sqlinbox.Inbox
}

// linger is how long a tool may go on working after its reply was due.
const linger = 20 * time.Second

// Run serves p until ctx ends, then stops as the package says and returns nil.
func Run(ctx context.Context, p *core.Processor, c Config) (err error) {
	c = c.withDefaults()
	if c.Sender.Anyone && !isLoopback(c.Addr) {
		return fmt.Errorf("server: %s can be reached by others, so a secret is needed: %w", c.Addr, core.ErrNoSecret)
	}
	db, err := sqlinbox.Open(ctx, c.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, w := range db.Warnings() {
		c.Logger.Warn(w)
	}
	inbox, err := sqlinbox.New(db, p.Deliver, sqlinbox.Options{Sweep: p.Sweep, SweepEvery: c.Sweep, Logger: c.Logger})
	if err != nil {
		return err
	}
	err = p.Bind(core.Platform{
		Name: "server", Store: db.Store(), Inbox: inbox, Sender: c.Sender, Linger: linger, Logger: c.Logger, Observe: c.Observe,
		Repair: c.Repair, ReportWait: c.ReportWait, CallLimit: c.CallLimit,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("server: cannot listen on %s: %w", c.Addr, err)
	}
	return serve(ctx, p, c, db, inbox, listener)
}

// serve runs the inbox and the listener, and stops them in the order in which
// nothing is lost: first what brings work, then what does it.
func serve(ctx context.Context, p *core.Processor, c Config, db *sqlinbox.Database, inbox *sqlinbox.Inbox, listener net.Listener) (err error) {
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- inbox.Run(working) }()

	stopping := make(chan struct{})
	srv := &http.Server{
		Handler:           routes(p, db, stopping),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	url := "http://" + listener.Addr().String()
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

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = ":8080"
	}
	if c.Grace == 0 {
		c.Grace = 12 * time.Second
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// routes puts the health checks beside the processor. It is no ServeMux,
// because that answers an untidy path with a redirect, and an event that is
// sent once would be lost.
func routes(p *core.Processor, db *sqlinbox.Database, stopping <-chan struct{}) http.Handler {
	events := corehttp.Handler(p)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz" && r.Method == http.MethodGet:
			fmt.Fprintln(w, "ok")
		case r.URL.Path == "/readyz" && r.Method == http.MethodGet:
			ready(w, r, db, stopping)
		default:
			events.ServeHTTP(w, r)
		}
	})
}

func ready(w http.ResponseWriter, r *http.Request, db *sqlinbox.Database, stopping <-chan struct{}) {
	select {
	case <-stopping:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := db.Store().Get(ctx, "health/ready"); err != nil {
		http.Error(w, "database cannot be reached", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// isLoopback reports whether only this machine can reach addr.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
