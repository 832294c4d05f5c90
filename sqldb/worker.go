package sqldb

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
)

// Reasons why a delivery failed, as they are stored and logged. A handler's own
// error text may quote a patient.
var (
	errHandlerFailed = errors.New("handler failed")
	errConflict      = errors.New("store conflict")
	errDeadline      = errors.New("deadline exceeded")
	errPanicked      = errors.New("delivery panicked")
	errDatabase      = errors.New("database failed")
	errOther         = errors.New("delivery failed")
)

// A deliverer works the jobs that are events.
type deliverer struct {
	river.WorkerDefaults[eventArgs]
	in *Inbox
}

// Work implements river.Worker.
func (d *deliverer) Work(ctx context.Context, job *river.Job[eventArgs]) error {
	release, err := d.in.waitForPuts(ctx)
	if err != nil {
		return err
	}
	defer release()
	size := min(unpackedSize(job.Args), maxInflightBytes)
	waiting, cancel := context.WithTimeout(ctx, inflightWait)
	err = d.in.inflight.Acquire(waiting, size)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return river.JobSnooze(time.Second) // does not count as an attempt
	}
	defer d.in.inflight.Release(size)
	e, err := unpack(job.Args)
	if err != nil {
		d.in.logFailure(ctx, job.JobRow, core.Envelope{}, envelope.ErrInvalid)
		return envelope.ErrInvalid
	}
	err = safely(func() error { return d.in.deliver(ctx, e) })
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the inbox is stopping: River does not count it as an attempt
	}
	reason := reasonOf(err)
	d.in.logFailure(ctx, job.JobRow, e, reason)
	return reason
}

// logFailure logs that an attempt to deliver failed, and whether it was the last. A
// dead letter wants a person, an attempt that is repeated does not. e is zero if the
// job cannot be decoded.
func (in *Inbox) logFailure(ctx context.Context, job *rivertype.JobRow, e core.Envelope, reason error) {
	level := slog.LevelWarn
	if job.Attempt >= job.MaxAttempts {
		level = slog.LevelError
	}
	in.o.Logger.With(envelope.Log(e, in.o.Tag)...).LogAttrs(ctx, level, "delivery failed", slog.String("reason", reason.Error()),
		slog.Int("attempt", job.Attempt), slog.Bool("dead", job.Attempt >= job.MaxAttempts))
}

// waitForPuts delays a delivery while events are being accepted and as many as
// may then begin are running: a sender waits for its answer and sends only
// once, a delivery can wait.
func (in *Inbox) waitForPuts(ctx context.Context) (release func(), err error) {
	poll := time.NewTicker(throttlePoll)
	defer poll.Stop()
	for until := time.Now().Add(throttleWait); in.batcher.busy() && time.Now().Before(until); {
		select {
		case in.throttle <- struct{}{}:
			return func() { <-in.throttle }, nil
		case <-poll.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() {}, nil
}

// safely calls f and returns errPanicked if it panics.
func safely(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f()
}

// reasonOf reduces an error of a delivery to one of the reasons above.
func reasonOf(err error) error {
	switch {
	case errors.Is(err, errPanicked):
		return errPanicked
	case errors.Is(err, core.ErrHandlerFailed):
		return errHandlerFailed
	case errors.Is(err, records.ErrStale):
		return errConflict
	case errors.Is(err, context.DeadlineExceeded):
		return errDeadline
	case kindOf(err) != errorOther:
		return errDatabase
	}
	return errOther
}

// defaultBackoff grows fourfold, with jitter in its upper half so that
// deliveries that failed together are not retried together.
func defaultBackoff(attempt int) time.Duration {
	d := lastBackoff
	if attempt < 10 {
		d = min(lastBackoff, firstBackoff<<(2*(attempt-1)))
	}
	return d/2 + rand.N(d/2)
}

type retryPolicy func(attempt int) time.Duration

// NextRetry implements river.ClientRetryPolicy.
func (f retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(f(job.Attempt))
}
