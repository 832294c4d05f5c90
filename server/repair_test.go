package server

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/simulate"
)

// A call whose report was never sent, and one of which nothing was, end once,
// with the report's data, though the API has its troubles.
func TestRepair(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { repair(t, filepath.Join(t.TempDir(), "serverurl.db")) })
	t.Run("postgres", func(t *testing.T) { repair(t, pgtest.Open(t)) })
}

func repair(t *testing.T, database string) {
	api := simulate.NewAPI("key", simulate.APIServerError, simulate.APITruncated, simulate.APITooManyRequests)
	served := httptest.NewServer(api)
	defer served.Close()
	client, err := interactly.New("key", &interactly.Options{URL: served.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var mu sync.Mutex
	ends := map[event.CallID][]event.EndReason{}
	p := core.New()
	p.OnCallEnded(func(_ context.Context, e core.CallEnded) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Call.Analysis.Summary == "" || len(e.Call.Transcript) == 0 {
			t.Errorf("a call ends without the report's data")
		}
		ends[e.Call.ID] = append(ends[e.Call.ID], e.Reason)
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ready, ran := make(chan string, 1), make(chan error, 1)
	go func() {
		ran <- Run(ctx, p, Config{
			Addr: "127.0.0.1:0", Database: database, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler),
			SweepInterval: 100 * time.Millisecond, ReportTimeout: 100 * time.Millisecond, OnReady: func(url string) { ready <- url },
			Backfill: core.Backfill{API: client, Assistants: []string{"*"}, Interval: 300 * time.Millisecond},
		})
	}()
	var url string
	select {
	case url = <-ready:
	case err := <-ran:
		t.Fatal(err)
	}
	defer func() { stop(); <-ran }()

	s, err := simulate.Load("barge-in")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]event.EndReason{}
	for fault, reason := range map[simulate.Fault]event.EndReason{"": event.EndReasonReport, simulate.FaultNoReport: event.EndReasonBackfill, simulate.FaultSilent: event.EndReasonBackfill} {
		o := simulate.Options{URL: url, NoDelay: true, API: api, Seed: uint64(len(want)) + 7}
		if fault != "" {
			o.Faults = []simulate.Fault{fault}
		}
		r, err := simulate.Run(t.Context(), o, s)
		if err != nil {
			t.Fatal(err)
		}
		want[r.Call] = reason
	}
	told := func() int { mu.Lock(); defer mu.Unlock(); return len(ends) }
	for end := time.Now().Add(5 * time.Minute); told() < len(want) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, reason := range want {
		if got := ends[event.CallID(id)]; len(got) != 1 || got[0] != reason {
			t.Errorf("ends %q, want one, %q", got, reason)
		}
	}
}
