package cloudflare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
)

// An Inbox holds accepted events in a queue of Cloudflare Queues until its
// consumer has delivered them. What fails is redelivered, and what cannot be
// delivered goes to the queue's dead-letter queue.
//
// A message is a frame of envelopes and their bodies as they are. One over
// 128 kB is offloaded to an R2 bucket, and the message refers to it. The store
// has a record of the object before the bucket has the object: so one without a
// message, because a Put died half-way, is found and swept.
type Inbox struct {
	bindings Bindings
	store    records.Store
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the queue and the bucket of the bindings.
func NewInbox(b Bindings, store records.Store) *Inbox { return &Inbox{b, store} }

var (
	errMissing = errors.New("cloudflare: offloaded message is missing")
	errPanic   = errors.New("cloudflare: panic")
)

// A message is the meta of a message's frame. The bodies of the envelopes are
// the frame's body, in order.
type message struct {
	Envelopes []envelope.Header `json:"envelopes,omitempty"`
	Offloaded string            `json:"aside,omitempty"` // the object that is the frame
}

// offloadDir is where the store has records of the objects in the bucket, oldest
// first.
const offloadDir = "inbox/aside"

// Put implements core.Inbox. All envelopes are one message, so that they are
// sent together or not at all.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	headers, bodies := envelope.Split(es)
	frame, err := encodeFrame(message{Envelopes: headers}, bodies...)
	if err != nil {
		return err
	}
	if len(frame) > maxMessageBytes {
		if frame, err = in.offload(ctx, frame); err != nil {
			return err
		}
	}
	_, _, err = do(ctx, in.bindings, operation{Op: "queue"}, frame)
	return err
}

// offload writes a message into the bucket and returns one that refers to it.
func (in *Inbox) offload(ctx context.Context, frame []byte) (reference []byte, err error) {
	name := fmt.Sprintf("%013d-%s", time.Now().UnixMilli(), rand.Text())
	if err := in.store.Commit(ctx, records.Record{Key: offloadKey(name), Value: []byte{}}); err != nil {
		return nil, err
	}
	if _, _, err := do(ctx, in.bindings, operation{Op: "r2", Method: "put", Key: offloadKey(name)}, frame); err != nil {
		return nil, err
	}
	return encodeFrame(message{Offloaded: name})
}

// offloadKey is the key of an object, and of its record.
func offloadKey(name string) string { return offloadDir + "/" + name }

// Deliver calls deliver with each envelope of a message. It returns nil if the
// message is done. A failure does not keep the others from delivery. Its errors
// hold nothing of the message.
func (in *Inbox) Deliver(ctx context.Context, frame []byte, deliver func(context.Context, core.Envelope) error) error {
	var m message
	bodies, err := decodeFrame(frame, &m)
	if err != nil {
		return envelope.ErrInvalid
	}
	offloaded := m.Offloaded
	if offloaded != "" {
		frame, done, err := in.fetch(ctx, offloaded)
		if err != nil || done {
			return err
		}
		m = message{}
		if bodies, err = decodeFrame(frame, &m); err != nil {
			return envelope.ErrInvalid
		}
	}
	es, err := envelope.Join(m.Envelopes, bodies)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range es {
		errs = append(errs, envelope.Failed(e, safely(ctx, deliver, e)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if offloaded != "" {
		_ = in.remove(ctx, offloaded) // the sweep tries again
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

// fetch returns an offloaded message. done reports that it was delivered before
// and is only redelivered.
func (in *Inbox) fetch(ctx context.Context, name string) (frame []byte, done bool, err error) {
	out, frame, err := do(ctx, in.bindings, operation{Op: "r2", Method: "get", Key: offloadKey(name)})
	if err != nil || !out.Missing {
		return frame, false, err
	}
	known, err := in.store.Get(ctx, offloadKey(name))
	switch {
	case err != nil:
		return nil, false, err
	case known[0].Version == 0:
		return nil, true, nil
	}
	return nil, false, errMissing
}

// remove deletes an object: from the bucket first, so that none remains without
// a record.
func (in *Inbox) remove(ctx context.Context, name string) error {
	if _, _, err := do(ctx, in.bindings, operation{Op: "r2", Method: "delete", Key: offloadKey(name)}); err != nil {
		return err
	}
	known, err := in.store.Get(ctx, offloadKey(name))
	if err != nil || known[0].Version == 0 {
		return err
	}
	err = in.store.Commit(ctx, records.Record{Key: known[0].Key, Version: known[0].Version})
	if errors.Is(err, records.ErrStale) {
		return nil // another instance has removed it
	}
	return err
}

// Sweep removes objects that no message can refer to any more.
func (in *Inbox) Sweep(ctx context.Context) error { return in.sweep(ctx, offloadTTL) }

func (in *Inbox) sweep(ctx context.Context, ttl time.Duration) error {
	for {
		rs, err := in.store.Range(ctx, offloadDir, "", sweepPage)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if r.Age < ttl {
				return nil // the others are younger
			}
			_, name, _ := records.SplitKey(r.Key)
			if err := in.remove(ctx, name); err != nil {
				return err
			}
		}
		if len(rs) < sweepPage {
			return nil
		}
	}
}

// sweepPage is how many objects are read at a time.
const sweepPage = 100
