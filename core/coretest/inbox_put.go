package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
)

func emptyPut(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	return open(newMailbox(nil).deliver).Put(ctx)
}

func batchPut(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := newEnvelopes("several", 25)
	if err := in.Put(ctx, es...); err != nil {
		return err
	}
	return m.all(ctx, caps, es...)
}

func atomicPut(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	const puts, each = 40, 5
	done := make([][]core.Envelope, puts)
	var good []core.Envelope
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range puts {
		wg.Go(func() {
			done[i] = newEnvelopes(fmt.Sprint("all", i, "-"), each)
			ctx, cancel := context.WithTimeout(ctx, time.Duration(i)*200*time.Microsecond)
			defer cancel()
			if i >= puts/2 {
				ctx = context.WithoutCancel(ctx)
			}
			if in.Put(ctx, done[i]...) == nil {
				mu.Lock()
				good = append(good, done[i]...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := m.all(ctx, caps, good...); err != nil {
		return err
	}
	return m.until(ctx, caps, "every Put delivered completely or not at all", func() bool {
		return !slices.ContainsFunc(done, func(es []core.Envelope) bool {
			n := 0
			for _, e := range es {
				n += min(1, len(m.got[e.ID]))
			}
			return n != 0 && n != each
		})
	})
}

func concurrentPuts(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := newEnvelopes("many", caps.ConcurrentEvents)
	const callers = 50
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < len(es); i += callers {
				if err := in.Put(ctx, es[i]); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	return m.all(ctx, caps, es...)
}

func duplicatePut(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	e := newEnvelope("repeated", `{"n":1}`)
	for range 2 {
		if err := in.Put(ctx, e); err != nil {
			return err
		}
	}
	if err := m.all(ctx, caps, e); err != nil {
		return err
	}
	return in.Put(ctx, e) // again after the delivery
}

func putSlicesNotRetained(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := newEnvelopes("slices", 20)
	for i := range es {
		es[i].Body = []byte(`"` + strings.Repeat("a", 5000) + `"`)
	}
	want := make([]core.Envelope, len(es))
	for i, e := range es {
		want[i] = e
		want[i].Body = bytes.Clone(e.Body)
	}
	if err := in.Put(ctx, es...); err != nil {
		return err
	}
	for i := range es {
		for j := range es[i].Body {
			es[i].Body[j] = 'X'
		}
		es[i] = core.Envelope{}
	}
	return m.all(ctx, caps, want...)
}

func canceledPut(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := in.Put(ended, newEnvelope("ended", `{}`)); err == nil {
		return errors.New("returned nil from Put")
	}
	e := newEnvelope("alive", `{}`)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	return m.all(ctx, caps, e)
}
