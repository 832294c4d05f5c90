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
)

// Options say what a page shows. Store is required.
type Options struct {
	Store core.Store
	Name  string // where the calls are, to be read by people: "SQLite, .serverurl"

	// ReadOnly is a page that changes nothing: no writing to the store, no
	// playing, trying, sending or replaying.
	ReadOnly bool

	// Secret is what a visitor has to type. Required where others than this
	// machine can reach the page.
	Secret string

	// Recorder tells of what happens in this process, so that the page shows it
	// at once. Without it the page finds it by looking.
	Recorder *Recorder

	// Poll is how often the store is looked at for what other processes did.
	// Default: 1 s.
	Poll time.Duration

	// Most is how many of the newest calls can be filtered and counted. Default:
	// 100,000.
	Most int

	// Processor has the tools, their definitions and budgets. May be nil.
	Processor *core.Processor

	// Target is the root of the backend's URL, where events are sent again and
	// tools are tried; "" is nowhere. Sign adds what proves the sender.
	Target string
	Sign   func(http.Header)

	// Inbox, DeadLetters and Pending are of the backend's inbox: dead letters are
	// put back into Inbox, and Pending counts up to limit accepted events that
	// are not delivered yet. They may be nil if the page cannot reach it.
	Inbox       core.Inbox
	DeadLetters core.DeadLetters
	Pending     func(ctx context.Context, limit int) (int, error)

	// Scenarios can be played with Play, which returns when the call is over.
	Scenarios []Scenario
	Play      func(ctx context.Context, name string) error

	// MadeUp tells that no real person is in the data, so nothing is masked.
	MadeUp bool

	Logger *slog.Logger // default: slog.Default()
}

// A Scenario is a call that can be played.
type Scenario struct{ Name, About string }

// ErrNoSecret reports a page that others can reach and anyone could read.
var ErrNoSecret = errors.New("inspect: the page can be reached by others, so it needs a secret of its own; make one with: openssl rand -hex 32")

// A Page serves the inspector.
type Page struct {
	o        Options
	index    *index
	sessions sessions
	loopback bool // only this machine can reach it
	started  time.Time

	playing sync.WaitGroup
	run     context.Context // of Run; what is played ends with it
	playMu  sync.Mutex
	played  map[string]string // what is being played now, by scenario: its state
}

// New returns a page. Nothing happens before Run.
func New(o Options) (*Page, error) {
	if o.Store == nil {
		return nil, errors.New("inspect: a store is needed")
	}
	o.Poll = cmp.Or(o.Poll, time.Second)
	o.Most = cmp.Or(o.Most, 100_000)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.ReadOnly {
		o.Store = readOnly{o.Store}
		o.Play, o.Scenarios = nil, nil
	}
	p := &Page{o: o, index: newIndex(o.Store, o.Most), played: map[string]string{}, started: time.Now()}
	return p, nil
}

// Run serves the page at addr until ctx ends. ready is called with its URL. It
// returns ErrNoSecret when others could reach it and there is no secret.
func (p *Page) Run(ctx context.Context, addr string, ready func(url string)) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("inspect: %s is no address: want HOST:PORT, such as 127.0.0.1:8090", addr)
	}
	ip := net.ParseIP(host)
	p.loopback = host == "localhost" || ip != nil && ip.IsLoopback()
	if !p.loopback {
		if p.o.Secret == "" {
			return ErrNoSecret
		}
		if err := core.NewSecret(p.o.Secret).Weak(); err != nil {
			return fmt.Errorf("inspect: the page's secret: %w", err)
		}
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("inspect: cannot listen on %s: %w", addr, err)
	}
	return p.serve(ctx, listener, ready)
}

func (p *Page) serve(ctx context.Context, listener net.Listener, ready func(url string)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.run = ctx
	srv := &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends what is live
		ErrorLog:          slog.NewLogLogger(p.o.Logger.Handler(), slog.LevelDebug),
	}
	if p.o.Recorder != nil {
		p.o.Recorder.listen(p.index.heard)
	}
	var work sync.WaitGroup
	work.Go(func() { p.index.run(ctx, p.o.Poll, p.o.Logger) })
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

// readOnly is a store that refuses to write.
type readOnly struct{ core.Store }

var errReadOnly = errors.New("inspect: the page is read-only")

func (readOnly) Commit(context.Context, ...core.Record) error { return errReadOnly }
