package coretest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
)

// InboxTraits declare what an inbox cannot do. The zero value can do all that
// [core.Inbox] promises. A case that a trait rules out is skipped aloud.
type InboxTraits struct {
	// Dead returns the ids of the envelopes in the dead-letter place of an inbox
	// that open returned. nil: there is no way to look from a test.
	Dead func(ctx context.Context, in core.Inbox) ([]string, error)

	// MaxBody is the largest body that the inbox takes, in bytes. Default 6 MB,
	// above the largest that the core accepts.
	MaxBody int

	// Wait is how long anything may take to be delivered, the pauses after
	// failed deliveries included. Default 5 minutes: it bounds failures only.
	Wait time.Duration

	// Events is how many envelopes the case of many has. Default 500; less for
	// an emulator that is slow.
	Events int
}

// A Deliver is what an inbox hands its envelopes to.
type Deliver = func(context.Context, core.Envelope) error

// An inboxCase is one promise of core.Inbox.
type inboxCase struct {
	name string
	why  string // the promise, printed when it is broken
	dead bool   // needs to see the dead
	run  func(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error
}

// Inbox runs the suite. open starts an empty inbox for one case that hands its
// envelopes to deliver, and stops it by t.Cleanup. An inbox with pauses of hours
// must be opened with short ones; it must try at least 4 times before it
// gives up, and give up within InboxTraits.Wait.
func Inbox(t *testing.T, traits InboxTraits, open func(t *testing.T, deliver Deliver) core.Inbox) {
	t.Helper()
	traits = traits.withDefaults()
	skipped := 0
	for _, c := range inboxCases {
		if c.dead && traits.Dead == nil {
			skipped++
			t.Run(c.name, func(t *testing.T) { t.Skipf("NOT TESTED: %s; the dead cannot be seen", c.why) })
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*traits.Wait)
			defer cancel()
			start := func(d Deliver) core.Inbox { return open(t, d) }
			if err := c.run(ctx, start, traits); err != nil {
				t.Errorf("broken promise: %s\n\t%v", c.why, err)
			}
		})
	}
	if skipped > 0 {
		t.Logf("%d of %d promises are not tested on this inbox", skipped, len(inboxCases))
	}
}

func (tr InboxTraits) withDefaults() InboxTraits {
	tr.MaxBody = cmp.Or(tr.MaxBody, 6<<20)
	tr.Wait = cmp.Or(tr.Wait, 5*time.Minute)
	tr.Events = cmp.Or(tr.Events, 500)
	return tr
}

// inboxCases is the contract of core.Inbox, a line each.
var inboxCases = []inboxCase{
	{name: "Arrives", run: arrives,
		why: "what was put is delivered, with every field as it was, Received to the millisecond and in UTC"},
	{name: "NothingIsNothing", run: nothingIsNothing,
		why: "a Put of no envelopes succeeds"},
	{name: "BodiesAreExact", run: bodiesAreExact,
		why: "a body comes out byte for byte, whatever JSON and whatever characters are in it"},
	{name: "OddIDs", run: oddIDs,
		why: "the id of a call and a type are the sender's, and may hold any character"},
	{name: "LargestBody", run: largestBody,
		why: "a body of the largest size comes out as it went in, packable or not"},
	{name: "SeveralAtOnce", run: severalAtOnce,
		why: "every envelope of a Put of several is delivered"},
	{name: "AllOrNone", run: allOrNone,
		why: "a Put that was interrupted has put all of its envelopes or none"},
	{name: "ManyAtOnce", run: manyAtOnce,
		why: "of many concurrent Puts, each that returned nil is delivered"},
	{name: "RepeatedPut", run: repeatedPut,
		why: "a second Put of the same envelope succeeds; it may be delivered again or not"},
	{name: "SlicesAreNotKept", run: putSlicesAreNotKept,
		why: "what the caller does to its slices after Put returned changes nothing"},
	{name: "DeliveryOwnsBody", run: deliveryOwnsBody,
		why: "what a delivery does to the body does not reach the next delivery"},
	{name: "FailureIsRepeated", run: failureIsRepeated,
		why: "a delivery that fails is repeated until it returns nil"},
	{name: "PanicIsRepeated", run: panicIsRepeated,
		why: "a delivery that panics is repeated like one that fails"},
	{name: "PoisonBlocksNobody", run: poisonBlocksNobody,
		why: "envelopes that can never be delivered keep no others waiting"},
	{name: "TheDeadAreKept", run: theDeadAreKept, dead: true,
		why: "an envelope that can never be delivered ends in the dead-letter place, and only such a one"},
	{name: "DeliveryHasDeadline", run: deliveryHasDeadline,
		why: "the context of a delivery has a deadline, so that one that hangs is repeated"},
	{name: "CancelledPut", run: cancelledPut,
		why: "a Put whose context has ended fails, and harms nobody else"},
}
