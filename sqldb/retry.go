package sqldb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The pauses between the attempts of a statement or transaction are random up
// to a bound that doubles: 10 ms, 20 ms … 320 ms. Together they take about a
// second of the caller's time at most.
const (
	conflictAttempts   = 8
	firstConflictPause = 10 * time.Millisecond
	lastConflictPause  = 320 * time.Millisecond
)

// retry calls f until it does anything but lose to another transaction.
func retry(ctx context.Context, op string, f func() error) error {
	pause := firstConflictPause
	for n := 1; ; n++ {
		err := f()
		if n == conflictAttempts || kindOf(err) != errorConflict {
			return wrap(op, err)
		}
		t := time.NewTimer(rand.N(pause))
		select {
		case <-ctx.Done():
			t.Stop()
			return wrap(op, errors.Join(context.Cause(ctx), err))
		case <-t.C:
		}
		pause = min(2*pause, lastConflictPause)
	}
}
