package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// A DeadLetter is what an inbox has given up: its delivery failed as often as it was
// allowed to.
type DeadLetter struct {
	ID        string     // opaque, of the inbox
	Envelopes []Envelope // nil where it cannot be read
	Attempts  int        // 0 where the inbox does not say
	Reason    string     // of the last failure: a code, never a handler's words; "" where the inbox does not say
	DeadAt    time.Time  // zero where the inbox does not say
}

// HasCall reports whether the letter holds an event of the call.
func (d DeadLetter) HasCall(id event.CallID) bool {
	return slices.ContainsFunc(d.Envelopes, func(e Envelope) bool { return e.Call == id })
}

// DeadLetters is the place where an inbox parks them. Every inbox has one, so that one
// command works on all.
type DeadLetters interface {
	// List returns up to limit letters, the latest first where the inbox knows
	// an order.
	List(ctx context.Context, limit int) ([]DeadLetter, error)

	// Get returns one letter, or [ErrDeadLetterNotFound].
	Get(ctx context.Context, id string) (DeadLetter, error)

	// Delete removes one for good, or returns [ErrDeadLetterNotFound].
	Delete(ctx context.Context, id string) error
}

// ErrDeadLetterNotFound reports that no dead letter has the id.
var ErrDeadLetterNotFound = errors.New("core: no dead letter has this id")

// ErrUndecodable reports a dead letter that holds no envelope: it cannot be
// delivered, whatever is mended.
var ErrUndecodable = errors.New("core: the dead letter holds no envelope")

// Redrive puts a dead letter back into the inbox, marked as replayed, and then
// takes it off the dead: should that be cut off, it is delivered twice, which
// changes nothing. It gets a full set of attempts. What was merged before is
// not merged again, handlers that were done do not run again, and no tool runs
// at all. That it happened, and who did it, is in the journal first (see [calls.AuditEntry]).
func Redrive(ctx context.Context, s records.Store, in Inbox, dead DeadLetters, id, who string) (DeadLetter, error) {
	d, err := dead.Get(ctx, id)
	if err != nil {
		return d, err
	}
	if len(d.Envelopes) == 0 {
		return d, ErrUndecodable
	}
	for _, e := range d.Envelopes {
		if err := calls.WriteAudit(ctx, s, calls.AuditEntry{Actor: who, Action: calls.AuditRedrive, Call: calls.AuditCallRef(e.Call), Detail: string(e.Type)}); err != nil {
			return d, err
		}
	}
	es := slices.Clone(d.Envelopes)
	for i := range es {
		es[i].RedriveCount++
	}
	if err := in.Put(ctx, es...); err != nil {
		return d, fmt.Errorf("core: replay: %w", err)
	}
	if err := dead.Delete(ctx, id); err != nil && !errors.Is(err, ErrDeadLetterNotFound) {
		return d, err
	}
	return d, nil
}
