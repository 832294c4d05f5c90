package sqldb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// lazily opens a database as an instance does that is started for a request.
func lazily(t testing.TB, url string) *LazyDatabase {
	t.Helper()
	l, err := OpenLazy(url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func inline(t testing.TB, db *Database, deliver coretest.DeliverFunc, o InboxOptions) *Inbox {
	t.Helper()
	o.NoWorkers, o.Logger = true, slog.New(slog.DiscardHandler)
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	in, err := NewInbox(db, deliver, o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// An inbox that is only drained, through a pooler, keeps the promises of one
// that runs.
func TestDrainedInbox(t *testing.T) {
	url := startPooler(t)
	coretest.Inbox(t, coretest.InboxCapabilities{DeadLetterIDs: deadIDs, ConcurrentEvents: 300}, func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
		db := lazily(t, url).Database()
		if _, err := db.write.Exec("DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		in := inline(t, db, deliver, InboxOptions{MaxAttempts: 4})
		ctx, cancel := context.WithCancel(context.Background())
		var drains sync.WaitGroup
		for range 2 { // as two instances with requests
			drains.Go(func() {
				for ctx.Err() == nil {
					d, err := in.Drain(ctx, time.Minute, 50)
					if err != nil {
						t.Error(err)
					}
					if d.Empty {
						time.Sleep(5 * time.Millisecond)
					}
				}
			})
		}
		t.Cleanup(func() { cancel(); drains.Wait() })
		return in
	})
}

// putSome puts n events of different calls.
func putSome(t *testing.T, in *Inbox, n int) {
	t.Helper()
	for i := range n {
		e := newEnvelope(fmt.Sprint("event-", i), `{}`)
		e.Call = event.CallID(fmt.Sprint("call-", i))
		if err := in.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// An event whose delivery a stop cut off is redelivered at once, and no attempt is
// counted.
func TestDrainGivesBackWhatAStopCutsOff(t *testing.T) {
	db := lazily(t, pgtest.Open(t)).Database()
	ctx, cancel := context.WithCancel(t.Context())
	slow := true
	in := inline(t, db, func(ctx context.Context, _ core.Envelope) error {
		if slow {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}, InboxOptions{MaxAttempts: 1})
	putSome(t, in, 3)
	d, err := in.Drain(ctx, time.Minute, 100)
	if err != nil || d.Delivered != 0 || d.Failed != 0 || d.Empty {
		t.Errorf("%+v, %v", d, err)
	}
	slow = false
	if d, err = in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 3 || !d.Empty {
		t.Errorf("then %+v, %v", d, err)
	}
}

// An untilCut is a context whose deadline passes when done is closed.
type untilCut struct {
	context.Context
	done chan struct{}
}

func (c *untilCut) Done() <-chan struct{} { return c.done }

func (c *untilCut) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Of one call's events, what has begun when the time is over fails when it is
// cut off, so that one that always hangs comes to an end; what has not begun is
// given back.
func TestDrainCutsOffWhatHangs(t *testing.T) {
	db := lazily(t, pgtest.Open(t)).Database()
	limited := &untilCut{Context: t.Context(), done: make(chan struct{})}
	in := inline(t, db, func(ctx context.Context, _ core.Envelope) error {
		close(limited.done)
		<-ctx.Done()
		return ctx.Err()
	}, InboxOptions{MaxAttempts: 1})
	for i := range 2 {
		if err := in.Put(t.Context(), newEnvelope(fmt.Sprint("event-", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := in.Drain(limited, time.Minute, 100)
	if err != nil || d.Failed != 1 || d.Empty {
		t.Errorf("%+v, %v", d, err)
	}
	dead, err := in.DeadLetters().List(t.Context(), 10)
	if err != nil || len(dead) != 1 || dead[0].Reason != "deadline exceeded" {
		t.Errorf("dead: %+v, %v", dead, err)
	}
	waiting, err := in.Pending(t.Context(), 10)
	if err != nil || len(waiting) != 1 || waiting[0].ID == dead[0].Envelopes[0].ID {
		t.Errorf("waiting: %d, %v", len(waiting), err)
	}
}

func TestDrainStopsAtItsLimit(t *testing.T) {
	in := inline(t, lazily(t, pgtest.Open(t)).Database(), func(context.Context, core.Envelope) error { return nil }, InboxOptions{})
	putSome(t, in, 30)
	if d, err := in.Drain(t.Context(), time.Minute, 12); err != nil || d.Delivered != 12 || d.Empty {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 18 || !d.Empty {
		t.Errorf("then %+v, %v", d, err)
	}
}

// A failed delivery waits for its pause, and says to nobody what the handler said.
func TestDrainPausesAfterAFailure(t *testing.T) {
	db := lazily(t, pgtest.Open(t)).Database()
	fails := true
	in := inline(t, db, func(context.Context, core.Envelope) error {
		if fails {
			return errors.New("Sam Rivera has a toothache")
		}
		return nil
	}, InboxOptions{Backoff: func(int) time.Duration { return time.Hour }})
	putSome(t, in, 1)
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Failed != 1 || !d.Empty {
		t.Errorf("%+v, %v", d, err)
	}
	var state, errs string
	var wait time.Duration
	row := db.pool.QueryRow(t.Context(), "SELECT state::text, errors::text, scheduled_at - now() FROM river_job")
	if err := row.Scan(&state, &errs, &wait); err != nil {
		t.Fatal(err)
	}
	if state != "available" || wait < 50*time.Minute || len(errs) == 0 || strings.Contains(errs, "Rivera") || !strings.Contains(errs, "delivery failed") {
		t.Errorf("%s, %v, %s", state, wait, errs)
	}
	fails = false
	if _, err := db.pool.Exec(t.Context(), "UPDATE river_job SET scheduled_at = now()"); err != nil {
		t.Fatal(err)
	}
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 1 {
		t.Errorf("then %+v, %v", d, err)
	}
}

// What an instance took and did not finish is given out again when it must have
// ended, and what is delivered leaves the database.
func TestMaintain(t *testing.T) {
	db := lazily(t, pgtest.Open(t)).Database()
	in := inline(t, db, func(context.Context, core.Envelope) error { return nil }, InboxOptions{MaxAttempts: 2})
	putSome(t, in, 2)
	exec := func(q string) {
		t.Helper()
		if _, err := db.pool.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	// One instance died with it a minute and a half ago, another has just begun.
	exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '90 seconds' WHERE id = (SELECT min(id) FROM river_job)")
	exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now() WHERE id = (SELECT max(id) FROM river_job)")
	if err := in.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	exec("UPDATE river_job SET finalized_at = now() - interval '1 minute' WHERE state = 'completed'")
	// The last attempt of the other is lost too.
	exec("UPDATE river_job SET attempt = 2, attempted_at = now() - interval '90 seconds' WHERE state = 'running'")
	if err := in.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead, err := in.DeadLetters().List(t.Context(), 10)
	if err != nil || len(dead) != 1 || dead[0].Reason != "instance ended" {
		t.Errorf("%+v, %v", dead, err)
	}
	var left int
	if err := db.pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d jobs are left, want the dead one: %v", left, err)
	}
	if _, err := core.Redrive(t.Context(), db.Store(), in, in.DeadLetters(), dead[0].ID, "tester"); err != nil {
		t.Fatal(err)
	}
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 1 {
		t.Errorf("redriven: %+v, %v", d, err)
	}
}

// An instance with Run and one that is drained share a database.
func TestDrainedBesideARunningInbox(t *testing.T) {
	url := pgtest.Open(t)
	came := make(chan string, 100)
	deliver := func(_ context.Context, e core.Envelope) error { came <- e.ID; return nil }
	startInbox(t, open(t, url), deliver, InboxOptions{Logger: slog.New(slog.DiscardHandler)})
	in := inline(t, lazily(t, url).Database(), deliver, InboxOptions{})
	putSome(t, in, 20)
	for range 20 {
		select {
		case <-came:
		case <-time.After(5 * time.Minute):
			t.Fatal("an event put inline is not delivered by Run")
		}
	}
}

func TestLazyConnectsWhenItIsNeeded(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{TCP: true, NoSync: true})
	url := cluster.Database(t)
	if err := cluster.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLazy(url, 3)
	if err != nil {
		t.Fatalf("a database that is away is not noticed before it is needed: %v", err)
	}
	defer l.Close()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Connect(short); err == nil {
		t.Fatal("it prepared a database that is away")
	}
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 { // requests that come at once
		all.Go(func() {
			if err := l.Connect(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&n); err != nil || n > 3 {
		t.Errorf("%d connections are open, want 3 at the most: %v", n, err)
	}
}

// The connections of an instance have died while it was frozen. An event that
// arrives then is stored and delivered anyway: its sender does not repeat it.
func TestConnectionsThatDiedInAFreeze(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{TCP: true, NoSync: true})
	db := lazily(t, cluster.Database(t)).Database()
	in := inline(t, db, func(context.Context, core.Envelope) error { return nil }, InboxOptions{})
	var all sync.WaitGroup
	for i := range 4 { // open as many connections as there may be
		all.Go(func() {
			if err := in.Put(t.Context(), newEnvelope(fmt.Sprint("before-", i), `{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(cluster.Stop(pgtest.Immediate), cluster.Start()); err != nil {
		t.Fatal(err)
	}
	if err := in.Put(t.Context(), newEnvelope("after", `{}`)); err != nil {
		t.Errorf("put: %v", err)
	}
	if d, err := in.Drain(t.Context(), time.Minute, 100); err != nil || d.Delivered != 5 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestOpenLazyRefusesWhatIsNoPostgres(t *testing.T) {
	for _, url := range []string{"", "serverurl.db", "sqlite:///tmp/x.db", "mysql://h/d", "postgres://u:p w@h:port/d"} {
		if l, err := OpenLazy(url, 1); err == nil || strings.Contains(err.Error(), "p w") {
			t.Errorf("%q: %v, %v", url, l, err)
		}
	}
}
