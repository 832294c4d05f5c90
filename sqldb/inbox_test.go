package sqldb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(racerEnv) != "" { // a child of TestRacersInProcesses
		if err := runRacer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if url := os.Getenv(putterEnv); url != "" { // a child of TestKilled
		if err := runPutter(url, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// eachDatabase runs a test on a fresh database of each kind.
func eachDatabase(t *testing.T, f func(t *testing.T, url func(t testing.TB) string)) {
	t.Run("SQLite", func(t *testing.T) { f(t, freshSQLite) })
	t.Run("Postgres", func(t *testing.T) { f(t, pgtest.Open) })
}

func freshSQLite(t testing.TB) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "a #1?.db")
}

func open(t testing.TB, url string) *Database {
	t.Helper()
	db, err := Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// startInbox runs an inbox until the test ends or stop is called.
func startInbox(t testing.TB, db *Database, deliver coretest.DeliverFunc, o InboxOptions) (in *Inbox, stop func()) {
	t.Helper()
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	in, err := NewInbox(db, deliver, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- in.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return in, stop
}

func newEnvelope(id string, body string) core.Envelope {
	return core.Envelope{ID: id, Received: time.Now().UTC(), Type: event.TypeStatusUpdate, Call: "call-1", Body: []byte(body)}
}

func TestInbox(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		coretest.Inbox(t, coretest.InboxCapabilities{DeadLetterIDs: deadIDs}, func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
			in, _ := startInbox(t, open(t, url(t)), deliver, InboxOptions{MaxAttempts: 4, Logger: slog.New(slog.DiscardHandler)})
			return in
		})
	})
}

func deadIDs(ctx context.Context, in core.Inbox) ([]string, error) {
	dead, err := in.(*Inbox).DeadLetters().List(ctx, 1000)
	ids := make([]string, len(dead))
	for i, d := range dead {
		ids[i] = d.Envelopes[0].ID
	}
	return ids, err
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		db, err := Open(t.Context(), url(t))
		if err != nil {
			t.Fatal(err)
		}
		came := make(chan struct{})
		in, stop := startInbox(t, db, func(context.Context, core.Envelope) error { close(came); return nil }, InboxOptions{})
		if err := in.Put(t.Context(), newEnvelope("1", "{}")); err != nil {
			t.Fatal(err)
		}
		<-came
		stop()
		if err := in.Put(t.Context(), newEnvelope("2", "{}")); !errors.Is(err, ErrStopped) {
			t.Errorf("Put after Run: %v; want ErrStopped", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
}

// A stop must not cost an event an attempt, or a series of deployments kills it.
func TestStopInterruptsAndNextRunDelivers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		where := url(t)
		db := open(t, where)
		started := make(chan struct{})
		in, stop := startInbox(t, db, func(ctx context.Context, _ core.Envelope) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		}, InboxOptions{MaxAttempts: 1, StopTimeout: 10 * time.Millisecond})
		if err := in.Put(t.Context(), newEnvelope("1", "{}")); err != nil {
			t.Fatal(err)
		}
		<-started
		stop()

		came := make(chan core.Envelope, 1)
		_, _ = startInbox(t, db, func(_ context.Context, e core.Envelope) error { came <- e; return nil }, InboxOptions{MaxAttempts: 1})
		if e := <-came; e.ID != "1" {
			t.Errorf("got %q", e.ID)
		}
	})
}

func TestStopLetsDeliveriesEnd(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		started, finish, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		in, stop := startInbox(t, open(t, url(t)), func(ctx context.Context, _ core.Envelope) error {
			close(started)
			<-finish
			done <- ctx.Err()
			return nil
		}, InboxOptions{})
		if err := in.Put(t.Context(), newEnvelope("1", "{}")); err != nil {
			t.Fatal(err)
		}
		<-started
		go func() {
			for !in.batcherStopped() {
				time.Sleep(time.Millisecond)
			}
			close(finish)
		}()
		stop()
		if err := <-done; err != nil {
			t.Errorf("the context of a delivery ended at the stop: %v", err)
		}
	})
}

func (in *Inbox) batcherStopped() bool {
	in.batcher.mu.Lock()
	defer in.batcher.mu.Unlock()
	return in.batcher.stopped
}

