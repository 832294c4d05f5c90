package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/serverurl/serverurl/platform"
)

// Anybody may ask for readiness, so the backend's own check is made once for all who
// ask at the same time. It does not end with the request that came first.
func TestReadinessIsCheckedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks, failed atomic.Int32
		release := make(chan struct{})
		r := &running{log: slog.New(slog.DiscardHandler)}
		r.Options = platform.Options{Ready: func(ctx context.Context) error {
			checks.Add(1)
			<-release
			return ctx.Err()
		}}
		first, leaves := context.WithCancel(t.Context())
		for i := range 20 {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			go func() {
				if r.ownReadiness(ctx) != nil {
					failed.Add(1)
				}
			}()
			synctest.Wait()
		}
		leaves()
		close(release)
		synctest.Wait()
		if checks.Load() != 1 || failed.Load() != 0 {
			t.Errorf("%d checks, %d failed", checks.Load(), failed.Load())
		}
	})
}
