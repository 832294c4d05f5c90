package sqldb

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// A lossy executor loses the answers to fetches of events. Such a fetch is
// committed before its caller sees the failure, or, if late, before the next
// one: a server may not have begun when its client goes away.
type lossy struct {
	riverdriver.Executor
	lose func() bool
	late bool

	begun *riverdriver.JobGetAvailableParams
}

func (l *lossy) JobGetAvailable(ctx context.Context, p *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	if p.Queue != eventQueue {
		return l.Executor.JobGetAvailable(ctx, p)
	}
	if l.begun != nil {
		if _, err := l.Executor.JobGetAvailable(ctx, l.begun); err != nil {
			return nil, err
		}
		l.begun = nil
	}
	switch lost := l.lose(); {
	case lost && l.late:
		l.begun = p
		return nil, io.ErrUnexpectedEOF
	case lost:
		_, err := l.Executor.JobGetAvailable(ctx, p)
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	return l.Executor.JobGetAvailable(ctx, p)
}

// engines runs a test on each database that an inbox may be in.
func engines(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "inbox.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, pgtest.Open(t)) })
	t.Run("Pooler", func(t *testing.T) { test(t, startPooler(t)) })
}

// noneRuns checks that nobody has jobs, and that none counts an attempt.
func noneRuns(t *testing.T, db *Database) {
	t.Helper()
	var running, tried int
	row := db.write.QueryRow("SELECT count(CASE WHEN state = 'running' THEN 1 END), count(CASE WHEN attempt > 0 THEN 1 END) FROM river_job WHERE queue = $1", eventQueue)
	if err := row.Scan(&running, &tried); err != nil || running != 0 || tried != 0 {
		t.Errorf("%d jobs are running, %d have an attempt, want none of either: %v", running, tried, err)
	}
}

// A drain whose fetch was committed and whose answer was lost has its jobs
// available again at once, also when the caller's time ends with it.
func TestDrainUndoesALostFetch(t *testing.T) {
	engines(t, func(t *testing.T, url string) {
		db := open(t, url)
		delivered := 0
		in := inline(t, db, func(context.Context, core.Envelope) error { delivered++; return nil }, InboxOptions{MaxAttempts: 1})
		e := newEnvelope("event", `{}`)
		if err := in.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done bool
		in.fetcher.Executor = &lossy{Executor: in.fetcher.Executor, lose: func() bool { lost := !done; done = true; cancel(); return lost }}
		if _, err := in.Drain(ctx, time.Minute, 10); err != nil {
			t.Errorf("a drain whose time is over fails: %v", err)
		}
		noneRuns(t, db)
		if d, err := in.Drain(t.Context(), time.Minute, 10); err != nil || d.Delivered != 1 || delivered != 1 {
			t.Errorf("then %+v, %v", d, err)
		}
	})
}

// A drain that is cut off in its fetch waits for the answer and gives all back.
func TestDrainCutOffInItsFetch(t *testing.T) {
	engines(t, func(t *testing.T, url string) {
		db := open(t, url)
		in := inline(t, db, func(context.Context, core.Envelope) error { return nil }, InboxOptions{})
		if err := in.Put(t.Context(), newEnvelope("event", `{}`)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		in.fetcher.Executor = &lossy{Executor: in.fetcher.Executor, lose: func() bool { cancel(); return false }}
		if d, err := in.Drain(ctx, time.Minute, 10); err != nil || d.Delivered != 0 {
			t.Errorf("%+v, %v", d, err)
		}
		noneRuns(t, db)
	})
}

// An inbox that runs delivers what a lost fetch had taken before the rescue,
// which would find that its only attempt is over; also when the database commits
// the fetch after the client has given up.
func TestRunUndoesALostFetch(t *testing.T) {
	for _, late := range []bool{false, true} {
		engines(t, func(t *testing.T, url string) {
			db := open(t, url)
			putSome(t, inline(t, db, nil, InboxOptions{MaxAttempts: 1}), 1)
			came := make(chan struct{}, 1)
			in, err := NewInbox(db, func(context.Context, core.Envelope) error { came <- struct{}{}; return nil },
				InboxOptions{MaxAttempts: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			left := 1
			in.fetcher.Executor = &lossy{Executor: in.fetcher.Executor, late: late, lose: func() bool { left--; return left >= 0 }}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- in.Run(ctx) }()
			for delivered := false; !delivered; {
				select {
				case <-came:
					delivered = true
				case <-time.After(100 * time.Millisecond):
					if dead, err := in.DeadLetters().List(t.Context(), 1); err != nil || len(dead) > 0 {
						t.Fatalf("its attempt counted: %+v, %v", dead, err)
					}
				}
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}
