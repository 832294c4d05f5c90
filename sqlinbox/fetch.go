package sqlinbox

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver"
)

// A fetch marks jobs as running in the statement that returns them. When that
// statement commits and its answer is lost, with the connection or because the
// caller's context has ended, nobody knows of the jobs, and River would only
// give them out again after rescueAfter, as an attempt. So each fetch has a name
// of its own, and what is running under the name of one that failed is made
// available again. A process that ends in between leaves its jobs to the rescue.

const (
	// fetchGrace is how long a fetch may go on after its caller's context.
	fetchGrace = 2 * time.Second

	// fetchDoubt is how long after a fetch failed the database may still commit
	// it: a server does not notice at once that its client is gone.
	fetchDoubt = 10 * time.Second
)

// A fetcher is River's executor with fetches that can be undone.
type fetcher struct {
	riverdriver.Executor
	undo func(ctx context.Context, name string) error

	mu     sync.Mutex
	failed map[string]time.Time // when, by the name of the fetch
}

// JobGetAvailable implements riverdriver.Executor.
func (f *fetcher) JobGetAvailable(ctx context.Context, params *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	ctx, cancel := outlast(ctx, fetchGrace)
	defer cancel()
	if err := f.giveBack(ctx); err != nil {
		return nil, err
	}
	named := *params
	named.ClientID += "-" + crand.Text()
	got, err := f.Executor.JobGetAvailable(ctx, &named)
	if err == nil || pgconn.SafeToRetry(err) { // the latter was never sent
		return got, err
	}
	f.mu.Lock()
	f.failed[named.ClientID] = time.Now()
	f.mu.Unlock()
	// Often the last chance of an instance that is frozen between requests.
	again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), fetchGrace)
	defer cancelAgain()
	_ = f.giveBack(again) // the next fetch tries again
	return nil, err
}

// giveBack makes available again what failed fetches may have taken.
func (f *fetcher) giveBack(ctx context.Context) error {
	f.mu.Lock()
	failed := maps.Clone(f.failed)
	f.mu.Unlock()
	for name, at := range failed {
		certain := time.Since(at) > fetchDoubt
		if err := f.undo(ctx, name); err != nil {
			return err
		}
		if certain {
			f.mu.Lock()
			delete(f.failed, name)
			f.mu.Unlock()
		}
	}
	return nil
}

// undoFetch returns a fetcher's undo. That a job's attempt begins anew is the
// same as when River itself gives a job back at a stop.
func undoFetch(db *sql.DB, postgres bool) func(context.Context, string) error {
	const undo = "UPDATE river_job SET state = 'available', attempt = attempt - 1 WHERE state = 'running' AND "
	query := undo + "attempted_by ->> '$[#-1]' = $1"
	if postgres {
		query = undo + "attempted_by[cardinality(attempted_by)] = $1"
	}
	return func(ctx context.Context, name string) error {
		_, err := db.ExecContext(ctx, query, name)
		return err
	}
}

// outlast returns a context that ends a while after ctx, and not later than one
// try at the database may take.
func outlast(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-longer.Done():
		case <-time.After(grace):
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// A fetchingDriver is a driver of River whose executor is a fetcher.
type fetchingDriver[TTx any] struct {
	riverdriver.Driver[TTx]
	fetcher *fetcher
}

// GetExecutor implements riverdriver.Driver.
func (d fetchingDriver[TTx]) GetExecutor() riverdriver.Executor { return d.fetcher }
