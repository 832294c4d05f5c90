package coretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// A mailbox records what is delivered.
type mailbox struct {
	// react, if not nil, is what the nth delivery of an envelope returns, from 1.
	react func(e core.Envelope, n int) error

	mu      sync.Mutex
	tries   map[string]int
	got     map[string][]core.Envelope // delivered successfully
	changed chan struct{}              // closed and replaced at each delivery
}

func newMailbox(react func(core.Envelope, int) error) *mailbox {
	return &mailbox{react: react, tries: map[string]int{}, got: map[string][]core.Envelope{}, changed: make(chan struct{})}
}

func (m *mailbox) deliver(_ context.Context, e core.Envelope) error {
	m.mu.Lock()
	m.tries[e.ID]++
	n := m.tries[e.ID]
	m.mu.Unlock()
	clone := e
	clone.Body = bytes.Clone(e.Body)
	if m.react != nil {
		if err := m.react(e, n); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got[e.ID] = append(m.got[e.ID], clone)
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// until waits until ok returns true. ok is called with the lock held.
func (m *mailbox) until(ctx context.Context, caps InboxCapabilities, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, caps.DeliveryTimeout)
	defer cancel()
	for {
		m.mu.Lock()
		done, changed := ok(), m.changed
		count := len(m.got)
		m.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v; %d envelopes were delivered", what, caps.DeliveryTimeout, count)
		}
	}
}

// all waits until each of the envelopes is delivered, and compares them.
func (m *mailbox) all(ctx context.Context, caps InboxCapabilities, want ...core.Envelope) error {
	missing := len(want)
	err := m.until(ctx, caps, "delivery", func() bool {
		missing = 0
		for _, e := range want {
			if len(m.got[e.ID]) == 0 {
				missing++
			}
		}
		return missing == 0
	})
	if err != nil {
		return fmt.Errorf("%d of %d were not delivered: %w", missing, len(want), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range want {
		for _, got := range m.got[e.ID] {
			if err := same(got, e); err != nil {
				return fmt.Errorf("%s: %w", e.ID, err)
			}
		}
	}
	return nil
}

// same compares a delivered envelope with the one that was put.
func same(got, want core.Envelope) error {
	var errs []error
	if got.Type != want.Type || got.Call != want.Call || got.ID != want.ID {
		errs = append(errs, fmt.Errorf("got id %q, type %q, call %q; want %q, %q, %q", got.ID, got.Type, got.Call, want.ID, want.Type, want.Call))
	}
	if got.Tenant != want.Tenant {
		errs = append(errs, fmt.Errorf("got tenant %q; want %q", got.Tenant, want.Tenant))
	}
	if got.Backfilled != want.Backfilled || got.RedriveCount != want.RedriveCount {
		errs = append(errs, fmt.Errorf("got backfilled %t, redrive count %d; want %t, %d", got.Backfilled, got.RedriveCount, want.Backfilled, want.RedriveCount))
	}
	if g, w := got.Received, want.Received; g.UnixMilli() != w.UnixMilli() || g.Location() != time.UTC {
		errs = append(errs, fmt.Errorf("received %v; want %v in UTC", g, w))
	}
	if !bytes.Equal(got.Body, want.Body) {
		errs = append(errs, fmt.Errorf("body of %d bytes, %.40q…; want %d bytes, %.40q…", len(got.Body), got.Body, len(want.Body), want.Body))
	}
	return errors.Join(errs...)
}

// newEnvelope returns an envelope as core.Processor creates it.
func newEnvelope(name, body string) core.Envelope {
	id := sha256.Sum256([]byte(name))
	return core.Envelope{
		ID:       fmt.Sprintf("%x", id[:16]),
		Received: time.UnixMilli(1_790_000_000_123).Add(time.Duration(id[0]) * time.Hour).UTC(),
		Type:     event.TypeStatusUpdate,
		Call:     "call-" + event.CallID(name),
		Body:     []byte(body),
	}
}

// newEnvelopes returns n of them with distinct ids and bodies.
func newEnvelopes(name string, n int) []core.Envelope {
	es := make([]core.Envelope, n)
	for i := range es {
		es[i] = newEnvelope(fmt.Sprint(name, i), fmt.Sprintf(`{"message":{"type":"status-update","n":%d}}`, i))
	}
	return es
}
