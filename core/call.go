package core

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Where the records of a call are. A Store lists one directory at a time, so
// each thing that is listed has its own:
//
//	calls/ID            the state, small however long the call is
//	calls/ID/log/N      what each event brought, in order of arrival
//	calls/ID/blobs/...  parts of entries that are too large for one record
//	calls/ID/tools/...  the tools that were called, where the call is known
//	open/ID             the call is not done with: for Sweep
//	recent/TIME-ID      all calls, newest first
const (
	callsDir  = "calls"
	openDir   = "open"
	recentDir = "recent"
)

var plainID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Name is an id from outside as a name in a record's key: itself where it is
// plain, else a hash, because ids are opaque and must not shape a key.
func Name(id string) string {
	if plainID.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "~" + hex.EncodeToString(sum[:20])
}

func callKey(id CallID) string { return callsDir + "/" + Name(string(id)) }
func callDir(id CallID) string { return callsDir + "/" + Name(string(id)) }
func openKey(id CallID) string { return openDir + "/" + Name(string(id)) }

// recentKey sorts newer calls before older ones.
func recentKey(id CallID, first time.Time) string {
	return fmt.Sprintf("%s/%013d-%s", recentDir, max(0, 9_999_999_999_999-first.UnixMilli()), Name(string(id)))
}

// callState is the record of a call: what the events say so far, as much as
// the next event needs. Everything else is in the log.
type callState struct {
	V        int       `json:"v"`
	ID       CallID    `json:"id"`
	Status   Status    `json:"status,omitempty"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Entries  int       `json:"entries"`
	Messages int       `json:"messages"` // in the conversation as it stands

	// Digest is over the messages of the conversation, one after the other, and
	// LastSaid the time of the last in ms, so that a snapshot that only adds is
	// known without reading the log. Mostly not even its old messages are read:
	// its first Bytes have the sum Sum.
	Digest   []byte `json:"digest,omitempty"`
	LastSaid int64  `json:"lastSaid,omitempty"`
	Bytes    int    `json:"bytes,omitempty"`
	Sum      []byte `json:"sum,omitempty"`

	// Skeleton is a digest of the last conversation-update without its messages
	// and time, and SkeletonAt the entry that holds it.
	Skeleton   string `json:"skeleton,omitempty"`
	SkeletonAt int    `json:"skeletonAt,omitempty"`

	About about `json:"about,omitzero"`

	Report  *reportState `json:"report,omitempty"`
	Hangs   occurrences  `json:"hangs,omitzero"`
	Errors  occurrences  `json:"errors,omitzero"`
	Ended   *endState    `json:"ended,omitempty"`
	Gone    bool         `json:"gone,omitempty"`    // it was deleted: nothing brings it back
	Emptied bool         `json:"emptied,omitempty"` // retention took what was said and sent
	Asked   int          `json:"asked,omitempty"`   // how often the API was asked for it
	AskedAt time.Time    `json:"askedAt,omitzero"`
	Wanted  time.Time    `json:"wanted,omitzero"`   // since when it is asked for
	Seen    []string     `json:"seen,omitempty"`    // fingerprints of the last events
	Pending []pending    `json:"pending,omitempty"` // merged, handlers not done
}

type reportState struct {
	Entry    int   `json:"entry"`
	Revision int   `json:"revision"`
	Time     int64 `json:"time"` // of the event, ms
}

// endState is when and why the call counts as over.
type endState struct {
	At     time.Time `json:"at"`
	Reason EndReason `json:"reason"`
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

// pending is a change that was merged and whose handlers are not all done.
type pending struct {
	Envelope string   `json:"envelope"`
	Entry    int      `json:"entry"`
	Effects  []effect `json:"effects"`
	Previous Status   `json:"previous,omitempty"`
	Done     []string `json:"done,omitempty"` // handlers that are
}

const stateVersion = 1

func encodeState(s callState) ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("core: state of a call cannot be encoded")
	}
	return b, nil
}

func decodeState(r Record) (callState, error) {
	var s callState
	if r.Version == 0 {
		return s, nil
	}
	if err := json.Unmarshal(r.Value, &s); err != nil || s.V != stateVersion {
		return s, fmt.Errorf("core: state of a call is not of version %d", stateVersion)
	}
	return s, nil
}

// overFor is how long ago the call ended, by its record; 0 while it goes on.
func (p *Processor) overFor(state []byte) time.Duration {
	s, err := decodeState(Record{Value: state, Version: 1})
	if err != nil || s.Ended == nil {
		return 0
	}
	return p.on.Now().Sub(s.Ended.At)
}

// tag stands for a call in logs.
func (p *Processor) tag(id CallID) string {
	if id == "" {
		return ""
	}
	return callTag(p.key[:], id)
}

// about is what calls are found by.
type about struct {
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"`
	Metadata    jsontext.Value `json:"metadata,omitempty"`
}

// maxMetadata is the most bytes of metadata that a call's state holds, because
// the state is written with every event. The log has all of it.
const maxMetadata = 1 << 10

// add takes in what an event says. Of two values that differ the larger one
// counts, so that every order of arrival comes to the same.
func (a *about) add(e Event) {
	a.AssistantID = max(a.AssistantID, cut256(cmp.Or(e.Call.AssistantID, e.Assistant.ID)))
	a.Assistant = max(a.Assistant, cut256(e.Assistant.Name))
	if m := e.Call.Metadata; m.Kind() == '{' && len(m) <= maxMetadata && !emptyValue(m) && string(m) > string(a.Metadata) {
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
