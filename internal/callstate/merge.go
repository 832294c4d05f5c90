package callstate

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/fault"
)

// An Effect is a kind of change that handlers can be registered for.
type Effect string

// The effects that an event can have.
const (
	EffectEvent    Effect = "event"    // any event, known or not
	EffectStatus   Effect = "status"   // the status moved forward
	EffectMessages Effect = "messages" // there are messages that no handler was given
	EffectHang     Effect = "hang"     // the assistant was silent
	EffectError    Effect = "error"    // a model or a voice failed
	EffectReport   Effect = "report"   // an end-of-call-report was received
	EffectEnded    Effect = "ended"    // the call is over: once for each call
)

const (
	// repeatWindow separates an event that was sent twice by mistake from one
	// that happened twice: events have no id (docs/events.md#delivery).
	repeatWindow = 30 * time.Second

	// maxFingerprints bounds the state. A duplicate that is older than 64 events
	// is merged again, which changes only the log.
	maxFingerprints = 64

	maxOccurrences = 100 // hangs and errors that are listed, each
)

// An Incoming is an event prepared for [Merge]: see [NewIncoming].
type Incoming struct {
	event.Event
	id           string         // of the envelope
	body         []byte         // without messages
	bodyDigest   string         // of body without its time
	timestamp    []byte         // the JSON of that time
	fingerprint  string         // digest of the whole body
	conversation jsontext.Value // the list of messages; nil if it has none
}

// A Change is what [Merge] decided.
type Change struct {
	State       State
	Entry       *Entry // to append to the log; nil if the event is a duplicate
	Effects     []Effect
	NewMessages []jsontext.Value // messages that no handler was given

	// NeedsTranscript asks for another Merge with the stored transcript, because
	// the event's conversation does not just add to it. Nothing else is set then.
	NeedsTranscript bool
}

// Merge decides how an event changes a call. It reads no clock and does no I/O:
// the caller commits the state and the entry, then runs the effects. Events in
// any order of arrival lead to the same state, except for what only the arrival
// says (docs/architecture.md#merge).
//
// stored is the call's transcript, or nil until Merge asks for it with
// NeedsTranscript. It is expensive to read and seldom needed.
func Merge(s State, a Incoming, stored *Transcript) Change {
	countable := a.Type == event.TypeHang || a.Type == event.TypeError
	if !countable && slices.Contains(s.RecentFingerprints, a.fingerprint) && !fault.Mutated("no-dedup") {
		return Change{State: s}
	}
	if a.Backfilled && a.Type == event.TypeReport && s.Report != nil {
		return Change{State: s} // the report that was sent is more complete
	}
	c := Change{State: s}
	n := &c.State
	if n.V == 0 {
		n.V, n.ID, n.Tenant, n.FirstSeen = stateVersion, a.Call.ID, a.Tenant, a.Received
	}
	n.Alive(a.Received)
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
	case event.TypeStatusUpdate, event.TypeConversationUpdate, event.TypeToolCalls, event.TypeFunctionCall: // no effects besides status and messages
	}

	if a.Type == event.TypeConversationUpdate && a.bodyDigest == n.BodyDigest && n.BodyEntry > 0 {
		e.SameBodyAs, e.Timestamp = n.BodyEntry, a.timestamp
	} else {
		e.Body = a.body
		if a.Type == event.TypeConversationUpdate {
			n.BodyDigest, n.BodyEntry = a.bodyDigest, n.Entries+1
		}
	}
	c.Effects = append(c.Effects, EffectEvent)
	n.Entries++
	n.RecentFingerprints = append(slices.Clone(n.RecentFingerprints[max(0, len(n.RecentFingerprints)-maxFingerprints+1):]), a.fingerprint)
	c.Entry = e
	return c
}

// mergeStatus moves the status forward, never back. A report finishes a call
// whatever status it carries.
func mergeStatus(c *Change, a Incoming) {
	status := a.Status
	if a.Type == event.TypeReport && !status.Terminal() {
		status = event.StatusFinished
	}
	if status != "" && (status.Rank() > c.State.Status.Rank() || fault.Mutated("status-regresses") && status != c.State.Status) {
		c.State.Status = status
		c.Effects = append(c.Effects, EffectStatus)
	}
}

// mergeReport selects the report whose word counts most. The first to arrive
// ends the call.
func mergeReport(c *Change, a Incoming) {
	s := &c.State
	var r reportState
	if s.Report != nil {
		r = *s.Report
	}
	r.Revision++
	if w := wordOf(a); cmp.Or(w.compare(r.word), cmp.Compare(a.fingerprint, r.Fingerprint)) > 0 {
		r.word, r.Entry, r.Fingerprint = w, s.Entries+1, a.fingerprint
	}
	s.Report = &r
	c.Effects = append(c.Effects, EffectReport)
	why := event.EndReasonReport
	if a.Backfilled {
		why = event.EndReasonBackfill
	}
	End(c, a.Received, why)
}

// End ends the call, unless it has ended. An end that was only assumed gives way
// to one that the sender stated.
func End(c *Change, at time.Time, why event.EndReason) {
	if c.State.Ended == nil || c.State.Ended.Assumed() && !fault.Mutated("assumed-end-stays") {
		c.State.Ended = &Ended{At: at, Reason: why}
		c.Effects = append(c.Effects, EffectEnded)
	}
}

// add counts a and reports true, unless a recent one was only sent again.
func (o *occurrences) add(a Incoming) bool {
	key := Digest(string(a.Type), string(a.timestamp), failureCode(a.Event))[:16]
	for _, r := range o.Recent {
		if r.Key == key && r.At.Sub(a.Received).Abs() < repeatWindow {
			return false
		}
	}
	o.Count++
	recent := append(slices.Clone(o.Recent), occurrence{Key: key, At: a.Received})
	o.Recent = recent[max(0, len(recent)-maxOccurrences):]
	return true
}

// failureCode returns the vendor's code, or "".
func failureCode(e event.Event) string {
	if e.Error == nil {
		return ""
	}
	return e.Error.Code
}
