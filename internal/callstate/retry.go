package callstate

import (
	"context"
	"time"
)

// MaxTries is how often a merge starts again because another instance changed
// the call in between. Each time one of the instances gets its commit through,
// so this is also how many may merge events of one call at a time.
const MaxTries = 100

// Pause waits for d, or until ctx ends and then returns its cause.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
