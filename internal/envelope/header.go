package envelope

import (
	"errors"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// A Header is a core.Envelope without its body. Its JSON is stored.
type Header struct {
	ID       string       `json:"id"`
	Received time.Time    `json:"received"`
	Type     event.Type   `json:"type"`
	Tenant   string       `json:"tenant,omitempty"`
	Call     event.CallID `json:"call,omitempty"`

	Backfilled   bool `json:"repaired,omitempty"`
	RedriveCount int  `json:"replayed,omitempty"`

	// Size is the length of the body. Databases have jobs of one envelope
	// without it: there the body is the rest.
	Size *int `json:"size,omitempty"`
}

// Split returns the headers and the bodies of envelopes, in order.
func Split(es []core.Envelope) (headers []Header, bodies [][]byte) {
	for _, e := range es {
		size := len(e.Body)
		headers = append(headers, Header{e.ID, e.Received.UTC(), e.Type, e.Tenant, e.Call, e.Backfilled, e.RedriveCount, &size})
		bodies = append(bodies, e.Body)
	}
	return headers, bodies
}

// Join is the reverse of Split; bodies are one after the other. The envelopes'
// bodies are parts of it.
func Join(headers []Header, bodies []byte) ([]core.Envelope, error) {
	if len(headers) == 0 {
		return nil, ErrInvalid
	}
	es := make([]core.Envelope, len(headers))
	for i, h := range headers {
		n := len(bodies)
		if h.Size != nil {
			n = *h.Size
		}
		if n < 0 || n > len(bodies) {
			return nil, ErrInvalid
		}
		es[i] = core.Envelope{ID: h.ID, Received: h.Received.UTC(), Type: h.Type, Tenant: h.Tenant, Call: h.Call,
			Backfilled: h.Backfilled, RedriveCount: h.RedriveCount, Body: bodies[:n:n]}
		bodies = bodies[n:]
	}
	return es, nil
}

// ErrInvalid is returned for a message that does not hold envelopes. It is
// constant: a message holds what callers said.
var ErrInvalid = errors.New("envelope: message cannot be decoded")
