package core

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/fault"
)

// An effect is something that an event brought about, for the handlers.
type effect string

const (
	effectStatus   effect = "status"
	effectMessages effect = "messages"
	effectHang     effect = "hang"
	effectError    effect = "error"
	effectReport   effect = "report"
	effectEnded    effect = "ended"
)

const (
	// repeatWindow tells an event that was sent twice by mistake from one that
	// happened twice: events have no id (docs/events.md#delivery).
	repeatWindow = 30 * time.Second

	seenLast        = 64  // fingerprints kept
	occurrencesLast = 100 // hangs and errors kept, each
)

// An arrival is an event as the merge sees it.
type arrival struct {
	Event
	id           string         // of the envelope
	skeleton     []byte         // the body without messages
	like         string         // digest of the skeleton without its time
	timestamp    []byte         // that time
	fingerprint  string         // of the whole body
	conversation jsontext.Value // the list of messages, nil without any
}

// A change is what the merge decided.
type change struct {
	state   callState
	entry   *entry // nil: the event brings nothing, not even for the log
	effects []effect
	fresh   []jsontext.Value // messages that no handler has heard of

	// needsView: the conversation is not a plain addition, so the decision
	// needs the one that is stored.
	needsView bool
}

// merge decides what an event does to a call. It reads no clock and does no
// I/O: the caller commits the state and the entry, then runs the effects. It
// comes to the same state in whatever order events arrive, except for what
// only arrival can tell (docs/architecture.md#merge).
//
// stored is the conversation so far, or nil as long as merge has not asked for
// it.
func merge(s callState, a arrival, stored *view) change {
	countable := a.Type == EventHang || a.Type == EventError
	if !countable && slices.Contains(s.Seen, a.fingerprint) && !fault.Mutated("no dedupe") {
		return change{state: s}
	}
	if a.Repaired && a.Type == EventReport && s.Report != nil {
		return change{state: s} // what was sent says more
	}
	c := change{state: s}
	n := &c.state
	if n.V == 0 {
		n.V, n.ID, n.First = stateVersion, a.Call.ID, a.Received
	}
	if a.Received.After(n.Last) {
		n.Last, n.Wanted = a.Received, time.Time{}
	}
	e := &entry{V: 1, ID: a.id, Type: a.Type, Received: a.Received, Repaired: a.Repaired, Replayed: a.Replayed}

	n.About.add(a.Event)
	mergeStatus(&c, a)
	if mergeMessages(&c, e, a, stored); c.needsView {
		return c
	}
	switch a.Type {
	case EventHang:
		if !n.Hangs.add(a) {
			return change{state: s}
		}
		c.effects = append(c.effects, effectHang)
	case EventError:
		if !n.Errors.add(a) {
			return change{state: s}
		}
		c.effects = append(c.effects, effectError)
	case EventReport:
		mergeReport(&c, a)
	case EventStatusUpdate, EventConversationUpdate, EventToolCalls, EventFunctionCall: // nothing of their own
	}

	if a.Type == EventConversationUpdate && a.like == n.Skeleton && n.SkeletonAt > 0 {
		e.Like, e.Timestamp = n.SkeletonAt, a.timestamp
	} else {
		e.Body = a.skeleton
		if a.Type == EventConversationUpdate {
			n.Skeleton, n.SkeletonAt = a.like, n.Entries+1
		}
	}
	n.Entries++
	n.Seen = append(slices.Clone(n.Seen[max(0, len(n.Seen)-seenLast+1):]), a.fingerprint)
	c.entry = e
	return c
}

// mergeStatus moves the status forward, never back. A report closes a call
// whatever its own status says.
func mergeStatus(c *change, a arrival) {
	status := a.Status
	if a.Type == EventReport && !status.Terminal() {
		status = StatusFinished
	}
	if status != "" && (status.rank() > c.state.Status.rank() || fault.Mutated("status goes back") && status != c.state.Status) {
		c.state.Status = status
		c.effects = append(c.effects, effectStatus)
	}
}

