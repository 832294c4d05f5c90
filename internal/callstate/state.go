package callstate

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/fault"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A State is the record of a call: as much of its events as the merge of the
// next one needs, so that it stays small however long the call is. The log has
// everything. JSON names are older than the fields' names, and stay because
// they are stored.
type State struct {
	V         int          `json:"v"`
	ID        event.CallID `json:"id"`               // with the tenant's name: see [ScopedID]
	Tenant    string       `json:"tenant,omitempty"` // who sends its events
	Status    event.Status `json:"status,omitempty"`
	FirstSeen time.Time    `json:"first"`
	LastSeen  time.Time    `json:"last"` // the latest event; a tool call too, to the minute
	Entries   int          `json:"entries"`
	Messages  int          `json:"messages"` // in the latest conversation

	// TranscriptDigest is the chained digest of the conversation, and
	// LastMessageAt the time of its last message in ms. With them the merge
	// recognizes a conversation that only adds to the stored one without reading
	// the log. It skips even parsing the old messages if the first PrefixBytes
	// of the new conversation have the sum PrefixSum.
	TranscriptDigest []byte `json:"digest,omitempty"`
	LastMessageAt    int64  `json:"lastSaid,omitempty"`
	PrefixBytes      int    `json:"bytes,omitempty"`
	PrefixSum        []byte `json:"sum,omitempty"`
	Word             word   `json:"word,omitzero"` // who said so, and when

	// BodyDigest is the digest of the last conversation-update without its
	// messages and time, and BodyEntry the number of the entry that holds it.
	BodyDigest string `json:"skeleton,omitempty"`
	BodyEntry  int    `json:"skeletonAt,omitempty"`

	About About `json:"about,omitzero"`

	Report             *reportState `json:"report,omitempty"`
	Hangs              occurrences  `json:"hangs,omitzero"`
	Errors             occurrences  `json:"errors,omitzero"`
	Ended              *Ended       `json:"ended,omitempty"`
	Deleted            bool         `json:"gone,omitempty"`    // a tombstone: no event brings the call back
	ContentPurged      bool         `json:"emptied,omitempty"` // retention has deleted the log and the tools
	BackfillAttempts   int          `json:"asked,omitempty"`   // how often Interactly's API was asked for it
	LastBackfill       time.Time    `json:"askedAt,omitzero"`
	OverdueSince       time.Time    `json:"wanted,omitzero"`   // since when the end or the report is missing
	RecentFingerprints []string     `json:"seen,omitempty"`    // of the last events, to recognize duplicates
	Pending            []Pending    `json:"pending,omitempty"` // merged, with handlers left to run
}

// A reportState is where the latest end-of-call-report is.
type reportState struct {
	word
	Entry       int    `json:"entry"`
	Revision    int    `json:"revision"`      // 1 for the first
	Fingerprint string `json:"sum,omitempty"` // decides between two that were sent at one time
}

// Ended is when and why a call was considered over.
type Ended struct {
	At     time.Time       `json:"at"`
	Reason event.EndReason `json:"reason"`
}

// Assumed reports whether nobody said that the call is over: it was only
// silent. The next sign of life takes such an end back.
func (e *Ended) Assumed() bool { return e != nil && e.Reason == event.EndReasonIdleTimeout }

// Alive notes that the call was going on at a time, and takes back an end that
// was assumed, with those of its handlers that have not run yet. It reports
// whether that is news.
func (s *State) Alive(at time.Time) bool {
	if !at.After(s.LastSeen) {
		return false
	}
	s.LastSeen, s.OverdueSince = at, time.Time{}
	if s.Ended.Assumed() && !fault.Mutated("assumed-end-stays") {
		s.Ended = nil
		s.Pending = slices.DeleteFunc(slices.Clone(s.Pending), func(w Pending) bool { return w.Envelope == SweepEnvelope })
	}
	return true
}

// occurrences counts events without an id that may really happen twice. Recent
// ones are listed, to recognize those that were only sent twice.
type occurrences struct {
	Count  int          `json:"count,omitempty"`
	Recent []occurrence `json:"recent,omitempty"`
}

// An occurrence is one such event.
type occurrence struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

// SweepEnvelope is in place of an envelope's ID if the sweep ended a call.
const SweepEnvelope = "sweep"

