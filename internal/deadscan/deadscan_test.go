package deadscan_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/deadscan"
)

// A fakeQueue gives out two messages at a time, and each again while invisible,
// as a queue may that delivers at least once.
type fakeQueue struct {
	visible, invisible []string
	receives           int
	err                error
}

func (q *fakeQueue) Receive(context.Context) ([]string, error) {
	q.receives++
	n := min(2, len(q.visible))
	ms := slices.Clone(q.visible[:n])
	q.visible, q.invisible = q.visible[n:], append(q.invisible, ms...)
	if n > 0 && len(q.invisible) > n {
		ms = append(ms, q.invisible[0])
	}
	return ms, q.err
}

func (q *fakeQueue) Release(_ context.Context, ms []string) {
	for _, m := range ms {
		i := slices.Index(q.invisible, m)
		q.invisible = slices.Delete(q.invisible, i, i+1)
		q.visible = append(q.visible, m)
	}
}

func (q *fakeQueue) Delete(_ context.Context, m string) error {
	i := slices.Index(q.invisible, m)
	q.invisible = slices.Delete(q.invisible, i, i+1)
	return nil
}

func (q *fakeQueue) ID(m string) string { return m }

func (q *fakeQueue) Decode(_ context.Context, m string) (core.DeadLetter, error) {
	if m == "3" {
		return core.DeadLetter{Envelopes: make([]core.Envelope, 1)}, errors.New("not for logs")
	}
	return core.DeadLetter{Envelopes: []core.Envelope{{ID: "e" + m}}}, nil
}

func TestScans(t *testing.T) {
	q := &fakeQueue{}
	for i := range 7 {
		q.visible = append(q.visible, strconv.Itoa(i))
	}
	dead := deadscan.Letters[string]{Queue: q, EmptyReceives: 2}
	var _ core.DeadLetters = dead
	ctx := t.Context()
	whole := func(n int) {
		t.Helper()
		if len(q.visible) != n || len(q.invisible) != 0 {
			t.Errorf("%d visible, %d invisible; want %d, 0", len(q.visible), len(q.invisible), n)
		}
	}
	all, err := dead.List(ctx, 100)
	if err != nil || len(all) != 7 {
		t.Errorf("listed %d, %v", len(all), err)
	}
	for _, d := range all {
		if undecodable := d.ID == "3"; undecodable != (d.Reason == "undecodable" && d.Envelopes == nil) || !undecodable && d.Envelopes[0].ID != "e"+d.ID {
			t.Errorf("%+v", d)
		}
	}
	whole(7)
	if q.receives != 4+2 {
		t.Errorf("%d receives", q.receives)
	}
	if some, err := dead.List(ctx, 3); err != nil || len(some) != 3 {
		t.Errorf("listed %d, %v", len(some), err)
	}
	whole(7)
	if none, err := dead.List(ctx, 0); err != nil || none != nil {
		t.Errorf("%v, %v", none, err)
	}
	if d, err := dead.Get(ctx, "5"); err != nil || d.ID != "5" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := dead.Get(ctx, "no"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Error(err)
	}
	whole(7)
	if err := dead.Delete(ctx, "5"); err != nil {
		t.Error(err)
	}
	whole(6)
	if err := dead.Delete(ctx, "5"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Error(err)
	}
	whole(6)
	q.err = errors.New("away")
	if _, err := dead.List(ctx, 10); !errors.Is(err, q.err) {
		t.Error(err)
	}
}
