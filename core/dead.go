package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A DeadLetter is what an inbox has given up: its delivery failed as often as it was
// allowed to.
type DeadLetter struct {
	ID        string     // opaque, of the inbox
	Envelopes []Envelope // nil where it cannot be read
	Attempts  int        // 0 where the inbox does not say
	Reason    string     // of the last failure: a code, never a handler's words; "" where the inbox does not say
	Died      time.Time  // zero where the inbox does not say
}

// About reports whether the letter holds an event of the call.
func (d DeadLetter) About(id CallID) bool {
	return slices.ContainsFunc(d.Envelopes, func(e Envelope) bool { return e.Call == id })
}

// DeadLetters is the place where an inbox parks them. Every inbox has one, so that one
// command works on all.
type DeadLetters interface {
	// List returns up to limit letters, the latest first where the inbox knows
	// an order.
	List(ctx context.Context, limit int) ([]DeadLetter, error)

	// Find returns one letter, or [ErrNotDead].
	Find(ctx context.Context, id string) (DeadLetter, error)

	// Drop removes one for good, or returns [ErrNotDead].
	Drop(ctx context.Context, id string) error
}

// ErrNotDead reports that no dead letter has the id.
var ErrNotDead = errors.New("core: no dead letter has this id")

// ErrUnreadable reports a dead letter that holds no envelope: it cannot be
// delivered, whatever is mended.
var ErrUnreadable = errors.New("core: the dead letter holds no envelope")

// Replay puts a dead letter back into the inbox, marked as replayed, and then
// takes it off the dead: should that be cut off, it is delivered twice, which
// changes nothing. It gets a full set of attempts. What was merged before is
// not merged again, handlers that were done do not run again, and no tool runs
// at all. That it happened, and who did it, is in the journal first (see [Audit]).
func Replay(ctx context.Context, s Store, in Inbox, dead DeadLetters, id, who string) (DeadLetter, error) {
	d, err := dead.Find(ctx, id)
	if err != nil {
		return d, err
	}
	if len(d.Envelopes) == 0 {
		return d, ErrUnreadable
	}
	for _, e := range d.Envelopes {
		if err := WriteAudit(ctx, s, Audit{Who: who, What: AuditReplay, Call: AuditName(e.Call), Note: string(e.Type)}); err != nil {
			return d, err
		}
	}
	es := slices.Clone(d.Envelopes)
	for i := range es {
		es[i].Replayed++
	}
	if err := in.Put(ctx, es...); err != nil {
		return d, fmt.Errorf("core: replay: %w", err)
	}
	if err := dead.Drop(ctx, id); err != nil && !errors.Is(err, ErrNotDead) {
		return d, err
	}
	return d, nil
}
