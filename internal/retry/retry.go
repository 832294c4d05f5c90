// Package retry repeats requests that lost to another one and changed nothing.
// It never repeats anything else, and nothing after the context has ended.
//
//	err := retry.Do(ctx, 12, isConflict, func() error { return commit(ctx) })
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Do calls f until it returns nil or an error that is not retryable, tries times
// at most, or until ctx ends for 0. Pauses are random, so that two do not meet
// again, up to a bound that grows from 20 ms to 200 ms.
func Do(ctx context.Context, tries uint, retryable func(error) bool, f func() error) error {
	pauses := &backoff.ExponentialBackOff{InitialInterval: 10 * time.Millisecond, RandomizationFactor: 1, Multiplier: 1.5, MaxInterval: 100 * time.Millisecond}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := f()
		if err != nil && !retryable(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0))
	if p, ok := errors.AsType[*backoff.PermanentError](err); ok { // of the last try
		return p.Unwrap()
	}
	return err
}
