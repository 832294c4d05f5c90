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

func pendingOfACall(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	release := make(chan struct{})
	m := newMailbox(func(core.Envelope, int) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	in, ok := open(m.deliver).(core.PendingReader)
	if !ok {
		close(release)
		return nil // core notes the first event in the store then
	}
	es := newEnvelopes("pending", 3)
	es[1].Call = es[0].Call
	es[2].Call += "\x7f\u2028" // what a database may refuse in its own JSON
	for _, e := range es {
		if err := in.(core.Inbox).Put(ctx, e); err != nil {
			return err
		}
	}
	for _, want := range [][]core.Envelope{es[:2], es[2:]} {
		got, err := in.PendingOf(ctx, want[0].Call, 10)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d of %d events of a call are pending", len(got), len(want))
		}
		for _, e := range got {
			i := slices.IndexFunc(want, func(w core.Envelope) bool { return w.ID == e.ID })
			if i < 0 {
				return fmt.Errorf("an event of another call is among those of a call")
			}
			if err := same(e, want[i]); err != nil {
				return err
			}
		}
	}
	if got, err := in.PendingOf(ctx, es[0].Call, 1); err != nil || len(got) != 1 {
		return errors.Join(fmt.Errorf("with limit 1: %d events", len(got)), err)
	}
	if got, err := in.PendingOf(ctx, "somebody-elses", 10); err != nil || len(got) > 0 {
		return errors.Join(fmt.Errorf("of a call without events: %d events", len(got)), err)
	}
	close(release)
	return m.all(ctx, caps, es...)
}