// mergeMessages compares the conversation that an event carries with the one
// that is stored. The one with more messages is newer, then the one whose last
// message is later; a digest decides what is left, so that all instances agree
// (docs/events.md#conversation-update).
func mergeMessages(c *change, e *entry, a arrival, stored *view) {
	s := &c.state
	if a.conversation == nil {
		e.Keep = s.Messages
		return
	}
	// An old conversation that comes again byte for byte need not be read.
	var said []spoken // those from known on
	known := 0
	if n := s.Bytes; n > 0 && n < len(a.conversation) && bytes.Equal(sumOf(a.conversation[:n]), s.Sum) {
		known, said = s.Messages, readConversation(a.conversation, n)
	} else {
		said = readConversation(a.conversation, 0)
	}
	chained, before := chain(s, known, said)
	total := known + len(said)
	last := s.LastSaid
	if len(said) > 0 {
		last = said[len(said)-1].at
	}

	// take makes the conversation that came the one that counts; it shares its
	// first keep messages with the one before.
	take := func(keep int, fresh []spoken) {
		e.Keep, e.New = keep, raws(said[keep-known:])
		s.Messages, s.Digest, s.LastSaid = total, chained, last
		s.Bytes = len(bytes.TrimRight(a.conversation[:len(a.conversation)-1], " \t\r\n"))
		s.Sum = sumOf(a.conversation[:s.Bytes])
		if len(fresh) > 0 {
			c.fresh = raws(fresh)
			c.effects = append(c.effects, effectMessages)
		}
	}
	switch {
	case total > s.Messages && bytes.Equal(before, s.Digest):
		take(s.Messages, said[s.Messages-known:])
		return
	case total == s.Messages && bytes.Equal(chained, s.Digest):
		e.Keep = s.Messages
		s.LastSaid = max(s.LastSaid, last)
		return
	case stored == nil:
		c.needsView = true
		return
	}

	var fresh, untold []spoken
	for _, m := range said {
		if !stored.has(m) {
			fresh = append(fresh, m)
		}
		if !stored.told(m) {
			untold = append(untold, m)
		}
	}
	if fault.Mutated("last snapshot wins") {
		s.Messages, s.LastSaid = 0, 0
	}
	newer := cmp.Or(cmp.Compare(total, s.Messages), cmp.Compare(last, s.LastSaid), bytes.Compare(chained, s.Digest))
	if newer < 0 {
		e.Late, e.Keep, e.New = true, total, raws(fresh)
		return
	}
	keep := 0
	for keep < min(len(said), len(stored.now)) && said[keep].same(stored.now[keep]) {
		keep++
	}
	take(keep, untold)
}

// chain returns the digest of the whole conversation that came, of which said
// are the messages after the known ones, and the digest of as many of its
// messages as are stored.
func chain(s *callState, known int, said []spoken) (whole, before []byte) {
	var sum [sha256.Size]byte
	if known > 0 {
		copy(sum[:], s.Digest)
	}
	for i, m := range said {
		if known+i == s.Messages && s.Messages > 0 {
			before = bytes.Clone(sum[:])
		}
		sum = m.chain(sum)
	}
	return sum[:], before
}

func sumOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:16]
}

func raws(ms []spoken) []jsontext.Value {
	vs := make([]jsontext.Value, len(ms))
	for i, m := range ms {
		vs[i] = m.raw
	}
	return vs
}

// mergeReport takes the newest of several reports. The first ends the call.
func mergeReport(c *change, a arrival) {
	s := &c.state
	at := a.Time.UnixMilli()
	if s.Report == nil {
		s.Report = &reportState{}
	}
	r := *s.Report
	r.Revision++
	if at >= r.Time {
		r.Entry, r.Time = s.Entries+1, at
	}
	s.Report = &r
	c.effects = append(c.effects, effectReport)
	why := EndReported
	if a.Repaired {
		why = EndRepaired
	}
	endCall(c, a.Received, why)
}

// endCall ends the call once.
func endCall(c *change, at time.Time, why EndReason) {
	if c.state.Ended == nil {
		c.state.Ended = &endState{At: at, Reason: why}
		c.effects = append(c.effects, effectEnded)
	}
}

// add counts a, unless it is one of the recent ones sent again.
func (o *occurrences) add(a arrival) bool {
	key := digest(string(a.Type), string(a.timestamp), failureCode(a.Event))[:16]
	for _, r := range o.Recent {
		if r.Key == key && r.At.Sub(a.Received).Abs() < repeatWindow {
			return false
		}
	}
	o.Count++
	recent := append(slices.Clone(o.Recent), occurrence{Key: key, At: a.Received})
	o.Recent = recent[max(0, len(recent)-occurrencesLast):]
	return true
}

func failureCode(e Event) string {
	if e.Error == nil {
		return ""
	}
	return e.Error.Code
}
