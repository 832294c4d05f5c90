package sqldb

import (
	"context"
	"errors"
	"strconv"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
)

// DeadLetters returns the events whose delivery failed as often as
// InboxOptions.MaxAttempts allows. [core.Redrive] delivers one again.
func (in *Inbox) DeadLetters() core.DeadLetters { return deadLetters{in} }

// deadLetters are the jobs of events that River has discarded.
type deadLetters struct{ in *Inbox }

// maxListed is the most jobs that River lists at once.
const maxListed = 10_000

// List implements core.DeadLetters.
func (l deadLetters) List(ctx context.Context, limit int) ([]core.DeadLetter, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := l.in.jobs.JobList(ctx, river.NewJobListParams().Kinds(eventArgs{}.Kind()).
		States(rivertype.JobStateDiscarded).OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderDesc).First(min(limit, maxListed)))
	if err != nil {
		return nil, wrap("list dead letters", err)
	}
	all := make([]core.DeadLetter, len(found.Jobs))
	for i, job := range found.Jobs {
		all[i] = deadLetterOf(job)
	}
	return all, nil
}

func deadLetterOf(job *rivertype.JobRow) core.DeadLetter {
	d := core.DeadLetter{ID: strconv.FormatInt(job.ID, 10), Attempts: job.Attempt}
	if n := len(job.Errors); n > 0 {
		d.Reason = job.Errors[n-1].Error
	}
	if e, err := unpackArgs(job.EncodedArgs); err != nil {
		d.Reason = err.Error()
	} else if e.ID != "" {
		d.Envelopes = []core.Envelope{e}
	}
	if job.FinalizedAt != nil {
		d.DeadAt = job.FinalizedAt.UTC()
	}
	return d
}

// Get implements core.DeadLetters.
func (l deadLetters) Get(ctx context.Context, id string) (core.DeadLetter, error) {
	job, err := l.find(ctx, id)
	if err != nil {
		return core.DeadLetter{}, err
	}
	return deadLetterOf(job), nil
}

func (l deadLetters) find(ctx context.Context, id string) (*rivertype.JobRow, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, core.ErrDeadLetterNotFound
	}
	job, err := l.in.jobs.JobGet(ctx, n)
	switch {
	case errors.Is(err, river.ErrNotFound), err == nil && (job.State != rivertype.JobStateDiscarded || job.Kind != eventArgs{}.Kind()):
		return nil, core.ErrDeadLetterNotFound
	case err != nil:
		return nil, wrap("get dead letter", err)
	}
	return job, nil
}

// Delete implements core.DeadLetters.
func (l deadLetters) Delete(ctx context.Context, id string) error {
	job, err := l.find(ctx, id)
	if err != nil {
		return err
	}
	_, err = l.in.jobs.JobDelete(ctx, job.ID)
	if errors.Is(err, river.ErrNotFound) {
		return core.ErrDeadLetterNotFound
	}
	return wrap("delete dead letter", err)
}
