package simulate_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/simulate"
)

// An eagerInbox delivers envelopes concurrently with the reply, a few at a time,
// in any order, and until the delivery succeeds, as inboxes do.
type eagerInbox struct {
	deliver func(context.Context, core.Envelope) error
	slots   chan struct{}
	running sync.WaitGroup
}

func (in *eagerInbox) Put(_ context.Context, es ...core.Envelope) error {
	for _, e := range es {
		e.Body = slices.Clone(e.Body)
		in.running.Go(func() {
			in.slots <- struct{}{}
			defer func() { <-in.slots }()
			for in.deliver(context.Background(), e) != nil {
			}
		})
	}
	return nil
}

// startApp serves package app, and returns how to play calls against it.
func startApp(t *testing.T, handler func(http.Handler) http.Handler) simulate.Options {
	t.Helper()
	p, store, in := app.New(), coretest.NewMemoryStore(), &eagerInbox{slots: make(chan struct{}, 3)}
	in.deliver = p.Deliver
	err := p.Bind(core.Platform{
		Name: "test", Store: store, Inbox: in, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := corehttp.Handler(p)
	if handler != nil {
		h = handler(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		in.running.Wait()
	})
	return simulate.Options{URL: srv.URL, Secret: testSecret, NoDelay: true, State: finalstate.In(store), SettleTimeout: 5 * time.Minute} // it bounds failures only
}

// Package app meets the expectations of every scenario under every fault.
func TestAppPlaysEveryScenario(t *testing.T) {
	bad := []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate}
	all := [][]simulate.Fault{nil, bad, {simulate.FaultVapi, simulate.FaultDuplicate}, {simulate.FaultLegacy, simulate.FaultDrop, simulate.FaultReorder}}
	for _, f := range simulate.Faults {
		all = append(all, []simulate.Fault{f})
	}
	for _, faults := range all {
		t.Run(fmt.Sprint(faults), func(t *testing.T) {
			o := startApp(t, nil)
			o.Faults = faults
			o.CallIDInURL = len(faults)%2 == 0 // half of them with the call's id
			for _, s := range simulate.List() {
				if s.Name == "long-call" {
					if !slices.Equal(faults, bad) {
						continue // once is enough for its 100 MB
					}
					if underRace {
						t.Log("SHORTENED: with -race the long call has 100 of its 300 turns")
						shorten(&s, 100)
					}
				}
				r, err := simulate.Run(t.Context(), o, s)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range append(r.Failures, r.Unchecked...) {
					t.Errorf("%s, seed %d: %s", s.Name, r.Seed, f)
				}
			}
		})
	}
}

// Concurrent calls do not affect each other: each caller wants another day and
// time, and the desk books them all.
func TestAppPlaysConcurrentCalls(t *testing.T) {
	o := startApp(t, nil)
	o.Faults = []simulate.Fault{simulate.FaultDuplicate}
	booking, err := simulate.Load("booking")
	if err != nil {
		t.Fatal(err)
	}
	barge, err := simulate.Load("barge-in")
	if err != nil {
		t.Fatal(err)
	}
	results, err := simulate.RunMany(t.Context(), o, []simulate.Scenario{booking, barge}, 20, 8, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, f := range r.Failures {
			t.Errorf("%s, seed %d: %s", r.Scenario, r.Seed, f)
		}
	}
}

// shorten sets the number of turns of the long call.
func shorten(s *simulate.Scenario, turns int) {
	for i := range s.Steps {
		if s.Steps[i].Repeat > 0 {
			s.Steps[i].Repeat = turns
			messages := 1 + 2*turns
			s.Expect.Messages = &messages
		}
	}
}
