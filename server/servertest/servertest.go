// Package servertest runs a backend inside a test, on the real server and a
// database of the test's own.
package servertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/internal/failprint"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/simulate"
)

// An Option changes what a test is about.
type Option int

// AllowFailures is for a test in which handlers fail, or anything panics, on
// purpose: that is printed, and does not fail the test.
const AllowFailures Option = 1

// Start serves p on this machine until the test ends, and returns how to play calls
// at it: with its URL, the secret with which to send, and its store, so that the
// final state of a scenario is checked. p has its tools and handlers, and is not
// bound to a platform yet. What the server logs is in the test's output.
//
// A handler of p that fails, and a tool or a handler that panics, fails the test, with
// the whole error and the stack, unless it has AllowFailures. An error of a tool is
// printed only: what the caller hears then is for the scenario to check.
//
//	func TestCalls(t *testing.T) {
//		simulatetest.Run(t, servertest.Start(t, mine.New()), "booking", "mine.yaml")
//	}
func Start(t testing.TB, p *core.Processor, options ...Option) simulate.Options {
	t.Helper()
	return StartConfig(t, p, server.Config{}, options...)
}

// StartConfig is Start with a configuration, such as a PostgreSQL database or the
// secrets of several tenants. What c leaves empty is as with Start. If c has
// secrets, set Options.Secret to the one that sends.
func StartConfig(t testing.TB, p *core.Processor, c server.Config, options ...Option) simulate.Options {
	t.Helper()
	r := &reporter{t: t, allowed: slices.Contains(options, AllowFailures)}
	p.OnFailure(r.report)
	var o simulate.Options
	if c.Verifier.Count() == 0 && !c.Verifier.AllowUnauthenticated {
		o.Secret = rand.Text()
		c.Verifier.Secrets = []auth.Secret{auth.NewSecret(o.Secret)}
	}
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:0")
	c.Database = cmp.Or(c.Database, filepath.Join(t.TempDir(), "serverurl.db"))
	c.Logger = cmp.Or(c.Logger, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ready, background := make(chan server.Components, 1), c.Background
	c.Background = func(ctx context.Context, with server.Components) error {
		ready <- with
		if background != nil {
			return background(ctx, with)
		}
		<-ctx.Done()
		return nil
	}
	with := run(t, p, c, ready)
	t.Cleanup(func() { r.stopping.Store(true) }) // before the server is stopped
	read := finalstate.In(with.Store, c.Verifier.Tenants()...)
	o.URL, o.State = with.URL, func(ctx context.Context, call string) (simulate.State, bool, error) {
		s, known, err := read(ctx, call)
		s.Working = s.Working && !r.handlerFailed.Load() // what has failed is reported already, and may do so for days
		return s, known, err
	}
	return o
}

// A reporter fails a test for what fails in its backend.
type reporter struct {
	t                       testing.TB
	allowed                 bool
	stopping, handlerFailed atomic.Bool
	printed                 sync.Map
}

// report prints a failure, once for each call although an event is delivered again,
// and fails the test unless that is allowed. What the end of the test has cut off is
// not the handler's fault.
func (r *reporter) report(_ context.Context, f core.Failure) {
	defer r.handlerFailed.CompareAndSwap(false, f.Kind == core.FailureHandler)
	text := failprint.Text(f)
	if _, again := r.printed.LoadOrStore(text, true); again {
		return
	}
	if r.allowed || f.Panic == nil && (f.Kind == core.FailureTool || r.stopping.Load()) {
		r.t.Log(text)
		return
	}
	r.t.Error(text)
}

// run serves until the test ends, and returns the parts of the server when it is
// ready.
func run(t testing.TB, p *core.Processor, c server.Config, ready <-chan server.Components) server.Components {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, p, c) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped: %v", err)
		}
	})
	select {
	case with := <-ready:
		return with
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
	}
	return server.Components{}
}
