package vercel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/sqldb"
)

// An inbox keeps accepted events in Postgres, as jobs of River, and notes on
// the request that it has. Nobody works on it in the background, because an
// instance is frozen between requests: requests and the cron drain it.
type inbox struct {
	*sqldb.Inbox
	prepare func(context.Context) error
	sweep   func(context.Context) error

	mu     sync.Mutex
	tended time.Time
}

var _ core.Inbox = (*inbox)(nil)

// Put implements core.Inbox.
func (in *inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if err := in.Inbox.Put(ctx, es...); err != nil {
		return err
	}
	if accepted, ok := ctx.Value(acceptedKey{}).(*atomic.Bool); ok {
		accepted.Store(true)
	}
	return nil
}

// acceptedKey is the key of a request's note that an event was accepted.
type acceptedKey struct{}

// Prepare implements backlog.
func (in *inbox) Prepare(ctx context.Context) error { return in.prepare(ctx) }

// Drain implements backlog.
func (in *inbox) Drain(ctx context.Context, begin time.Duration, limit int) (sqldb.DrainResult, error) {
	in.mu.Lock()
	due := time.Since(in.tended) >= tendEvery
	if due {
		in.tended = time.Now()
	}
	in.mu.Unlock()
	if due {
		if err := in.Maintain(ctx); err != nil {
			return sqldb.DrainResult{}, err
		}
	}
	return in.Inbox.Drain(ctx, begin, limit)
}

// SweepExpired implements backlog.
func (in *inbox) SweepExpired(ctx context.Context) error { return in.sweep(ctx) }
