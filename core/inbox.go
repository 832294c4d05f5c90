package core

import (
	"context"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// An Envelope is an accepted event on its way through an inbox. It holds no
// secret: the body is masked before it is put there.
type Envelope struct {
	// ID names this delivery. It is derived from the body and the time of
	// receipt, so that an inbox may use it to drop a repeated Put.
	ID string `json:"id"`

	// Received is when the event came, by the Processor's clock.
	Received time.Time `json:"received"`

	// Type is the event's type as sent, for lanes and logs of the inbox.
	Type event.Type `json:"type"`

	// Call is the call's id as sent, empty where the body names none.
	Call event.CallID `json:"call,omitempty"`

	// Backfilled is set where the event was never sent: it says what Interactly's
	// API answered when it was asked.
	Backfilled bool `json:"repaired,omitempty"`

	// RedriveCount is how often it was put back from the dead letters.
	RedriveCount int `json:"replayed,omitempty"`

	// Body is the masked body, valid JSON.
	Body []byte `json:"body"`
}

// An Inbox is where an accepted event is durable. Every engine passes
// coretest.Inbox.
//
// An inbox hands each envelope to [Processor.Deliver] until it returns nil,
// with growing pauses, and then parks it in a dead-letter place that can be
// listed and replayed. It may deliver an envelope more than once, at the same
// time too, and in any order.
type Inbox interface {
	// Put makes the envelopes durable, all or none, and returns nil only when
	// a crash the moment after loses nothing. Bodies are not kept after return.
	Put(ctx context.Context, es ...Envelope) error
}
