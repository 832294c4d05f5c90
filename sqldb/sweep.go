package sqldb

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// sweep is the periodic job that calls InboxOptions.Sweep and deletes expired
// records.
type sweep struct{}

// Kind implements river.JobArgs.
func (sweep) Kind() string { return "serverurl_sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts: one sweep at a time.
func (sweep) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: sweepQueue, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

type sweeper struct {
	river.WorkerDefaults[sweep]
	in *Inbox
}

// Timeout implements river.Worker.
func (*sweeper) Timeout(*river.Job[sweep]) time.Duration { return sweepTimeout }

// Work implements river.Worker. It never fails: the next sweep is the retry.
func (s *sweeper) Work(ctx context.Context, _ *river.Job[sweep]) error {
	err := safely(func() error {
		var err error
		if s.in.o.Sweep != nil {
			err = s.in.o.Sweep(ctx)
		}
		return errors.Join(err, s.in.db.sweepExpired(ctx))
	})
	if err != nil && ctx.Err() == nil {
		s.in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "sweep failed", slog.String("reason", reasonOf(err).Error()))
	}
	return nil
}

// sweepBatch keeps a sweep from holding SQLite's only writer for long.
const sweepBatch = 500

// sweepExpired deletes all expired records.
func (db *Database) sweepExpired(ctx context.Context) error {
	for {
		n, err := db.store.Sweep(ctx, sweepBatch)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