// What a dead letter says of the failure is a code, never a handler's words.
func TestDeadLetterReason(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		in, _ := startInbox(t, open(t, url(t)), func(context.Context, core.Envelope) error {
			return fmt.Errorf("Sam Rivera is not well: %w", core.ErrHandlerFailed)
		}, InboxOptions{MaxAttempts: 2, Logger: slog.New(slog.DiscardHandler)})
		if err := in.Put(t.Context(), newEnvelope("1", `{"n":1}`)); err != nil {
			t.Fatal(err)
		}
		d := waitForDead(t, in)[0]
		if d.Attempts != 2 || d.Reason != "handler failed" || string(d.Envelopes[0].Body) != `{"n":1}` || time.Since(d.DeadAt) > time.Minute {
			t.Errorf("got %+v", d)
		}
	})
}

func waitForDead(t *testing.T, in *Inbox) []core.DeadLetter {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		dead, err := in.DeadLetters().List(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(dead) > 0 {
			return dead
		}
	}
	t.Fatal("nothing is dead")
	return nil
}

// What handlers and databases say may quote a patient.
func TestNoTextInRowsAndLogs(t *testing.T) {
	const canary = "CANARY-Rivera"
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		var mu sync.Mutex
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(writerFunc(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(b)
		}), nil))
		db := open(t, url(t))
		in, stop := startInbox(t, db, func(_ context.Context, e core.Envelope) error {
			if e.ID == "panics" {
				panic(canary)
			}
			return errors.New(canary)
		}, InboxOptions{MaxAttempts: 1, Logger: logger, Tag: func(event.CallID) string { return "0f4b83a1c2d9" }, Sweep: func(context.Context) error { panic(canary) }})
		for _, id := range []string{"fails", "panics"} {
			if err := in.Put(t.Context(), newEnvelope(id, `{"x":"`+canary+strings.Repeat("x", 2000)+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		for len(waitForDead(t, in)) < 2 {
		}
		stop()
		var rows, reasons int
		query := "SELECT count(*), coalesce(sum(CASE WHEN cast(errors AS text) LIKE '%" + canary + "%' OR cast(metadata AS text) LIKE '%" + canary + "%' THEN 1 ELSE 0 END), 0) FROM river_job"
		if db.pool == nil {
			query = strings.ReplaceAll(query, "cast(errors AS text)", "json(errors)")
			query = strings.ReplaceAll(query, "cast(metadata AS text)", "json(metadata)")
		}
		if err := db.write.QueryRow(query).Scan(&rows, &reasons); err != nil {
			t.Fatal(err)
		}
		if rows < 2 || reasons != 0 {
			t.Errorf("%d of %d rows quote a handler", reasons, rows)
		}
		mu.Lock()
		defer mu.Unlock()
		if s := log.String(); strings.Contains(s, canary) || !strings.Contains(s, `"msg":"delivery failed","type":"status-update","call":"0f4b83a1c2d9","reason":"`) {
			t.Errorf("log: %s", s)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestSweepRuns(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		swept := make(chan struct{}, 100)
		startInbox(t, open(t, url(t)), nil, InboxOptions{SweepInterval: 100 * time.Millisecond, Sweep: func(context.Context) error {
			swept <- struct{}{}
			return errors.New("trouble of one sweep does not stop the next")
		}, Logger: slog.New(slog.DiscardHandler)})
		for range 3 {
			<-swept
		}
	})
}

// What was delivered is a patient's data that nobody needs here any more.
// The cleaner comes at a start, and every 30 s.
func TestDeliveredIsTakenAway(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		db := open(t, url(t))
		came := make(chan struct{}, 10)
		deliver := func(context.Context, core.Envelope) error { came <- struct{}{}; return nil }
		in, stop := startInbox(t, db, deliver, InboxOptions{})
		for i := range 10 {
			if err := in.Put(t.Context(), newEnvelope(fmt.Sprint(i), "{}")); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			<-came
		}
		stop()
		if _, err := db.write.Exec("UPDATE river_job SET finalized_at = '2020-01-01 00:00:00' WHERE state = 'completed'"); err != nil {
			t.Fatal(err)
		}
		_, _ = startInbox(t, db, deliver, InboxOptions{})
		left := -1
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end) && left != 0; time.Sleep(20 * time.Millisecond) {
			if err := db.write.QueryRow("SELECT count(*) FROM river_job WHERE kind = 'serverurl_event'").Scan(&left); err != nil {
				t.Fatal(err)
			}
		}
		if left != 0 {
			t.Errorf("%d of 10 are still there", left)
		}
	})
}

