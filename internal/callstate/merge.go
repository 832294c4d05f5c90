package callstate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/fault"
)

// An Effect is something that an event brought about, for the handlers.
type Effect string

const (
	EffectStatus   Effect = "status"
	EffectMessages Effect = "messages"
	EffectHang     Effect = "hang"
	EffectError    Effect = "error"
	EffectReport   Effect = "report"
	EffectEnded    Effect = "ended"
)

const (
	// repeatWindow tells an event that was sent twice by mistake from one that
	// happened twice: events have no id (docs/events.md#delivery).
	repeatWindow = 30 * time.Second

	seenLast        = 64  // fingerprints kept
	occurrencesLast = 100 // hangs and errors kept, each
)

// An Incoming is an event as the merge sees it.
type Incoming struct {
	event.Event
	id           string         // of the envelope
	body         []byte         // the body without messages
	bodyDigest   string         // digest of the skeleton without its time
	timestamp    []byte         // that time
	fingerprint  string         // of the whole body
	conversation jsontext.Value // the list of messages, nil without any
}

// A Change is what the merge decided.
type Change struct {
	State       State
	Entry       *Entry // nil: the event brings nothing, not even for the log
	Effects     []Effect
	NewMessages []jsontext.Value // messages that no handler has heard of

	// NeedsTranscript: the conversation is not a plain addition, so the decision
	// needs the one that is stored.
	NeedsTranscript bool
}

// Merge decides what an event does to a call. It reads no clock and does no
// I/O: the caller commits the state and the entry, then runs the effects. It
// comes to the same state in whatever order events arrive, except for what
// only arrival can tell (docs/architecture.md#Merge).
//
// stored is the conversation so far, or nil as long as Merge has not asked for
// it.
func Merge(s State, a Incoming, stored *Transcript) Change {
	countable := a.Type == event.TypeHang || a.Type == event.TypeError
	if !countable && slices.Contains(s.RecentFingerprints, a.fingerprint) && !fault.Mutated("no dedupe") {
		return Change{State: s}
	}
	if a.Backfilled && a.Type == event.TypeReport && s.Report != nil {
		return Change{State: s} // what was sent says more
	}
	c := Change{State: s}
	n := &c.State
	if n.V == 0 {
		n.V, n.ID, n.FirstSeen = stateVersion, a.Call.ID, a.Received
	}
	if a.Received.After(n.LastSeen) {
		n.LastSeen, n.OverdueSince = a.Received, time.Time{}
	}
	e := &Entry{V: 1, ID: a.id, Type: a.Type, Received: a.Received, Backfilled: a.Backfilled, RedriveCount: a.RedriveCount}

	n.About.Add(a.Event)
	mergeStatus(&c, a)
	if mergeMessages(&c, e, a, stored); c.NeedsTranscript {
		return c
	}
	switch a.Type {
	case event.TypeHang:
		if !n.Hangs.add(a) {
			return Change{State: s}
		}
		c.Effects = append(c.Effects, EffectHang)
	case event.TypeError:
		if !n.Errors.add(a) {
			return Change{State: s}
		}
		c.Effects = append(c.Effects, EffectError)
	case event.TypeReport:
		mergeReport(&c, a)
	case event.TypeStatusUpdate, event.TypeConversationUpdate, event.TypeToolCalls, event.TypeFunctionCall: // nothing of their own
	}

	if a.Type == event.TypeConversationUpdate && a.bodyDigest == n.BodyDigest && n.BodyEntry > 0 {
		e.SameBodyAs, e.Timestamp = n.BodyEntry, a.timestamp
	} else {
		e.Body = a.body
		if a.Type == event.TypeConversationUpdate {
			n.BodyDigest, n.BodyEntry = a.bodyDigest, n.Entries+1
		}
	}
	n.Entries++
	n.RecentFingerprints = append(slices.Clone(n.RecentFingerprints[max(0, len(n.RecentFingerprints)-seenLast+1):]), a.fingerprint)
	c.Entry = e
	return c
}

// mergeStatus moves the status forward, never back. A report closes a call
// whatever its own status says.
func mergeStatus(c *Change, a Incoming) {
	status := a.Status
	if a.Type == event.TypeReport && !status.Terminal() {
		status = event.StatusFinished
	}
	if status != "" && (status.Rank() > c.State.Status.Rank() || fault.Mutated("status goes back") && status != c.State.Status) {
		c.State.Status = status
		c.Effects = append(c.Effects, EffectStatus)
	}
}

