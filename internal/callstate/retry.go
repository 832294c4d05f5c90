package callstate

import (
	"context"
	"time"
)

// MaxTries is how often a merge starts again because another instance
// changed the call in between.
const MaxTries = 100

func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
