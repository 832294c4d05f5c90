package vercel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/sqldb"
)

// An inbox holds accepted events in PostgreSQL, as jobs of River, and marks the
// request that one was accepted in. Nothing works on it in the background,
// because an instance is frozen between requests: requests and the cron drain it.
type inbox struct {
	*sqldb.Inbox
	prepare func(context.Context) error
	sweep   func(context.Context) error

	mu         sync.Mutex
	maintained time.Time
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

// acceptedKey is the context key of a request's flag that an event was accepted.
type acceptedKey struct{}

// Prepare implements backlog.
func (in *inbox) Prepare(ctx context.Context) error { return in.prepare(ctx) }

// Drain implements backlog.
func (in *inbox) Drain(ctx context.Context, begin time.Duration, limit int) (sqldb.DrainResult, error) {
	in.mu.Lock()
	due := time.Since(in.maintained) >= maintainInterval
	if due {
		in.maintained = time.Now()
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
