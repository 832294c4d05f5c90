package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/records"
)

// Options configure a Server. The zero value of each field is its default.
type Options struct {
	// Name says where the calls are stored, for people to read: "SQLite, .serverurl".
	Name string

	// ReadOnly makes a page that changes nothing: it writes nothing to the
	// store, plays nothing and sends nothing.
	ReadOnly bool

	// Secret is what a visitor has to type. It is required on an address that
	// other machines can reach.
	Secret string

	// Recorder reports what happens in this process, so that the page shows it
	// at once. Without it the page finds it by polling.
	Recorder *Recorder

	// PollInterval is how often the store is read for what other processes
	// wrote. Default: 1 s.
	PollInterval time.Duration

	// MaxCalls is how many of the newest calls can be filtered and counted.
	// They are kept in memory. Default: 100,000.
	MaxCalls int

	// Processor has the tools with their definitions and budgets. Without it the
	// page knows only the tools that were called.
	Processor *core.Processor

	// BackendURL is the root of the backend's URL, where events are sent again
	// and tools are tried. Without it nothing is sent. Authorize adds the
	// credentials of a tenant to a request to it; "" is any tenant.
	BackendURL string
	Authorize  func(tenant string, h http.Header)

	// Inbox, DeadLetters and Pending belong to the backend's inbox: dead letters
	// are put back into Inbox, and Pending counts up to limit accepted events
	// that are not delivered yet. Without them the page does not show it.
	Inbox       core.Inbox
	DeadLetters core.DeadLetters
	Pending     func(ctx context.Context, limit int) (int, error)

	// Scenarios can be played with Play, which returns when the call has ended.
	Scenarios []Scenario
	Play      func(ctx context.Context, name string) error

	// Synthetic says that the data is about nobody, so nothing is obscured.
	Synthetic bool

	Logger *slog.Logger // default: slog.Default()
}

// A Scenario is a call that can be played.
type Scenario struct{ Name, About string }

// ErrNoSecret is returned for an address that other machines can reach if no
// secret is configured.
var ErrNoSecret = errors.New("inspect: other machines can reach the page, so it needs a secret of its own; make one with: openssl rand -hex 32")

// A Server serves the inspector.
type Server struct {
	store    records.Store
	o        Options
	index    *index
	sessions sessions
	loopback bool // only this machine can reach it
	started  time.Time

	playing sync.WaitGroup
	run     context.Context // of Run: the scenarios that are being played end with it
	playMu  sync.Mutex
	played  int // scenarios that are being played
}

// New returns a server of the calls in a store. It does nothing before Run.
func New(s records.Store, o *Options) *Server {
	if o == nil {
		o = new(Options)
	}
	p := &Server{store: s, o: *o, started: time.Now()}
	p.o.PollInterval = cmp.Or(o.PollInterval, time.Second)
	p.o.MaxCalls = cmp.Or(o.MaxCalls, 100_000)
	p.o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.ReadOnly {
		p.store = readOnlyStore{s}
		p.o.Play, p.o.Scenarios = nil, nil
	}
	p.index = newIndex(p.store, p.o.MaxCalls)
	return p
}

// Run serves the page at addr until ctx ends. It calls ready with the page's
// URL. It returns ErrNoSecret if other machines could reach the page and there
// is no secret.
func (p *Server) Run(ctx context.Context, addr string, ready func(url string)) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("inspect: %s is not an address: want HOST:PORT, such as 127.0.0.1:8090", addr)
	}
	ip := net.ParseIP(host)
	p.loopback = host == "localhost" || ip != nil && ip.IsLoopback()
	if !p.loopback {
		if p.o.Secret == "" {
			return ErrNoSecret
		}
		if err := auth.NewSecret(p.o.Secret).Validate(); err != nil {
			return fmt.Errorf("inspect: the page's secret: %w", err)
		}
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("inspect: cannot listen on %s: %w", addr, err)
	}
	return p.serve(ctx, listener, ready)
}

func (p *Server) serve(ctx context.Context, listener net.Listener, ready func(url string)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.run = ctx
	srv := &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends event streams
		ErrorLog:          slog.NewLogLogger(p.o.Logger.Handler(), slog.LevelDebug),
	}
	if p.o.Recorder != nil {
		p.o.Recorder.listen(p.index.notify)
	}
	var work sync.WaitGroup
	work.Go(func() { p.index.run(ctx, p.o.PollInterval, p.o.Logger) })
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	if ready != nil {
		ready("http://" + listener.Addr().String())
	}
	var failed error
	select {
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	case failed = <-served:
	}
	stop()
	p.playing.Wait()
	work.Wait()
	return failed
}

// canSend reports whether requests may be sent from this page: a page that
// other machines can reach sends only to its own backend.
func (p *Server) canSend() bool {
	return p.o.BackendURL != "" && !p.o.ReadOnly || p.loopback
}

// A readOnlyStore refuses to write.
type readOnlyStore struct{ records.Store }

var errReadOnly = errors.New("inspect: the page is read-only")

func (readOnlyStore) Commit(context.Context, ...records.Record) error { return errReadOnly }
