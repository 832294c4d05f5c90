package callstate

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// An Entry is what one event added to a call: its body without the messages,
// and of the messages only new ones. Interactly repeats the conversation with
// each update; stored so, a call of n turns takes O(n), and [Rebuild] can still
// return every event as it was accepted.
type Entry struct {
	V        int        `json:"v"`
	ID       string     `json:"id"` // of the envelope
	Type     event.Type `json:"type"`
	Received time.Time  `json:"received"`

	// Body is the event without its messages. A conversation-update whose body
	// differs from an earlier one only in its time has a Timestamp in its
	// place, and that entry's number in SameBodyAs.
	Body       jsontext.Value `json:"body,omitempty"`
	SameBodyAs int            `json:"like,omitempty"` // from 1; 0 if it has a Body
	Timestamp  jsontext.Value `json:"timestamp,omitempty"`

	// The conversation becomes its first PrefixLen messages and Added. If Stale
	// is set it stays as it is: the event had an older one, which was those.
	PrefixLen int              `json:"keep,omitempty"`
	Added     []jsontext.Value `json:"new,omitempty"`
	Stale     bool             `json:"late,omitempty"`

	EndedBySweep event.EndReason `json:"sweep,omitempty"` // set if no event did: the sweep ended the call

	Backfilled   bool `json:"repaired,omitempty"` // read from Interactly's API, never sent
	RedriveCount int  `json:"replayed,omitempty"` // how often it came back from the dead letters
}

// shortDigest cuts a digest to 96 bits: enough within one call.
func shortDigest(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum[:12]) }

// ReadLog returns the entries of a call in order of arrival.
func ReadLog(ctx context.Context, s records.Store, id event.CallID) ([]Entry, error) {
	var entries []Entry
	dir, after := LogDir(id), ""
	for {
		rs, err := s.Range(ctx, dir, after, 200)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			e, err := readEntry(ctx, s, id, r)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
			_, after, _ = records.SplitKey(r.Key)
		}
		if len(rs) < 200 {
			return entries, nil
		}
	}
}

func readEntry(ctx context.Context, s records.Store, id event.CallID, r records.Record) (Entry, error) {
	var e Entry
	b, err := GetBytes(ctx, s, BlobsDir(id), r.Value)
	if err != nil {
		return e, err
	}
	if json.Unmarshal(b, &e) != nil {
		return e, ErrBadRecord
	}
	return e, nil
}
