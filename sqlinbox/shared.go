package sqlinbox

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/sqlstore"
)

// A shared store lets commits that come at the same time share a transaction of
// SQLite's only writer, and with it the wait for the disk. While one
// transaction is on its way the others gather for the next. So
// many deliveries wait for the disk as one, and an event that is being accepted waits
// for one of their transactions at the most. (A second connection for
// accepting is no way: in the lottery for the file's lock deliveries starve.)
type shared struct {
	*sqlstore.Store
	turn chan struct{} // holds one: whose turn it is to commit for all who wait

	mu      sync.Mutex
	waiting []*commit
}

// A commit waits to become a part of a transaction.
type commit struct {
	records []records.Record
	size    int
	done    chan error // has room for the answer
}

func newShared(s *sqlstore.Store) *shared {
	return &shared{Store: s, turn: make(chan struct{}, 1)}
}

// Commit implements records.Store.
func (s *shared) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil || len(rs) == 0 {
		return err
	}
	c := &commit{records: rs, done: make(chan error, 1)}
	for _, r := range rs {
		c.size += len(r.Value)
	}
	s.wait(c)
	for {
		select {
		case err := <-c.done:
			return err
		case s.turn <- struct{}{}:
			if len(c.done) == 0 {
				s.lead(ctx)
			}
			<-s.turn
		case <-ctx.Done():
			s.leave(c)
			return context.Cause(ctx)
		}
	}
}

// lead commits what waits, as far as it fits into one transaction. It is done
// under the leader's own context, so that nobody stays longer than he may; when that
// ends nothing has happened, and the others go again.
func (s *shared) lead(ctx context.Context) {
	some := s.take()
	records := make([][]records.Record, len(some))
	for i, c := range some {
		records[i] = c.records
	}
	var again []*commit
	for i, err := range s.CommitEach(ctx, records...) {
		if len(some) > 1 && ctx.Err() != nil && givenUp(err) {
			again = append(again, some[i])
			continue
		}
		some[i].done <- err
	}
	s.wait(again...)
}

// givenUp reports that a transaction was rolled back because its context ended.
func givenUp(err error) bool {
	n, ok := sqliteCode(err)
	return ok && n&0xff == 9 || // SQLITE_INTERRUPT
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (s *shared) wait(cs ...*commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, cs...)
}

func (s *shared) leave(c *commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *commit) bool { return w == c })
}

// take takes those who came first.
func (s *shared) take() []*commit {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.waiting) && n < maxShared && (n == 0 || size+s.waiting[n].size <= maxBatchBytes) {
		size += s.waiting[n].size
		n++
	}
	some := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return some
}
