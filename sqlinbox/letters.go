package sqlinbox

import (
	"context"
	"errors"
	"strconv"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/serverurl/serverurl/core"
)

// DeadLetters returns the dead events, as core knows them.
func (in *Inbox) DeadLetters() core.DeadLetters { return letters{in} }

type letters struct{ in *Inbox }

// List implements core.DeadLetters.
func (l letters) List(ctx context.Context, limit int) ([]core.DeadLetter, error) {
	dead, err := l.in.Dead(ctx, limit)
	all := make([]core.DeadLetter, len(dead))
	for i, d := range dead {
		all[i] = letter(d)
	}
	return all, err
}

func letter(d Dead) core.DeadLetter {
	c := core.DeadLetter{ID: strconv.FormatInt(d.ID, 10), Attempts: d.Attempts, Reason: d.Reason, DeadAt: d.Died}
	if d.Envelope.ID != "" {
		c.Envelopes = []core.Envelope{d.Envelope}
	}
	return c
}

// Get implements core.DeadLetters.
func (l letters) Get(ctx context.Context, id string) (core.DeadLetter, error) {
	job, err := l.find(ctx, id)
	if err != nil {
		return core.DeadLetter{}, err
	}
	return letter(readDead(job)), nil
}

func (l letters) find(ctx context.Context, id string) (*rivertype.JobRow, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, core.ErrDeadLetterNotFound
	}
	job, err := l.in.jobs.JobGet(ctx, n)
	switch {
	case errors.Is(err, river.ErrNotFound), err == nil && (job.State != rivertype.JobStateDiscarded || job.Kind != ev{}.Kind()):
		return nil, core.ErrDeadLetterNotFound
	case err != nil:
		return nil, wrap("dead", err)
	}
	return job, nil
}

// Delete implements core.DeadLetters.
func (l letters) Delete(ctx context.Context, id string) error {
	job, err := l.find(ctx, id)
	if err != nil {
		return err
	}
	_, err = l.in.jobs.JobDelete(ctx, job.ID)
	if errors.Is(err, river.ErrNotFound) {
		return core.ErrDeadLetterNotFound
	}
	return wrap("drop", err)
}
