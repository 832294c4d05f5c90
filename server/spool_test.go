package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/sqldb"
)

// hangs is an event of a call of its own.
func hangs(id string) string { return `{"message":{"type":"hang","call":{"id":"` + id + `"}}}` }

// The database is stopped, events come, the process is killed, and all are in
// their calls when both are back: once.
func TestSpoolOutlivesDatabaseAndProcess(t *testing.T) {
	cluster := pgtest.New(t, nil)
	url := cluster.Database(t)
	file := filepath.Join(t.TempDir(), "spool.db")
	p := startProcess(t, url, "SERVERURL_SPOOL="+file)
	var acked sync.Map
	send := func(root, id string) {
		t.Helper()
		if status, reply, err := post(http.DefaultClient, root+"/events", hangs(id)); status != 200 {
			t.Fatalf("%s: %d %s %v", id, status, reply, err)
		}
		acked.Store(id, true)
	}
	send(p.root, "CA-before")
	if err := cluster.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			id := fmt.Sprintf("CA-away%d", i)
			if status, reply, err := post(http.DefaultClient, p.root+"/events", hangs(id)); status != 200 {
				t.Errorf("%s: %d %s %v", id, status, reply, err)
			}
			acked.Store(id, true)
		})
	}
	wg.Wait()
	send(p.root, "CA-last")
	resp, err := http.Get(p.root + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(said), "events are spooled") {
		t.Errorf("/readyz: %d %s", resp.StatusCode, said)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v %v, want it for this user only", info, err)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, url, "SERVERURL_SPOOL="+file)
	send(p.root, "CA-after")
	// What was on its way when the process died is tried again after a minute or
	// so; until then it is in the file, or in the database's inbox.
	db := open(t, url)
	var inboxes []*sqldb.Inbox
	for _, d := range []*sqldb.Database{db, open(t, file)} {
		in, err := sqldb.NewInbox(d, nil, sqldb.InboxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		inboxes = append(inboxes, in)
	}
	deadline := time.Now().Add(5 * time.Minute)
	for {
		waits := map[event.CallID]bool{}
		for _, in := range slices.Backward(inboxes) { // the file first: events go from it to the other
			es, err := in.Pending(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range es {
				waits[e.Call] = true
			}
		}
		stored, missing := 0, 0
		acked.Range(func(key, _ any) bool {
			id := event.CallID(key.(string))
			call, err := calls.Read(t.Context(), db.Store(), id)
			switch {
			case err == nil && len(call.Events) == 1:
				stored++
			case err == nil:
				t.Errorf("%s: %d events, want 1", id, len(call.Events))
			case !waits[id]:
				missing++
			}
			return true
		})
		if missing == 0 && stored >= 53-spoolWorkers-1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 53 stored, %d are neither stored nor waiting\n%s", stored, missing, p.stderr)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Puts go into the file from the first that the database does not take until
// one was moved.
func TestSpool(t *testing.T) {
	db := open(t, freshSQLite(t))
	in, err := sqldb.NewInbox(db, func(context.Context, core.Envelope) error { return nil }, sqldb.InboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openSpool(t.Context(), filepath.Join(t.TempDir(), "spool.db"), in, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.db.Close()
	var mu sync.Mutex
	away, tried, got := true, 0, map[string]int{}
	s.put = func(_ context.Context, es ...core.Envelope) error {
		mu.Lock()
		defer mu.Unlock()
		if tried++; away {
			return errors.New("connection refused")
		}
		for _, e := range es {
			got[e.ID]++
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	put := func(id string) {
		t.Helper()
		if err := s.Put(ctx, core.Envelope{ID: id, Type: event.TypeHang, Call: "CA1", Received: time.Now(), Body: []byte(`{}`)}); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	go func() { ran <- s.file.Run(ctx) }()
	for i := range 5 {
		put(fmt.Sprint("away", i))
	}
	if waits, err := s.file.Pending(ctx, 10); err != nil || len(waits) != 5 {
		t.Fatalf("%d of 5 in the file: %v", len(waits), err)
	}
	mu.Lock()
	away = false
	mu.Unlock()
	until := time.Now().Add(5 * time.Minute)
	for n := 0; n < 5; {
		if time.Now().After(until) {
			t.Fatalf("%d of 5 moved", n)
		}
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		n = len(got)
		mu.Unlock()
	}
	if s.unavailable.Load() {
		t.Error("the database is back, and still counts as away")
	}
	put("back")
	mu.Lock()
	if got["back"] != 1 {
		t.Error("it was spooled where the database takes it")
	}
	mu.Unlock()

	// An event that can never be stored, or an overloaded inbox, is not spooled.
	s.put = func(context.Context, ...core.Envelope) error { return sqldb.ErrOverloaded }
	if err := s.Put(ctx, core.Envelope{ID: "much"}); !errors.Is(err, sqldb.ErrOverloaded) || s.unavailable.Load() {
		t.Errorf("overloaded: %v, away %v", err, s.unavailable.Load())
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
