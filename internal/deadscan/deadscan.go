// Package deadscan implements [core.DeadLetters] on a queue that can only be
// read by receiving, such as SQS or a Pub/Sub subscription.
//
// A scan receives message after message, which makes them invisible to others,
// and then makes them visible again. It never deletes a message, except in
// Delete, and keeps nothing between calls.
//
//	var dead core.DeadLetters = deadscan.Letters[types.Message]{Queue: deadQueue{client, url}, EmptyReceives: 2}
package deadscan

import (
	"context"
	"time"

	"github.com/serverurl/serverurl/core"
)

// A Queue is a dead-letter queue. M is what identifies a received message to it.
type Queue[M any] interface {
	// Receive returns some messages and makes them invisible for Visibility. It
	// returns none if none arrives in a short time.
	Receive(ctx context.Context) ([]M, error)

	// Release makes messages visible again. One that cannot be released becomes
	// visible by itself, so that there is nothing to report.
	Release(ctx context.Context, messages []M)

	// Delete removes a message for good.
	Delete(ctx context.Context, message M) error

	// ID returns the message's id, the same each time it is received.
	ID(message M) string

	// Decode returns what is in a message. Its errors are not for logs.
	Decode(ctx context.Context, message M) (core.DeadLetter, error)
}

// Letters are the dead letters of a queue.
type Letters[M any] struct {
	Queue Queue[M]

	// EmptyReceives is how many empty receives end a scan. Where a service has
	// several servers, one of them alone may have nothing.
	EmptyReceives int
}

const (
	// Visibility is how long a received message is invisible at most: a scan ends
	// in half of that, so that it can release what it has.
	Visibility = 2 * time.Minute

	scanTimeout    = Visibility / 2
	releaseTimeout = 20 * time.Second

	// maxScanned bounds how many messages a scan makes invisible.
	maxScanned = 5000
)

// scan receives messages until visit returns done, then releases them, except
// one that visit has deleted. visit sees each message once.
func (l Letters[M]) scan(ctx context.Context, visit func(m M) (done, deleted bool, err error)) error {
	received := map[string]M{}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		ms := make([]M, 0, len(received))
		for _, m := range received {
			ms = append(ms, m)
		}
		if len(ms) > 0 {
			l.Queue.Release(ctx, ms)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	for empty := 0; empty < l.EmptyReceives && len(received) < maxScanned; {
		ms, err := l.Queue.Receive(ctx)
		if err != nil {
			return err
		}
		var unseen []M
		for _, m := range ms {
			id := l.Queue.ID(m)
			if _, seen := received[id]; !seen {
				unseen = append(unseen, m)
			}
			received[id] = m // a later receipt replaces the earlier
		}
		if len(unseen) == 0 {
			empty++
		}
		for _, m := range unseen {
			done, deleted, err := visit(m)
			if deleted {
				delete(received, l.Queue.ID(m))
			}
			if err != nil || done {
				return err
			}
		}
	}
	return nil
}

func (l Letters[M]) decode(ctx context.Context, m M) core.DeadLetter {
	d, err := l.Queue.Decode(ctx, m)
	d.ID = l.Queue.ID(m)
	if err != nil {
		d.Envelopes, d.Reason = nil, "undecodable"
	}
	return d
}

// List implements core.DeadLetters, in no order.
func (l Letters[M]) List(ctx context.Context, limit int) (all []core.DeadLetter, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = l.scan(ctx, func(m M) (done, deleted bool, err error) {
		all = append(all, l.decode(ctx, m))
		return len(all) == limit, false, nil
	})
	return all, err
}

// Get implements core.DeadLetters.
func (l Letters[M]) Get(ctx context.Context, id string) (d core.DeadLetter, err error) {
	err = l.find(ctx, id, func(m M) (deleted bool, err error) {
		d = l.decode(ctx, m)
		return false, nil
	})
	return d, err
}

// Delete implements core.DeadLetters.
func (l Letters[M]) Delete(ctx context.Context, id string) error {
	return l.find(ctx, id, func(m M) (deleted bool, err error) {
		err = l.Queue.Delete(ctx, m)
		return err == nil, err
	})
}

// find calls found with the message that has the id.
func (l Letters[M]) find(ctx context.Context, id string, found func(m M) (deleted bool, err error)) error {
	missing := true
	err := l.scan(ctx, func(m M) (done, deleted bool, err error) {
		if l.Queue.ID(m) != id {
			return false, false, nil
		}
		missing = false
		deleted, err = found(m)
		return true, deleted, err
	})
	if err == nil && missing {
		err = core.ErrDeadLetterNotFound
	}
	return err
}
