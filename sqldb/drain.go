package sqldb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/envelope"
)

// An instance that is frozen after each reply cannot call Run. There Put commits
// by itself (InboxOptions.NoWorkers), Drain delivers on the caller's time, and
// Maintain does what Run does besides its deliveries. The events are the same
// jobs, so that an instance with Run may share the database.

const (
	// drainBatch is how many events are fetched at a time. An instance that ends
	// while it delivers them withholds so many from others until Maintain makes
	// them available again.
	drainBatch = 8

	// recordTimeout bounds recording the results of a batch, which happens even if
	// the drain's own time is over. It is retried until then, because otherwise
	// the batch waits for Maintain.
	recordTimeout = 2 * time.Second
	recordPause   = 50 * time.Millisecond

	// maintainBatch bounds how many jobs one Maintain handles.
	maintainBatch = 1000
)

// A DrainResult counts what a Drain did.
type DrainResult struct {
	Delivered, Failed int
	Empty             bool // no event was left that was due
}

// Drain delivers pending events until none is due or limit of them have been
// fetched. No delivery begins later than begin from now. One that has begun
// continues until ctx ends, which should leave it some seconds, because a
// delivery that is cut off has failed. Events that were fetched and not begun
// are made available again, which does not count as an attempt. Events of one
// call are delivered one after the other.
func (in *Inbox) Drain(ctx context.Context, begin time.Duration, limit int) (d DrainResult, err error) {
	last := time.Now().Add(begin)
	for taken := 0; taken < limit && ctx.Err() == nil && time.Now().Before(last); {
		got, err := retryDeadConn(func() (*riverdriver.JobGetAvailableResult, error) {
			return in.fetcher.JobGetAvailable(ctx, &riverdriver.JobGetAvailableParams{
				ClientID: "drain", MaxAttemptedBy: 10, MaxToLock: min(drainBatch, limit-taken), Queue: eventQueue,
			})
		})
		if err != nil {
			if ctx.Err() != nil {
				return d, nil
			}
			return d, wrap("drain", err)
		}
		if len(got.Jobs) == 0 {
			d.Empty = true
			return d, nil
		}
		taken += len(got.Jobs)
		if err := in.recordResults(ctx, in.deliverAll(ctx, last, got.Jobs, &d)); err != nil {
			return d, wrap("drain", err)
		}
	}
	return d, nil
}

// deliverAll delivers a batch, different calls concurrently, and returns the
// state to record of each event.
func (in *Inbox) deliverAll(ctx context.Context, last time.Time, jobs []*rivertype.JobRow, d *DrainResult) []*riverdriver.JobSetStateIfRunningParams {
	outcomes := make([]*riverdriver.JobSetStateIfRunningParams, len(jobs))
	envelopes := make([]core.Envelope, len(jobs))
	calls := map[event.CallID][]int{}
	for i, job := range jobs {
		e, err := unpackArgs(job.EncodedArgs)
		if err != nil {
			outcomes[i] = in.failedState(ctx, job, core.Envelope{}, envelope.ErrInvalid)
			continue
		}
		envelopes[i] = e
		calls[e.Call] = append(calls[e.Call], i)
	}
	var all sync.WaitGroup
	for _, of := range calls {
		all.Go(func() {
			for _, i := range of {
				outcomes[i] = in.deliverOne(ctx, last, jobs[i], envelopes[i])
			}
		})
	}
	all.Wait()
	for _, o := range outcomes {
		switch o.Reason {
		case riverdriver.JobSetStateReasonCompleted:
			d.Delivered++
		case riverdriver.JobSetStateReasonFailed:
			d.Failed++
		}
	}
	return outcomes
}

// deliverOne delivers one event, unless no delivery may begin any more.
func (in *Inbox) deliverOne(ctx context.Context, last time.Time, job *rivertype.JobRow, e core.Envelope) *riverdriver.JobSetStateIfRunningParams {
	giveBack := riverdriver.JobSetStateInterrupted(job.ID, time.Now(), max(0, job.Attempt-1), nil)
	if ctx.Err() != nil || time.Now().After(last) {
		return giveBack
	}
	deadline, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	err := safely(func() error { return in.deliver(deadline, e) })
	switch {
	case err == nil:
		return riverdriver.JobSetStateCompleted(job.ID, time.Now(), nil)
	case errors.Is(ctx.Err(), context.Canceled): // the instance is stopping
		return giveBack
	case deadline.Err() != nil:
		err = errors.Join(err, deadline.Err())
	}
	return in.failedState(ctx, job, e, reasonOf(err))
}

