package sqlinbox

import (
	"context"

	"github.com/serverurl/serverurl/core"
)

// A gated store lets few commits at a time into the queue for SQLite's writer,
// so that an event that is being accepted waits for two commits at the most,
// and not for one of every delivery. Accepting comes first, because the sender
// does not repeat; delivering goes on in between. (A second connection for
// accepting is no way: in the lottery for the file's lock deliveries starve.)
type gated struct {
	core.Store
	gate chan struct{}
}

func (g gated) Commit(ctx context.Context, rs ...core.Record) error {
	select {
	case g.gate <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-g.gate }()
	return g.Store.Commit(ctx, rs...)
}