func TestDeliveryStartsSoon(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		came := make(chan time.Time, 1)
		in, _ := startInbox(t, open(t, url(t)), func(context.Context, core.Envelope) error { came <- time.Now(); return nil }, InboxOptions{})
		var slowest, sum time.Duration
		const n = 20
		for i := range n {
			if err := in.Put(t.Context(), newEnvelope(fmt.Sprint(i), "{}")); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			took := (<-came).Sub(start)
			slowest, sum = max(slowest, took), sum+took
		}
		t.Logf("delivery starts %v after Put, %v at most", sum/n, slowest)
		if sum/n > 10*time.Second { // a busy machine is slow, and this is not a benchmark
			t.Errorf("on average %v", sum/n)
		}
	})
}

func TestPauses(t *testing.T) {
	var least, most time.Duration
	for attempt := 1; attempt < defaultMaxAttempts; attempt++ {
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			d := defaultBackoff(attempt)
			low, high = min(low, d), max(high, d)
		}
		if attempt == 1 && (low < time.Second || high > 2*time.Second) {
			t.Errorf("first pause %v to %v; want 1 s to 2 s", low, high)
		}
		if high > lastBackoff {
			t.Errorf("pause %d: %v; want at most %v", attempt, high, lastBackoff)
		}
		least, most = least+low, most+high
	}
	if least < time.Hour || most > 6*time.Hour {
		t.Errorf("all pauses: %v to %v; want hours", least, most)
	}
	defaultBackoff(1000) // a redriven event may have any number
}

func TestPriorities(t *testing.T) {
	if r, s, c := priority(event.TypeReport), priority(event.TypeStatusUpdate), priority(event.TypeConversationUpdate); r >= s || s >= c || r < 1 || c > 4 {
		t.Errorf("report %d, status %d, conversation %d", r, s, c)
	}
}

// Waiting lists all that waits, also more than River lists at once.
func TestWaitingListsAll(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		in, _ := startInbox(t, open(t, url(t)), func(ctx context.Context, _ core.Envelope) error {
			<-ctx.Done()
			return ctx.Err()
		}, InboxOptions{StopTimeout: time.Millisecond})
		const n = 10_050
		for from := 0; from < n; from += 250 {
			es := make([]core.Envelope, min(250, n-from))
			for i := range es {
				es[i] = newEnvelope(fmt.Sprint(from+i), `{}`)
			}
			if err := in.Put(t.Context(), es...); err != nil {
				t.Fatal(err)
			}
		}
		for _, limit := range []int{0, 7, 10_000, 10_001, 1 << 20} {
			es, err := in.Pending(t.Context(), limit)
			if err != nil || len(es) != min(limit, n) {
				t.Fatalf("limit %d: %d events, %v", limit, len(es), err)
			}
			seen := map[string]bool{}
			for _, e := range es {
				seen[e.ID] = true
			}
			if len(seen) != len(es) {
				t.Errorf("limit %d: %d different events of %d", limit, len(seen), len(es))
			}
		}
	})
}

// A file that another program has locked when the deliveries start is waited
// for: a process that takes events must not end for that.
func TestStartWaitsForALockedFile(t *testing.T) {
	url := freshSQLite(t)
	db := open(t, url)
	other, err := sql.Open("sqlite", SQLiteDSN(strings.TrimPrefix(url, "sqlite://")).Write)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{}, 10)
	failed := make(lineChan, 100)
	in, _ := startInbox(t, db, func(context.Context, core.Envelope) error { came <- struct{}{}; return nil }, InboxOptions{Logger: slog.New(slog.NewTextHandler(failed, nil))})
	for line := range failed { // after as long as SQLite itself waits
		if strings.Contains(line, "inbox not started yet") {
			break
		}
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := in.Put(t.Context(), newEnvelope("1", `{}`)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-came:
	case <-time.After(5 * time.Minute):
		t.Fatal("nothing is delivered")
	}
}

func TestDeadLetters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		coretest.DeadLetters(t, func(t *testing.T, deliver coretest.DeliverFunc) (core.Inbox, core.DeadLetters, records.Store) {
			db := open(t, url(t))
			in, _ := startInbox(t, db, deliver, InboxOptions{MaxAttempts: 2, Logger: slog.New(slog.DiscardHandler)})
			return in, in.DeadLetters(), db.Store()
		})
	})
}

// lineChan is a writer of a log that can be waited for; what nobody waits for is
// dropped.
type lineChan chan string

func (c lineChan) Write(b []byte) (int, error) {
	select {
	case c <- string(b):
	default:
	}
	return len(b), nil
}
