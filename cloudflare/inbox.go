package cloudflare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// An Inbox keeps accepted events in a queue of Cloudflare Queues until its
// consumer has delivered them. What fails comes again, and what cannot be
// delivered goes to the queue's dead-letter queue.
//
// A message is a frame of envelopes and their bodies as they are. One over
// 128 kB is put aside, into an R2 bucket, and the message points at it. The
// store knows the object before the bucket does: so one that nobody points at,
// because a Put died in the middle, is found and swept.
type Inbox struct {
	host  Host
	store records.Store
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the host's queue and bucket.
func NewInbox(h Host, store records.Store) *Inbox { return &Inbox{h, store} }

var (
	// errMessage is constant: a message holds what patients said.
	errMessage = errors.New("cloudflare: a message of the queue holds no envelopes")
	errAside   = errors.New("cloudflare: what a message points at is not there")
	errPanic   = errors.New("cloudflare: panic")
)

// A message is the meta of a message's frame.
type message struct {
	Envelopes []envelope `json:"envelopes,omitempty"`
	Aside     string     `json:"aside,omitempty"` // the object that is the frame
}

// An envelope is a core.Envelope whose body is in the frame's body, in order.
type envelope struct {
	ID       string       `json:"id"`
	Received time.Time    `json:"received"`
	Type     event.Type   `json:"type"`
	Call     event.CallID `json:"call,omitempty"`
	Size     int          `json:"size"`
}

// asideDir is where the store knows the objects in the bucket, oldest first.
const asideDir = "inbox/aside"

// Put implements core.Inbox. All envelopes are one message, so that they are
// put together or not at all.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	var m message
	var bodies [][]byte
	for _, e := range es {
		m.Envelopes = append(m.Envelopes, envelope{e.ID, e.Received.UTC(), e.Type, e.Call, len(e.Body)})
		bodies = append(bodies, e.Body)
	}
	frame, err := encodeFrame(m, bodies...)
	if err != nil {
		return err
	}
	if len(frame) > maxMessage {
		if frame, err = in.putAside(ctx, frame); err != nil {
			return err
		}
	}
	_, _, err = do(ctx, in.host, operation{Op: "queue"}, frame)
	return err
}

// putAside writes a message into the bucket and returns one that points at it.
func (in *Inbox) putAside(ctx context.Context, frame []byte) (pointer []byte, err error) {
	name := fmt.Sprintf("%013d-%s", time.Now().UnixMilli(), rand.Text())
	if err := in.store.Commit(ctx, records.Record{Key: asideDir + "/" + name, Value: []byte{}}); err != nil {
		return nil, err
	}
	if _, _, err := do(ctx, in.host, operation{Op: "r2", Method: "put", Key: asideKey(name)}, frame); err != nil {
		return nil, err
	}
	return encodeFrame(message{Aside: name})
}

func asideKey(name string) string { return asideDir + "/" + name }

// Deliver hands each envelope of a message to deliver. It returns nil when the
// message is done. The others of one that fails are delivered all the same. Its
// errors hold nothing of the message.
func (in *Inbox) Deliver(ctx context.Context, frame []byte, deliver func(context.Context, core.Envelope) error) error {
	var m message
	bodies, err := decodeFrame(frame, &m)
	if err != nil {
		return errMessage
	}
	aside := m.Aside
	if aside != "" {
		frame, done, err := in.readAside(ctx, aside)
		if err != nil || done {
			return err
		}
		m = message{}
		if bodies, err = decodeFrame(frame, &m); err != nil {
			return errMessage
		}
	}
	if len(m.Envelopes) == 0 {
		return errMessage
	}
	var errs []error
	for _, e := range m.Envelopes {
		if e.Size < 0 || e.Size > len(bodies) {
			return errMessage
		}
		errs = append(errs, safely(ctx, deliver, core.Envelope{ID: e.ID, Received: e.Received, Type: e.Type, Call: e.Call, Body: bodies[:e.Size:e.Size]}))
		bodies = bodies[e.Size:]
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if aside != "" {
		_ = in.removeAside(ctx, aside) // the sweep tries again
	}
	return nil
}

func safely(ctx context.Context, deliver func(context.Context, core.Envelope) error, e core.Envelope) (err error) {
	defer func() {
		if recover() != nil { // its text may quote the event
			err = errPanic
		}
	}()
	return deliver(ctx, e)
}

// readAside returns what a message points at. done says that the message was
// delivered before and only comes again.
func (in *Inbox) readAside(ctx context.Context, name string) (frame []byte, done bool, err error) {
	out, frame, err := do(ctx, in.host, operation{Op: "r2", Method: "get", Key: asideKey(name)})
	if err != nil || !out.Missing {
		return frame, false, err
	}
	known, err := in.store.Get(ctx, asideDir+"/"+name)
	switch {
	case err != nil:
		return nil, false, err
	case known[0].Version == 0:
		return nil, true, nil
	}
	return nil, false, errAside
}

// removeAside forgets an object: the bucket first, so that none is left that
// the store does not know.
func (in *Inbox) removeAside(ctx context.Context, name string) error {
	if _, _, err := do(ctx, in.host, operation{Op: "r2", Method: "delete", Key: asideKey(name)}); err != nil {
		return err
	}
	known, err := in.store.Get(ctx, asideDir+"/"+name)
	if err != nil || known[0].Version == 0 {
		return err
	}
	err = in.store.Commit(ctx, records.Record{Key: known[0].Key, Version: known[0].Version})
	if errors.Is(err, records.ErrStale) {
		return nil // somebody else has
	}
	return err
}

// Sweep removes objects that no message can point at any more.
func (in *Inbox) Sweep(ctx context.Context) error { return in.sweep(ctx, keepAside) }

func (in *Inbox) sweep(ctx context.Context, keep time.Duration) error {
	for {
		rs, err := in.store.Range(ctx, asideDir, "", sweepAside)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if r.Age < keep {
				return nil // the others are younger
			}
			_, name, _ := records.SplitKey(r.Key)
			if err := in.removeAside(ctx, name); err != nil {
				return err
			}
		}
		if len(rs) < sweepAside {
			return nil
		}
	}
}

// sweepAside is how many objects are looked at at a time.
const sweepAside = 100

// delay is when a message that failed comes again: a random time up to a bound
// that doubles, in whole seconds. attempt counts from 1.
func delay(attempt int) int {
	d := lastDelay
	if attempt < 10 {
		d = min(lastDelay, firstDelay<<max(0, attempt-1))
	}
	return max(1, int((d/2+mathrand.N(d/2))/time.Second))
}
