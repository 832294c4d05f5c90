package sqlinbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
)

// A Dead is an event whose delivery failed as often as it was allowed to.
type Dead struct {
	ID       int64 // for Redrive
	Envelope core.Envelope
	Attempts int
	Reason   string // of the last failure: a code, never a handler's words
	Died     time.Time
}

// Dead returns up to limit dead events, the latest first.
func (in *Inbox) Dead(ctx context.Context, limit int) ([]Dead, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := in.jobs.JobList(ctx, river.NewJobListParams().Kinds(ev{}.Kind()).
		States(rivertype.JobStateDiscarded).OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderDesc).First(min(limit, 10_000)))
	if err != nil {
		return nil, wrap("dead", err)
	}
	var dead []Dead
	for _, job := range found.Jobs {
		dead = append(dead, readDead(job))
	}
	return dead, nil
}

func readDead(job *rivertype.JobRow) Dead {
	d := Dead{ID: job.ID, Attempts: job.Attempt}
	var err error
	if d.Envelope, err = unpackArgs(job.EncodedArgs); err != nil {
		d.Reason = err.Error()
	}
	if n := len(job.Errors); n > 0 && d.Reason == "" {
		d.Reason = job.Errors[n-1].Error
	}
	if job.FinalizedAt != nil {
		d.Died = job.FinalizedAt.UTC()
	}
	return d
}

// Waiting returns up to limit accepted events that are not delivered yet, the
// oldest first, dead ones not among them.
func (in *Inbox) Waiting(ctx context.Context, limit int) ([]core.Envelope, error) {
	if limit <= 0 {
		return nil, nil
	}
	const page = 10_000 // what River lists at once
	params := river.NewJobListParams().Kinds(ev{}.Kind()).
		States(rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled).
		OrderBy(river.JobListOrderByID, river.SortOrderAsc)
	var es []core.Envelope
	for len(es) < limit {
		n := min(limit-len(es), page)
		found, err := in.jobs.JobList(ctx, params.First(n))
		if err != nil {
			return nil, wrap("waiting", err)
		}
		for _, job := range found.Jobs {
			e, err := unpackArgs(job.EncodedArgs)
			if err != nil {
				return nil, err
			}
			es = append(es, e)
		}
		if len(found.Jobs) < n {
			break
		}
		params = params.After(found.LastCursor)
	}
	return es, nil
}

// ErrNotDead reports that no dead event has the id.
var ErrNotDead = errors.New("sqlinbox: no dead event has this id")

// Redrive delivers a dead event once more. If that fails, it is dead again.
func (in *Inbox) Redrive(ctx context.Context, id int64) error {
	job, err := in.jobs.JobGet(ctx, id)
	if errors.Is(err, river.ErrNotFound) || err == nil && (job.State != rivertype.JobStateDiscarded || job.Kind != ev{}.Kind()) {
		return fmt.Errorf("%w: %d", ErrNotDead, id)
	}
	if err == nil {
		_, err = in.jobs.JobRetry(ctx, id)
	}
	return wrap("redrive", err)
}
