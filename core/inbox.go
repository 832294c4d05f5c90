package core

import (
	"context"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// An Envelope is an accepted event on its way through an inbox. It contains no
// secret, because the body is redacted before it is put there.
type Envelope struct {
	// ID identifies the event. It is derived from the body and the time of
	// receipt, so an inbox may use it to drop a repeated Put.
	ID string `json:"id"`

	// Received is when the event was received, by the Processor's clock.
	Received time.Time `json:"received"`

	// Type is the event's type as sent, for the inbox's priorities and logs.
	Type event.Type `json:"type"`

	// Tenant is the name of the secret that the sender knows, "" if secrets have no
	// names.
	Tenant string `json:"tenant,omitempty"`

	// Call is the call's id here (see [Call.ID]), empty if the body names none.
	Call event.CallID `json:"call,omitempty"`

	// Backfilled reports that the event was never sent, but derived from what
	// Interactly's API returned about the call.
	Backfilled bool `json:"repaired,omitempty"`

	// RedriveCount is how often it was put back from the dead letters.
	RedriveCount int `json:"replayed,omitempty"`

	// Body is the event with secrets redacted, valid JSON.
	Body []byte `json:"body"`
}

// An Inbox makes accepted events durable and delivers them. Every engine passes
// coretest.Inbox.
//
// It calls [Processor.Deliver] with each envelope until that returns nil, with
// growing pauses. After a number of attempts it moves the envelope to its dead
// letters (see [DeadLetters]). It may deliver an envelope more than once, even
// concurrently, and envelopes in any order.
type Inbox interface {
	// Put makes the envelopes durable, all or none, and returns nil only when a
	// crash the moment after loses nothing. It does not retain the bodies.
	Put(ctx context.Context, es ...Envelope) error
}

// A PendingReader is an Inbox that can be asked what it holds of a call. A tool
// that is called before the first event of its call was delivered knows the call
// from there. For an inbox that cannot be asked, such as a queue, core notes in
// the store what the first event says.
type PendingReader interface {
	// PendingOf returns up to limit envelopes of a call that are accepted and not
	// delivered yet, in any order. The call's id is that of [Envelope.Call].
	PendingOf(ctx context.Context, call event.CallID, limit int) ([]Envelope, error)
}
