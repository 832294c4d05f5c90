package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"github.com/serverurl/serverurl/core/records"
)

// A groupCommitStore lets concurrent commits share a transaction of SQLite's only
// writer, and with it the wait for the disk. While one transaction is in
// progress, further commits gather for the next. So many deliveries wait for the
// disk once, and an event that is being accepted waits for at most one of their
// transactions. (A second connection for accepting is not an alternative: the
// file's lock is granted at random, and deliveries starve.)
type groupCommitStore struct {
	*Store
	leader chan struct{} // holds one: the caller that commits for all that wait

	mu      sync.Mutex
	waiting []*pendingCommit
}

// A pendingCommit waits to become part of a transaction.
type pendingCommit struct {
	records []records.Record
	size    int
	done    chan error // buffered
}

func newGroupCommitStore(s *Store) *groupCommitStore {
	return &groupCommitStore{Store: s, leader: make(chan struct{}, 1)}
}

// Commit implements records.Store.
func (s *groupCommitStore) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil || len(rs) == 0 {
		return err
	}
	c := &pendingCommit{records: rs, done: make(chan error, 1)}
	for _, r := range rs {
		c.size += len(r.Value)
	}
	s.add(c)
	for {
		select {
		case err := <-c.done:
			return err
		case s.leader <- struct{}{}:
			if len(c.done) == 0 {
				s.commitBatch(ctx)
			}
			<-s.leader
		case <-ctx.Done():
			s.remove(c)
			return context.Cause(ctx)
		}
	}
}

// commitBatch commits what waits, as far as it fits into one transaction. It runs
// under the leader's own context, so that the leader does not exceed its
// deadline; if that ends, nothing was changed, and the others are tried again.
func (s *groupCommitStore) commitBatch(ctx context.Context) {
	some := s.take()
	records := make([][]records.Record, len(some))
	for i, c := range some {
		records[i] = c.records
	}
	var again []*pendingCommit
	for i, err := range s.CommitBatch(ctx, records...) {
		if len(some) > 1 && ctx.Err() != nil && rolledBack(err) {
			again = append(again, some[i])
			continue
		}
		some[i].done <- err
	}
	s.add(again...)
}

// rolledBack reports whether a transaction was rolled back because its context
// ended.
func rolledBack(err error) bool {
	n, ok := sqliteCode(err)
	return ok && n&0xff == 9 || // SQLITE_INTERRUPT
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (s *groupCommitStore) add(cs ...*pendingCommit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, cs...)
}

func (s *groupCommitStore) remove(c *pendingCommit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *pendingCommit) bool { return w == c })
}

// take removes the commits that have waited longest.
func (s *groupCommitStore) take() []*pendingCommit {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.waiting) && n < maxGroupCommit && (n == 0 || size+s.waiting[n].size <= maxBatchBytes) {
		size += s.waiting[n].size
		n++
	}
	some := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return some
}
