package sqldb

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

// A fetch marks jobs as running in the statement that returns them. If that
// statement commits and its result is lost, with the connection or because the
// caller's context has ended, no client knows of the jobs, and River would make
// them available only after rescueAfter, counting an attempt. So each fetch has
// a unique name, and jobs that are running under the name of one that failed are
// made available again. If the process ends in between, the rescue finds them.

const (
	// fetchGrace is how long a fetch may continue after its caller's context ended.
	fetchGrace = 2 * time.Second

	// fetchUncertain is how long after a fetch failed the database may still
	// commit it: a server does not notice at once that its client is gone.
	fetchUncertain = 10 * time.Second
)

// A fetcher is River's executor with fetches that can be undone.
type fetcher struct {
	riverdriver.Executor
	undo func(ctx context.Context, name string) error

	mu     sync.Mutex
	failed map[string]time.Time // when each failed, by name
}

// JobGetAvailable implements riverdriver.Executor.
func (f *fetcher) JobGetAvailable(ctx context.Context, params *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	ctx, cancel := extend(ctx, fetchGrace)
	defer cancel()
	if err := f.release(ctx); err != nil {
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
	// This may be the last chance of an instance that is frozen between requests.
	again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), fetchGrace)
	defer cancelAgain()
	_ = f.release(again) // the next fetch tries again
	return nil, err
}

// release makes jobs available again that failed fetches may have marked.
func (f *fetcher) release(ctx context.Context) error {
	f.mu.Lock()
	failed := maps.Clone(f.failed)
	f.mu.Unlock()
	for name, at := range failed {
		certain := time.Since(at) > fetchUncertain
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

// undoFetch returns a fetcher's undo. The attempt is not counted, as when River
// itself releases a job at a stop.
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

// extend returns a context that ends grace after ctx, and no later than
// commitTimeout.
func extend(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
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