// mergeMessages compares the conversation that an event carries with the one
// that is stored. The one with more messages is newer, then the one whose last
// message is later; a digest decides what is left, so that all instances agree
// (docs/events.md#conversation-update).
func mergeMessages(c *Change, e *Entry, a Incoming, stored *Transcript) {
	s := &c.State
	if a.conversation == nil {
		e.PrefixLen = s.Messages
		return
	}
	// An old conversation that comes again byte for byte need not be read.
	var said []Message // those from known on
	known := 0
	if n := s.PrefixBytes; n > 0 && n < len(a.conversation) && bytes.Equal(sumOf(a.conversation[:n]), s.PrefixSum) {
		known, said = s.Messages, readConversation(a.conversation, n)
	} else {
		said = readConversation(a.conversation, 0)
	}
	chained, before := chainDigest(s, known, said)
	total := known + len(said)
	last := s.LastMessageAt
	if len(said) > 0 {
		last = said[len(said)-1].at
	}

	// take makes the conversation that came the one that counts; it shares its
	// first keep messages with the one before.
	take := func(keep int, fresh []Message) {
		e.PrefixLen, e.Added = keep, RawMessages(said[keep-known:])
		s.Messages, s.TranscriptDigest, s.LastMessageAt = total, chained, last
		s.PrefixBytes = len(bytes.TrimRight(a.conversation[:len(a.conversation)-1], " \t\r\n"))
		s.PrefixSum = sumOf(a.conversation[:s.PrefixBytes])
		if len(fresh) > 0 {
			c.NewMessages = RawMessages(fresh)
			c.Effects = append(c.Effects, EffectMessages)
		}
	}
	switch {
	case total > s.Messages && bytes.Equal(before, s.TranscriptDigest):
		take(s.Messages, said[s.Messages-known:])
		return
	case total == s.Messages && bytes.Equal(chained, s.TranscriptDigest):
		e.PrefixLen = s.Messages
		s.LastMessageAt = max(s.LastMessageAt, last)
		return
	case stored == nil:
		c.NeedsTranscript = true
		return
	}

	var fresh, untold []Message
	for _, m := range said {
		if !stored.seen(m) {
			fresh = append(fresh, m)
		}
		if !stored.Delivered(m) {
			untold = append(untold, m)
		}
	}
	if fault.Mutated("last snapshot wins") {
		s.Messages, s.LastMessageAt = 0, 0
	}
	newer := cmp.Or(cmp.Compare(total, s.Messages), cmp.Compare(last, s.LastMessageAt), bytes.Compare(chained, s.TranscriptDigest))
	if newer < 0 {
		e.Stale, e.PrefixLen, e.Added = true, total, RawMessages(fresh)
		return
	}
	keep := 0
	for keep < min(len(said), len(stored.Current)) && said[keep].same(stored.Current[keep]) {
		keep++
	}
	take(keep, untold)
}

// chainDigest returns the digest of the whole conversation that came, of which said
// are the messages after the known ones, and the digest of as many of its
// messages as are stored.
func chainDigest(s *State, known int, said []Message) (whole, before []byte) {
	var sum [sha256.Size]byte
	if known > 0 {
		copy(sum[:], s.TranscriptDigest)
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

func RawMessages(ms []Message) []jsontext.Value {
	vs := make([]jsontext.Value, len(ms))
	for i, m := range ms {
		vs[i] = m.raw
	}
	return vs
}

// mergeReport takes the newest of several reports. The first ends the call.
func mergeReport(c *Change, a Incoming) {
	s := &c.State
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
	c.Effects = append(c.Effects, EffectReport)
	why := event.EndReasonReport
	if a.Backfilled {
		why = event.EndReasonBackfill
	}
	End(c, a.Received, why)
}

// End ends the call once.
func End(c *Change, at time.Time, why event.EndReason) {
	if c.State.Ended == nil {
		c.State.Ended = &Ended{At: at, Reason: why}
		c.Effects = append(c.Effects, EffectEnded)
	}
}

// add counts a, unless it is one of the recent ones sent again.
func (o *occurrences) add(a Incoming) bool {
	key := Digest(string(a.Type), string(a.timestamp), failureCode(a.Event))[:16]
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

func failureCode(e event.Event) string {
	if e.Error == nil {
		return ""
	}
	return e.Error.Code
}