// Pending is a merged event whose handlers have not all succeeded.
type Pending struct {
	Envelope string       `json:"envelope"` // its ID, or that of the sweep
	Entry    int          `json:"entry"`    // its number in the log
	Effects  []Effect     `json:"effects"`
	Previous event.Status `json:"previous,omitempty"`
	Done     []string     `json:"done,omitempty"` // names of handlers that succeeded
}

// stateVersion is the version of State that this program reads and writes.
const stateVersion = 1

// EncodeState returns the value of a call's record.
func EncodeState(s State) ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, errors.New("callstate: state encoding failed") // the encoder's text quotes it
	}
	return b, nil
}

// DecodeState returns the state in a call's record, the zero State if there is
// no record.
func DecodeState(r records.Record) (State, error) {
	var s State
	if r.Version == 0 {
		return s, nil
	}
	if err := json.Unmarshal(r.Value, &s); err != nil || s.V != stateVersion {
		return s, fmt.Errorf("callstate: state of a call is not of version %d", stateVersion)
	}
	return s, nil
}

// About is what people look for calls by.
type About struct {
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"`
	Metadata    jsontext.Value `json:"metadata,omitempty"`

	Direction       string         `json:"direction,omitempty"`
	UserNumber      string         `json:"user,omitempty"`
	AssistantNumber string         `json:"number,omitempty"`
	Variables       jsontext.Value `json:"variables,omitempty"` // the assistant's dynamic variables
}

// IsZero reports whether nothing is known.
func (a About) IsZero() bool { return reflect.ValueOf(a).IsZero() }

// WithoutContent returns a without what belongs to the content of a call, for when that is
// purged.
func (a About) WithoutContent() About {
	return About{AssistantID: a.AssistantID, Assistant: a.Assistant, Metadata: a.Metadata}
}

// maxMetadata is how many bytes of metadata a call's state may hold, and of
// variables, because it is written with every event. The log has all of them.
const maxMetadata = 1 << 10

// Add merges what an event says. Of two different values the larger wins: that
// is arbitrary, but leads to the same result in every order of arrival.
func (a *About) Add(e event.Event) {
	a.AssistantID = max(a.AssistantID, name256(cmp.Or(e.Call.AssistantID, e.Assistant.ID)))
	a.Assistant = max(a.Assistant, name256(e.Assistant.Name))
	a.Metadata = largerObject(a.Metadata, e.Call.Metadata)
	a.Direction = max(a.Direction, name256(e.Call.Direction))
	a.UserNumber = max(a.UserNumber, name256(cmp.Or(e.Call.UserNumber, e.Customer.Number)))
	a.AssistantNumber = max(a.AssistantNumber, name256(e.Call.AssistantNumber))
	a.Variables = largerObject(a.Variables, loosejson.Object(e.Call.Overrides)["dynamicVariables"])
}

// largerObject returns b if it is an object that can be kept and is larger than a.
func largerObject(a, b jsontext.Value) jsontext.Value {
	if b.Kind() == '{' && len(b) <= maxMetadata && !loosejson.IsEmpty(b) && string(b) > string(a) {
		return b.Clone()
	}
	return a
}

// name256 returns s, or "" if it is too long for a name or an id.
func name256(s string) string {
	if len(s) > 256 {
		return ""
	}
	return s
}

// OpenRecord returns what to commit with a state so that the sweep finds the
// call exactly as long as it has something to do. now is the record at its
// [OpenKey].
func OpenRecord(s State, now records.Record) []records.Record {
	busy := s.Ended == nil || len(s.Pending) > 0
	switch {
	case busy && now.Version == 0:
		return []records.Record{{Key: OpenKey(s.ID), Value: []byte(s.ID)}}
	case !busy && now.Version != 0:
		return []records.Record{{Key: OpenKey(s.ID), Version: now.Version}}
	}
	return nil
}

// Overdue returns why the call is to be ended at now, or "". A call that has
// finished is given reportTimeout for its report; one that has not is over
// after idleTimeout without events and tool calls.
func (s *State) Overdue(now time.Time, reportTimeout, idleTimeout time.Duration) event.EndReason {
	quiet := now.Sub(s.LastSeen)
	switch {
	case s.Ended != nil:
		return ""
	case s.Status.Terminal() && quiet >= reportTimeout:
		return event.EndReasonReportTimeout
	case quiet >= idleTimeout:
		return event.EndReasonIdleTimeout
	}
	return ""
}
