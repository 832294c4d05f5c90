package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core"
)

var errHandler = errors.New("coretest: the handler fails")

func deliveryOwnsBody(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(func(e core.Envelope, n int) error {
		for i := range e.Body {
			e.Body[i] = 'X'
		}
		if n < 2 {
			return errHandler
		}
		return nil
	})
	in := open(m.deliver)
	e := newEnvelope("own", `{"message":{"type":"hang"}}`)
	e.Body = bytes.Clone(e.Body)
	want := e
	want.Body = bytes.Clone(e.Body)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	return m.all(ctx, caps, want)
}

func failureIsRedelivered(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	return redelivered(ctx, open, caps, func(n int) error {
		if n < 3 {
			return fmt.Errorf("wrapped: %w", errHandler)
		}
		return nil
	})
}

func panicIsRedelivered(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	return redelivered(ctx, open, caps, func(n int) error {
		if n < 3 {
			panic("coretest: the handler panics")
		}
		return nil
	})
}

// redelivered puts envelopes whose nth delivery ends as end(n) says.
func redelivered(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities, end func(n int) error) error {
	m := newMailbox(func(_ core.Envelope, n int) error { return end(n) })
	in := open(m.deliver)
	es := newEnvelopes("repeated", 5)
	for _, e := range es {
		if err := in.Put(ctx, e); err != nil {
			return err
		}
	}
	return m.all(ctx, caps, es...)
}

// poison puts envelopes that can never be delivered between others.
func poison(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) (in core.Inbox, bad, good []core.Envelope, err error) {
	bad, good = newEnvelopes("bad", 3), newEnvelopes("good", 50)
	m := newMailbox(func(e core.Envelope, n int) error {
		if slices.ContainsFunc(bad, func(b core.Envelope) bool { return b.ID == e.ID }) {
			return errHandler
		}
		return nil
	})
	in = open(m.deliver)
	for i, e := range good {
		if i < len(bad) {
			err = in.Put(ctx, bad[i])
		}
		if err = errors.Join(err, in.Put(ctx, e)); err != nil {
			return
		}
	}
	return in, bad, good, m.all(ctx, caps, good...)
}

func poisonMessageDoesNotBlock(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	_, _, _, err := poison(ctx, open, caps)
	return err
}

func deadLettersAreKept(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	in, bad, _, err := poison(ctx, open, caps)
	if err != nil {
		return err
	}
	want := make([]string, len(bad))
	for i, e := range bad {
		want[i] = e.ID
	}
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(caps.DeliveryTimeout); time.Now().Before(end); {
		if got, err = caps.DeadLetterIDs(ctx, in); err != nil {
			return err
		}
		slices.Sort(got)
		if got = slices.Compact(got); slices.Equal(got, want) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d dead letters, want %d: got %q, want %q", len(got), len(want), got, want)
}

func deliveryHasDeadline(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	deadline := make(chan bool, 100)
	in := open(func(ctx context.Context, e core.Envelope) error {
		at, ok := ctx.Deadline()
		deadline <- ok && at.After(time.Now())
		return m.deliver(ctx, e)
	})
	e := newEnvelope("deadline", `{}`)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	if err := m.all(ctx, caps, e); err != nil {
		return err
	}
	if !<-deadline {
		return errors.New("it has no deadline, or it has passed")
	}
	return nil
}
