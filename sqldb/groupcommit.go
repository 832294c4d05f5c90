package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"github.com/serverurl/serverurl/core/records"
)

// A shared store lets commits that come at the same time share a transaction of
// SQLite's only writer, and with it the wait for the disk. While one
// transaction is on its way the others gather for the next. So
// many deliveries wait for the disk as one, and an event that is being accepted waits
// for one of their transactions at the most. (A second connection for
// accepting is no way: in the lottery for the file's lock deliveries starve.)
type groupCommitStore struct {
	*Store
	leader chan struct{} // holds one: whose turn it is to commit for all who wait

	mu      sync.Mutex
	waiting []*pendingCommit
}

// A commit waits to become a part of a transaction.
type pendingCommit struct {
	records []records.Record
	size    int
	done    chan error // has room for the answer
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

// lead commits what waits, as far as it fits into one transaction. It is done
// under the leader's own context, so that nobody stays longer than he may; when that
// ends nothing has happened, and the others go again.
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

// givenUp reports that a transaction was rolled back because its context ended.
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

// take takes those who came first.
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
