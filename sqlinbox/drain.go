package sqlinbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// Where nothing may run after a reply, nobody calls Run. There Put commits by
// itself (Options.Inline), Drain delivers on the caller's time, and Tend does
// what Run does beside its deliveries. The events are the same jobs, so that an
// instance with Run may share the database.

const (
	// drainBatch is how many events are taken at a time: what an instance that
	// is ended in the middle keeps from the others until Tend gives it out again.
	drainBatch = 8

	// settleTime bounds the note of what became of a batch, which is made
	// after the drain's own time is over too. It is tried until then, because
	// without it the batch waits for Tend.
	settleTime  = 2 * time.Second
	settlePause = 50 * time.Millisecond

	// tendAtOnce bounds what one Tend looks at.
	tendAtOnce = 1000
)

// Drained is what a Drain did.
type Drained struct {
	Delivered, Failed int
	Empty             bool // nothing was left that was due
}

// Drain delivers events that wait, until none is due or limit of them have been
// taken. No delivery begins later than the time begin from now; one that has
// begun goes on until ctx ends, which should leave it some seconds, because
// one that is cut off has failed. What was taken and not begun is given back,
// and that does not count as an attempt. Events of one call go one after the
// other.
func (in *Inbox) Drain(ctx context.Context, begin time.Duration, limit int) (d Drained, err error) {
	last := time.Now().Add(begin)
	for taken := 0; taken < limit && ctx.Err() == nil && time.Now().Before(last); {
		got, err := onLiving(func() (*riverdriver.JobGetAvailableResult, error) {
			return in.exec.JobGetAvailable(ctx, &riverdriver.JobGetAvailableParams{
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
		if err := in.settle(ctx, in.deliverAll(ctx, last, got.Jobs, &d)); err != nil {
			return d, wrap("drain", err)
		}
	}
	return d, nil
}

// deliverAll delivers a batch, calls side by side, and says what is to be noted
// of each event.
func (in *Inbox) deliverAll(ctx context.Context, last time.Time, jobs []*rivertype.JobRow, d *Drained) []*riverdriver.JobSetStateIfRunningParams {
	outcomes := make([]*riverdriver.JobSetStateIfRunningParams, len(jobs))
	envelopes := make([]core.Envelope, len(jobs))
	calls := map[event.CallID][]int{}
	for i, job := range jobs {
		e, err := unpackArgs(job.EncodedArgs)
		if err != nil {
			outcomes[i] = in.failed(ctx, job, errUnpackable)
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

func (in *Inbox) deliverOne(ctx context.Context, last time.Time, job *rivertype.JobRow, e core.Envelope) *riverdriver.JobSetStateIfRunningParams {
	giveBack := riverdriver.JobSetStateInterrupted(job.ID, time.Now(), max(0, job.Attempt-1), nil)
	if ctx.Err() != nil || time.Now().After(last) {
		return giveBack
	}
	deadline, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	err := safely(func() error { return in.deliver(deadline, e) })
	switch {
	case err == nil:
		return riverdriver.JobSetStateCompleted(job.ID, time.Now(), nil)
	case errors.Is(ctx.Err(), context.Canceled): // we are stopping
		return giveBack
	case deadline.Err() != nil:
		err = errors.Join(err, deadline.Err())
	}
	return in.failed(ctx, job, reasonOf(err))
}

func (in *Inbox) failed(ctx context.Context, job *rivertype.JobRow, reason error) *riverdriver.JobSetStateIfRunningParams {
	dead := job.Attempt >= job.MaxAttempts
	in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "delivery failed", slog.String("reason", reason.Error()),
		slog.Int("attempt", job.Attempt), slog.Bool("dead", dead))
	said := attemptError(job.Attempt, reason)
	if dead {
		return riverdriver.JobSetStateDiscarded(job.ID, time.Now(), said, nil)
	}
	// Available with a time in the future: it needs nobody to wake it.
	return riverdriver.JobSetStateErrorAvailable(job.ID, time.Now().Add(in.o.Pause(job.Attempt)), said, nil)
}

// attemptError is how River keeps the reason of a failure.
func attemptError(attempt int, reason error) []byte {
	b, _ := json.Marshal(rivertype.AttemptError{At: time.Now().UTC(), Attempt: max(1, attempt), Error: reason.Error()}) // plain fields
	return b
}

// settle notes what became of a batch, also when the time for it is over.
func (in *Inbox) settle(ctx context.Context, outcomes []*riverdriver.JobSetStateIfRunningParams) error {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for {
		// A note made twice changes nothing. What it misses is given out again by
		// Tend, and a delivery twice changes nothing either.
		_, err := in.exec.JobSetStateIfRunningMany(ctx, many)
		if err == nil || kindOf(err) != errorOfAvailability || pause(ctx, settlePause) != nil {
			return err
		}
	}
}

// onLiving calls f again where it was given a connection that had died before,
// as all may have while an instance was frozen.
func onLiving[T any](f func() (T, error)) (result T, err error) {
	for range 5 {
		if result, err = f(); err == nil || !pgconn.SafeToRetry(err) {
			break
		}
	}
	return result, err
}

// errLost is noted of an attempt that ended with its instance.
var errLost = errors.New("instance ended")

// Tend gives out again what was being delivered by an instance that ended in
// the middle, and deletes what has been delivered. Whoever drains calls it once
// in a while.
func (in *Inbox) Tend(ctx context.Context) error {
	horizon := time.Now().Add(-rescueAfter)
	lost, err := onLiving(func() ([]*rivertype.JobRow, error) {
		return in.exec.JobGetStuck(ctx, &riverdriver.JobGetStuckParams{Max: tendAtOnce, StuckHorizon: horizon})
	})
	if err != nil {
		return wrap("tend", err)
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
			rescue.Error = append(rescue.Error, attemptError(job.Attempt, errLost))
			rescue.FinalizedAt = append(rescue.FinalizedAt, final)
			rescue.ScheduledAt = append(rescue.ScheduledAt, time.Now())
			rescue.State = append(rescue.State, string(state))
		}
		if _, err := in.exec.JobRescueMany(ctx, rescue); err != nil {
			return wrap("tend", err)
		}
	}
	_, err = in.exec.JobDeleteBefore(ctx, &riverdriver.JobDeleteBeforeParams{
		CompletedDoDelete: true, CompletedFinalizedAtHorizon: time.Now().Add(-keepDone), Max: tendAtOnce, QueuesIncluded: []string{eventQueue},
	})
	return wrap("tend", err)
}

// putInline commits on the caller's time.
func (in *Inbox) putInline(ctx context.Context, jobs []river.InsertManyParams, size int) error {
	return in.batcher.store(ctx, []*put{{ctx: ctx, jobs: jobs, size: size}})
}
