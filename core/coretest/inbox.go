package coretest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
)

// InboxCapabilities adapt the suite to an inbox. The zero value is right for an
// inbox that keeps all promises of [core.Inbox], except that its dead letters
// are not inspected.
type InboxCapabilities struct {
	// DeadLetterIDs returns the ids of the dead-lettered envelopes of an inbox that
	// open returned. If it is nil, the case that needs it is skipped and counted.
	DeadLetterIDs func(ctx context.Context, in core.Inbox) ([]string, error)

	// MaxBodyBytes is the largest body that the inbox accepts. Default 6 MiB, the
	// largest that core accepts.
	MaxBodyBytes int

	// DeliveryTimeout bounds the time from Put to a successful delivery, including
	// the pauses after failures. Default 5 minutes: it bounds failures only.
	DeliveryTimeout time.Duration

	// ConcurrentEvents is how many envelopes ConcurrentPuts puts. Default 500; set
	// fewer for a slow emulator.
	ConcurrentEvents int
}

// A DeliverFunc receives the envelopes of an inbox, as [core.Processor.Deliver] does.
type DeliverFunc = func(context.Context, core.Envelope) error

// An inboxCase is one promise of core.Inbox.
type inboxCase struct {
	name string
	why  string // the promise, printed when it is broken
	dead bool   // needs DeadLetterIDs
	run  func(ctx context.Context, open func(DeliverFunc) core.Inbox, caps InboxCapabilities) error
}

// Inbox runs the suite of [core.Inbox]. open starts an empty inbox for one case,
// which delivers its envelopes to deliver, and stops it with t.Cleanup. Its pauses
// between attempts must be short: it must attempt a delivery at least 4 times,
// and dead-letter the envelope within InboxCapabilities.DeliveryTimeout.
func Inbox(t *testing.T, caps InboxCapabilities, open func(t *testing.T, deliver DeliverFunc) core.Inbox) {
	t.Helper()
	caps = caps.withDefaults()
	skipped := 0
	for _, c := range inboxCases {
		if c.dead && caps.DeadLetterIDs == nil {
			skipped++
			t.Run(c.name, func(t *testing.T) { t.Skipf("NOT TESTED: %s; its dead letters cannot be listed", c.why) })
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*caps.DeliveryTimeout)
			defer cancel()
			start := func(d DeliverFunc) core.Inbox { return open(t, d) }
			if err := c.run(ctx, start, caps); err != nil {
				t.Errorf("broken promise: %s\n\t%v", c.why, err)
			}
		})
	}
	if skipped > 0 {
		t.Logf("%d of %d promises are not tested on this inbox", skipped, len(inboxCases))
	}
}

func (caps InboxCapabilities) withDefaults() InboxCapabilities {
	caps.MaxBodyBytes = cmp.Or(caps.MaxBodyBytes, 6<<20)
	caps.DeliveryTimeout = cmp.Or(caps.DeliveryTimeout, 5*time.Minute)
	caps.ConcurrentEvents = cmp.Or(caps.ConcurrentEvents, 500)
	return caps
}

// inboxCases is the contract of core.Inbox, one promise per line.
var inboxCases = []inboxCase{
	{name: "RoundTrip", run: roundTrip,
		why: "what was put is delivered with every field unchanged, Received to the millisecond and in UTC"},
	{name: "EmptyPut", run: emptyPut,
		why: "a Put of no envelopes succeeds"},
	{name: "BodiesAreExact", run: bodiesAreExact,
		why: "a body is delivered byte for byte, whatever JSON and characters it holds"},
	{name: "ArbitraryIDs", run: arbitraryIDs,
		why: "call ids and types are chosen by the sender and may hold any character"},
	{name: "LargestBody", run: largestBody,
		why: "a body of the largest size is delivered unchanged, compressible or not"},
	{name: "BatchPut", run: batchPut,
		why: "every envelope of a Put of several is delivered"},
	{name: "AtomicPut", run: atomicPut,
		why: "an interrupted Put has put all of its envelopes or none"},
	{name: "ConcurrentPuts", run: concurrentPuts,
		why: "of many concurrent Puts, each that returned nil is delivered"},
	{name: "DuplicatePut", run: duplicatePut,
		why: "a second Put of the same envelope succeeds; it may be delivered again or not"},
	{name: "SlicesNotRetained", run: putSlicesNotRetained,
		why: "what the caller does to its slices after Put returns changes nothing"},
	{name: "DeliveryOwnsBody", run: deliveryOwnsBody,
		why: "what a delivery does to the body does not affect the next delivery"},
	{name: "FailureIsRedelivered", run: failureIsRedelivered,
		why: "an envelope whose delivery fails is redelivered until a delivery returns nil"},
	{name: "PanicIsRedelivered", run: panicIsRedelivered,
		why: "a delivery that panics counts as one that fails"},
	{name: "PoisonMessageDoesNotBlock", run: poisonMessageDoesNotBlock,
		why: "envelopes that can never be delivered do not delay others"},
	{name: "DeadLettersAreKept", run: deadLettersAreKept, dead: true,
		why: "an envelope that can never be delivered becomes a dead letter, and no other does"},
	{name: "DeliveryHasDeadline", run: deliveryHasDeadline,
		why: "the context of a delivery has a deadline, so that a hung delivery is repeated"},
	{name: "PendingOfACall", run: pendingOfACall,
		why: "an inbox that can be asked knows every event of a call from its Put to its delivery: a tool that comes in between knows its call"},
	{name: "CanceledPut", run: canceledPut,
		why: "a Put whose context has ended fails, and affects no other"},
}
