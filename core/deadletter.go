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

// A DeadLetter is a message whose delivery failed as often as the inbox allows.
type DeadLetter struct {
	ID        string     // opaque, assigned by the inbox
	Envelopes []Envelope // nil if they cannot be decoded
	Attempts  int        // 0 if the inbox does not count them
	Reason    string     // of the last failure: a code, never the text of a handler's error; "" if unknown
	DeadAt    time.Time  // when the inbox gave up; zero if unknown
}

// HasCall reports whether the dead letter contains an event of the call.
func (d DeadLetter) HasCall(id event.CallID) bool {
	return slices.ContainsFunc(d.Envelopes, func(e Envelope) bool { return e.Call == id })
}

// DeadLetters is an inbox's dead-letter queue. Every inbox has one, so that the
// same commands work with all of them.
type DeadLetters interface {
	// List returns up to limit dead letters, the latest first if the inbox has
	// an order.
	List(ctx context.Context, limit int) ([]DeadLetter, error)

	// Get returns one dead letter, or [ErrDeadLetterNotFound].
	Get(ctx context.Context, id string) (DeadLetter, error)

	// Delete removes one permanently, or returns [ErrDeadLetterNotFound].
	Delete(ctx context.Context, id string) error
}

// ErrDeadLetterNotFound is returned if no dead letter has the id.
var ErrDeadLetterNotFound = errors.New("core: no dead letter has this id")

// ErrUndecodable is returned for a dead letter without an envelope: it cannot be
// delivered, whatever else is fixed.
var ErrUndecodable = errors.New("core: the dead letter contains no envelope")

// Redrive puts a dead letter back into the inbox with a higher
// [Envelope.RedriveCount], and then deletes it. If that is cut off it is delivered
// twice, which changes nothing. It gets all attempts again. An event that was
// merged is not merged again, handlers that succeeded do not run again, and tools
// are not involved. Before it does anything it writes to the audit log that actor
// did so (see [calls.AuditEntry]).
func Redrive(ctx context.Context, s records.Store, in Inbox, dead DeadLetters, id, actor string) (DeadLetter, error) {
	d, err := dead.Get(ctx, id)
	if err != nil {
		return d, err
	}
	if len(d.Envelopes) == 0 {
		return d, ErrUndecodable
	}
	for _, e := range d.Envelopes {
		if err := calls.WriteAudit(ctx, s, calls.AuditEntry{Actor: actor, Action: calls.AuditRedrive, Call: calls.AuditCallRef(e.Call), Detail: string(e.Type)}); err != nil {
			return d, err
		}
	}
	es := slices.Clone(d.Envelopes)
	for i := range es {
		es[i].RedriveCount++
	}
	if err := in.Put(ctx, es...); err != nil {
		return d, fmt.Errorf("core: redrive: %w", err)
	}
	if err := dead.Delete(ctx, id); err != nil && !errors.Is(err, ErrDeadLetterNotFound) {
		return d, err
	}
	return d, nil
}
