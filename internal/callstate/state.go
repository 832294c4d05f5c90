package callstate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// State is the record of a call: what the events say so far, as much as
// the next event needs. Everything else is in the log.
type State struct {
	V         int          `json:"v"`
	ID        event.CallID `json:"id"`
	Status    event.Status `json:"status,omitempty"`
	FirstSeen time.Time    `json:"first"`
	LastSeen  time.Time    `json:"last"`
	Entries   int          `json:"entries"`
	Messages  int          `json:"messages"` // in the conversation as it stands

	// TranscriptDigest is over the messages of the conversation, one after the other, and
	// LastSaid the time of the last in ms, so that a snapshot that only adds is
	// known without reading the log. Mostly not even its old messages are read:
	// its first Bytes have the sum Sum.
	TranscriptDigest []byte `json:"digest,omitempty"`
	LastMessageAt    int64  `json:"lastSaid,omitempty"`
	PrefixBytes      int    `json:"bytes,omitempty"`
	PrefixSum        []byte `json:"sum,omitempty"`

	// BodyDigest is a digest of the last conversation-update without its messages
	// and time, and SkeletonAt the entry that holds it.
	BodyDigest string `json:"skeleton,omitempty"`
	BodyEntry  int    `json:"skeletonAt,omitempty"`

	About About `json:"about,omitzero"`

	Report             *reportState `json:"report,omitempty"`
	Hangs              occurrences  `json:"hangs,omitzero"`
	Errors             occurrences  `json:"errors,omitzero"`
	Ended              *Ended       `json:"ended,omitempty"`
	Deleted            bool         `json:"gone,omitempty"`    // it was deleted: nothing brings it back
	ContentPurged      bool         `json:"emptied,omitempty"` // retention took what was said and sent
	BackfillAttempts   int          `json:"asked,omitempty"`   // how often the API was asked for it
	LastBackfill       time.Time    `json:"askedAt,omitzero"`
	OverdueSince       time.Time    `json:"wanted,omitzero"`   // since when it is asked for
	RecentFingerprints []string     `json:"seen,omitempty"`    // fingerprints of the last events
	Pending            []Pending    `json:"pending,omitempty"` // merged, handlers not done
}

type reportState struct {
	Entry    int   `json:"entry"`
	Revision int   `json:"revision"`
	Time     int64 `json:"time"` // of the event, ms
}

// Ended is when and why the call counts as over.
type Ended struct {
	At     time.Time       `json:"at"`
	Reason event.EndReason `json:"reason"`
}

// occurrences counts events that carry no id and may come twice for real.
type occurrences struct {
	Count  int          `json:"count,omitempty"`
	Recent []occurrence `json:"recent,omitempty"`
}

type occurrence struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

// Pending is a change that was merged and whose handlers are not all done.
type Pending struct {
	Envelope string       `json:"envelope"`
	Entry    int          `json:"entry"`
	Effects  []Effect     `json:"effects"`
	Previous event.Status `json:"previous,omitempty"`
	Done     []string     `json:"done,omitempty"` // handlers that are
}

const stateVersion = 1

func EncodeState(s State) ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("core: state of a call cannot be encoded")
	}
	return b, nil
}

func DecodeState(r records.Record) (State, error) {
	var s State
	if r.Version == 0 {
		return s, nil
	}
	if err := json.Unmarshal(r.Value, &s); err != nil || s.V != stateVersion {
		return s, fmt.Errorf("core: state of a call is not of version %d", stateVersion)
	}
	return s, nil
}

// About is what calls are found by.
type About struct {
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"`
	Metadata    jsontext.Value `json:"metadata,omitempty"`
}

// maxMetadata is the most bytes of metadata that a call's state holds, because
// the state is written with every event. The log has all of it.
const maxMetadata = 1 << 10

// Add takes in what an event says. Of two values that differ the larger one
// counts, so that every order of arrival comes to the same.
func (a *About) Add(e event.Event) {
	a.AssistantID = max(a.AssistantID, cut256(cmp.Or(e.Call.AssistantID, e.Assistant.ID)))
	a.Assistant = max(a.Assistant, cut256(e.Assistant.Name))
	if m := e.Call.Metadata; m.Kind() == '{' && len(m) <= maxMetadata && !loosejson.IsEmpty(m) && string(m) > string(a.Metadata) {
		a.Metadata = m.Clone()
	}
}

// cut256 leaves out what is no name.
func cut256(s string) string {
	if len(s) > 256 {
		return ""
	}
	return s
}

// OpenRecord is what has to be written so that the sweep finds the call
// exactly as long as there is something to do for it.
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

// Overdue says why the call counts as over at now, or "".
func (s *State) Overdue(now time.Time, reportWait, callLimit time.Duration) event.EndReason {
	quiet := now.Sub(s.LastSeen)
	switch {
	case s.Ended != nil:
		return ""
	case s.Status.Terminal() && quiet >= reportWait:
		return event.EndReasonReportTimeout
	case quiet >= callLimit:
		return event.EndReasonIdleTimeout
	}
	return ""
}
