package coretest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// A memoryInbox is an inbox for tests of the suite, with faults that were seen in
// an inbox or imagined.
type memoryInbox struct {
	ctx     context.Context
	deliver DeliverFunc
	wg      sync.WaitGroup

	// Faults. change may change or drop an envelope that is put.
	change         func(core.Envelope) (core.Envelope, bool)
	once           bool // attempts each delivery once
	shares         bool // redelivers the same slice
	noDeadline     bool
	splits         bool // stores the envelopes of a Put one by one
	ignoresContext bool // ignores the context of Put
	inOrder        bool // starts a delivery only after the previous one succeeded

	mu   sync.Mutex
	dead map[string]bool
	line sync.Mutex
}

func (in *memoryInbox) Put(ctx context.Context, es ...core.Envelope) error {
	if ctx.Err() != nil && !in.ignoresContext && !in.splits {
		return ctx.Err()
	}
	for i, e := range es {
		if in.splits && (ctx.Err() != nil || i == len(es)-1 && len(es) > 1) {
			break
		}
		e.Body = bytes.Clone(e.Body)
		if in.change != nil {
			var ok bool
			if e, ok = in.change(e); !ok {
				continue
			}
		}
		in.wg.Go(func() { in.repeat(e) })
	}
	return nil
}

func (in *memoryInbox) repeat(e core.Envelope) {
	if in.inOrder {
		in.line.Lock()
		defer in.line.Unlock()
	}
	for try := 0; in.ctx.Err() == nil; try++ {
		if in.try(e) {
			return
		}
		if in.once || try == 5 && !in.inOrder {
			in.mu.Lock()
			in.dead[e.ID] = true
			in.mu.Unlock()
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (in *memoryInbox) try(e core.Envelope) (done bool) {
	defer func() { _ = recover() }()
	ctx := in.ctx
	if !in.noDeadline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}
	if !in.shares {
		e.Body = bytes.Clone(e.Body)
	}
	e.Received = e.Received.UTC()
	return in.deliver(ctx, e) == nil
}

func (in *memoryInbox) start(t *testing.T, d DeliverFunc) *memoryInbox {
	ctx, cancel := context.WithCancel(context.Background())
	in.ctx, in.deliver, in.dead = ctx, d, map[string]bool{}
	t.Cleanup(func() { cancel(); in.wg.Wait() })
	return in
}

func deadOf(_ context.Context, in core.Inbox) ([]string, error) {
	m := in.(*memoryInbox)
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.dead)), nil
}

func TestMemoryInbox(t *testing.T) {
	Inbox(t, InboxCapabilities{DeadLetterIDs: deadOf, DeliveryTimeout: time.Minute}, func(t *testing.T, d DeliverFunc) core.Inbox {
		return new(memoryInbox).start(t, d)
	})
}

// changed is a fault that changes the body of every envelope.
func changed(f func([]byte) []byte) func(core.Envelope) (core.Envelope, bool) {
	return func(e core.Envelope) (core.Envelope, bool) {
		e.Body = f(e.Body)
		return e, true
	}
}

// TestInboxFindsFaults tests the suite: each fault fails the cases named next to
// it.
func TestInboxFindsFaults(t *testing.T) {
	count := 0
	for name, f := range map[string]struct {
		found string // cases that must fail
		make  func() *memoryInbox
	}{
		"loses one of ten": {"ConcurrentPuts", func() *memoryInbox {
			var mu sync.Mutex
			return &memoryInbox{change: func(e core.Envelope) (core.Envelope, bool) {
				mu.Lock()
				defer mu.Unlock()
				count++
				return e, count%10 != 0
			}}
		}},
		"body as JSON": {"BodiesAreExact", func() *memoryInbox {
			return &memoryInbox{change: changed(func(b []byte) []byte {
				var v any
				if json.Unmarshal(b, &v) != nil {
					return b
				}
				b, _ = json.Marshal(v)
				return b
			})}
		}},
		"body as XML": {"BodiesAreExact", func() *memoryInbox {
			return &memoryInbox{change: changed(func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte("\uffff"), []byte("\ufffd"))
			})}
		}},
		"cut at 256 kB": {"LargestBody BodiesAreExact", func() *memoryInbox {
			return &memoryInbox{change: changed(func(b []byte) []byte { return b[:min(len(b), 256<<10)] })}
		}},
		"ids as C strings": {"ArbitraryIDs", func() *memoryInbox {
			return &memoryInbox{change: func(e core.Envelope) (core.Envelope, bool) {
				id, _, _ := strings.Cut(string(e.Call), "\x00")
				e.Call = event.CallID(id)
				return e, true
			}}
		}},
		"drops the marks": {"RoundTrip", func() *memoryInbox {
			return &memoryInbox{change: func(e core.Envelope) (core.Envelope, bool) {
				e.Backfilled, e.RedriveCount = false, 0
				return e, true
			}}
		}},
		"seconds only": {"RoundTrip", func() *memoryInbox {
			return &memoryInbox{change: func(e core.Envelope) (core.Envelope, bool) {
				e.Received = e.Received.Truncate(time.Second)
				return e, true
			}}
		}},
		"once":                {"FailureIsRedelivered PanicIsRedelivered DeliveryOwnsBody", func() *memoryInbox { return &memoryInbox{once: true} }},
		"shares the body":     {"DeliveryOwnsBody", func() *memoryInbox { return &memoryInbox{shares: true} }},
		"no deadline":         {"DeliveryHasDeadline", func() *memoryInbox { return &memoryInbox{noDeadline: true} }},
		"one by one":          {"BatchPut AtomicPut", func() *memoryInbox { return &memoryInbox{splits: true} }},
		"ignores the context": {"CanceledPut", func() *memoryInbox { return &memoryInbox{ignoresContext: true} }},
		"in order":            {"PoisonMessageDoesNotBlock DeadLettersAreKept", func() *memoryInbox { return &memoryInbox{inOrder: true} }},
		"drops failures":      {"DeadLettersAreKept", func() *memoryInbox { return &memoryInbox{once: true, noDeadline: true} }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for want := range strings.FieldsSeq(f.found) {
				i := slices.IndexFunc(inboxCases, func(c inboxCase) bool { return c.name == want })
				if i < 0 {
					t.Fatalf("no case %s", want)
				}
				caps := InboxCapabilities{DeadLetterIDs: deadOf, DeliveryTimeout: 300 * time.Millisecond}.withDefaults()
				if name == "drops failures" {
					caps.DeadLetterIDs = func(context.Context, core.Inbox) ([]string, error) { return nil, nil }
				}
				err := inboxCases[i].run(t.Context(), func(d DeliverFunc) core.Inbox { return f.make().start(t, d) }, caps)
				if err == nil {
					t.Errorf("%s passed", want)
				}
			}
		})
	}
}

func TestInboxCasesSayWhy(t *testing.T) {
	for _, c := range inboxCases {
		if c.why == "" || c.run == nil {
			t.Errorf("%s: no promise, or no check", c.name)
		}
	}
}
