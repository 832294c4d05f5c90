package sqldb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

func TestRetryWhatOthersCaused(t *testing.T) {
	const busySnapshot = 5 | 2<<8
	for _, c := range []struct {
		name  string
		err   error
		calls int // of a database that gives this error twice
	}{
		{"serialization failure", stateError("40001"), 3},
		{"deadlock", stateError("40P01"), 3},
		{"unique violation", stateError("23505"), 1},
		{"busy", codeError(5), 3},
		{"busy snapshot", codeError(busySnapshot), 3},
		{"locked", codeError(6), 3},
		{"disk full", codeError(13), 1},
		{"stale", records.ErrStale, 1},
		{"lost connection", errors.New("EOF"), 1}, // may have happened: the caller reads again
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			err := retry(t.Context(), "commit", func() error {
				if calls++; calls <= 2 {
					return c.err
				}
				return nil
			})
			if calls != c.calls || (err == nil) != (c.calls == 3) {
				t.Errorf("%s: %d calls, then %v; want %d", c.name, calls, err, c.calls)
			}
		})
	}
}

func TestRetryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, start := 0, time.Now()
		err := retry(t.Context(), "commit", func() error { calls++; return stateError("40001") })
		if err == nil || err.Error() != "sqldb: commit: SQLSTATE 40001" || calls != conflictAttempts || time.Since(start) > 1500*time.Millisecond {
			t.Errorf("%d calls in %v, then %v", calls, time.Since(start), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		err := retry(ctx, "commit", func() error { time.Sleep(400 * time.Microsecond); return codeError(5) })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Millisecond {
			t.Errorf("after %v: %v; want the end of the context", time.Since(start), err)
		}
	})
}

// TestDeadlockIsRetried makes the store the victim of a deadlock with somebody
// who does not keep to the order of keys.
func TestDeadlockIsRetried(t *testing.T) {
	s := openStore(t, storeEngines[1].fresh(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rs := []records.Record{{Key: "d/a", Value: []byte("1")}, {Key: "d/b", Value: []byte("1")}}
	if err := s.Commit(ctx, rs...); err != nil {
		t.Fatal(cause(err))
	}
	rs, err := s.Get(ctx, "d/a", "d/b")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	lock := func(query string) {
		t.Helper()
		if _, err := tx.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	lock("SET LOCAL deadlock_timeout = '1min'") // the other one finds it, and is the victim
	lock("SELECT 1 FROM serverurl_records WHERE name = 'b' FOR UPDATE")

	done := make(chan error)
	go func() { done <- s.Commit(ctx, rs...) }() // takes a, waits for b
	for waiting := 0; waiting == 0; {
		if err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	lock("SELECT 1 FROM serverurl_records WHERE name = 'a' FOR UPDATE") // until the store is thrown out
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the victim's commit: %v; want it to be tried again", cause(err))
	}
}