// failedState returns the state of a job whose delivery failed: a dead letter
// after the last attempt, otherwise a retry.
func (in *Inbox) failedState(ctx context.Context, job *rivertype.JobRow, e core.Envelope, reason error) *riverdriver.JobSetStateIfRunningParams {
	in.logFailure(ctx, job, e, reason)
	encoded := attemptError(job.Attempt, reason)
	if job.Attempt >= job.MaxAttempts {
		return riverdriver.JobSetStateDiscarded(job.ID, time.Now(), encoded, nil)
	}
	// Available at a future time, not retryable: the latter needs a scheduler.
	return riverdriver.JobSetStateErrorAvailable(job.ID, time.Now().Add(in.o.Backoff(job.Attempt)), encoded, nil)
}

// attemptError encodes the reason of a failure as River stores it.
func attemptError(attempt int, reason error) []byte {
	b, _ := json.Marshal(rivertype.AttemptError{At: time.Now().UTC(), Attempt: max(1, attempt), Error: reason.Error()}) // plain fields
	return b
}

// recordResults records the states of a batch, even if the time of ctx is over.
func (in *Inbox) recordResults(ctx context.Context, outcomes []*riverdriver.JobSetStateIfRunningParams) error {
	many := &riverdriver.JobSetStateIfRunningManyParams{}
	for _, o := range outcomes {
		many.ID = append(many.ID, o.ID)
		many.Attempt = append(many.Attempt, o.Attempt)
		many.ErrData = append(many.ErrData, o.ErrData)
		many.FinalizedAt = append(many.FinalizedAt, o.FinalizedAt)
		many.MetadataDoMerge = append(many.MetadataDoMerge, false)
		many.MetadataUpdates = append(many.MetadataUpdates, nil)
		many.ScheduledAt = append(many.ScheduledAt, o.ScheduledAt)
		many.State = append(many.State, o.State)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for {
		// Recording twice changes nothing. If it fails, Maintain makes the jobs
		// available again; delivering an event twice changes nothing either.
		_, err := in.fetcher.JobSetStateIfRunningMany(ctx, many)
		if err == nil || !kindOf(err).temporary() || sleep(ctx, recordPause) != nil {
			return err
		}
	}
}

// retryDeadConn calls f again if it was given a connection that was already dead,
// as all may be after an instance was frozen.
func retryDeadConn[T any](f func() (T, error)) (result T, err error) {
	for range 5 {
		if result, err = f(); err == nil || !pgconn.SafeToRetry(err) {
			break
		}
	}
	return result, err
}

// errInstanceEnded is recorded for an attempt whose instance ended.
var errInstanceEnded = errors.New("instance ended")

// Maintain makes events available again whose delivery was interrupted by the end
// of an instance, and deletes events that have been delivered. A caller of Drain
// calls it now and then.
func (in *Inbox) Maintain(ctx context.Context) error {
	horizon := time.Now().Add(-rescueAfter)
	lost, err := retryDeadConn(func() ([]*rivertype.JobRow, error) {
		return in.fetcher.JobGetStuck(ctx, &riverdriver.JobGetStuckParams{Max: maintainBatch, StuckHorizon: horizon})
	})
	if err != nil {
		return wrap("maintain", err)
	}
	if len(lost) > 0 {
		rescue := &riverdriver.JobRescueManyParams{StuckHorizon: horizon}
		for _, job := range lost {
			if job.Queue != eventQueue {
				continue
			}
			state, final := rivertype.JobStateAvailable, (*time.Time)(nil)
			if job.Attempt >= job.MaxAttempts {
				now := time.Now()
				state, final = rivertype.JobStateDiscarded, &now
			}
			rescue.ID = append(rescue.ID, job.ID)
			rescue.Error = append(rescue.Error, attemptError(job.Attempt, errInstanceEnded))
			rescue.FinalizedAt = append(rescue.FinalizedAt, final)
			rescue.ScheduledAt = append(rescue.ScheduledAt, time.Now())
			rescue.State = append(rescue.State, string(state))
		}
		if _, err := in.fetcher.JobRescueMany(ctx, rescue); err != nil {
			return wrap("maintain", err)
		}
	}
	_, err = in.fetcher.JobDeleteBefore(ctx, &riverdriver.JobDeleteBeforeParams{
		CompletedDoDelete: true, CompletedFinalizedAtHorizon: time.Now().Add(-completedRetention), Max: maintainBatch, QueuesIncluded: []string{eventQueue},
	})
	return wrap("maintain", err)
}
