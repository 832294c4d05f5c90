package sqldb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

func TestGroupCommitStore(t *testing.T) {
	coretest.Store(t, coretest.Capabilities{RaceIterations: 20}, func(t *testing.T) records.Store { return open(t, freshSQLite(t)).Store() })
}

// Who leads a transaction and has to go takes nobody along.
func TestLeaderGivesUp(t *testing.T) {
	db := open(t, freshSQLite(t))
	s := db.commitStore.(*groupCommitStore)
	writer, err := db.write.Conn(t.Context()) // nothing moves
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	const others = 10
	errs := make([]error, others)
	commit := func(ctx context.Context, n int) error {
		return s.Commit(ctx, records.Record{Key: fmt.Sprintf("d/%d", n), Value: []byte("x")})
	}
	var first error
	s.leader <- struct{}{} // all gather
	wg.Go(func() { first = commit(gone, others) })
	for n := range others {
		wg.Go(func() { errs[n] = commit(t.Context(), n) })
	}
	untilTrue(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.waiting) == others+1 })
	led := make(chan struct{})
	go func() { defer close(led); s.commitBatch(gone); <-s.leader }()
	untilTrue(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.waiting) == 0 })
	leave()
	<-led
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if !errors.Is(first, context.Canceled) {
		t.Errorf("who left has %v", first)
	}
	for n, err := range errs {
		if err != nil {
			t.Errorf("commit %d: %v", n, err)
		}
	}
	rs, err := s.Range(t.Context(), "d", "", 100)
	if err != nil || len(rs) < others { // the one who left may have been taken along
		t.Errorf("%d records, %v; want %d", len(rs), err, others)
	}
}

func untilTrue(t *testing.T, f func() bool) {
	t.Helper()
	for !f() {
		if t.Context().Err() != nil {
			t.Fatal("it did not come to that")
		}
		runtime.Gosched()
	}
}
