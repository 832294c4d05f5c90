package callstate

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
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
	// is set it stays as it is: the event had an older conversation of PrefixLen
	// messages, and Added are those of them that were never seen.
	PrefixLen int              `json:"keep,omitempty"`
	Added     []jsontext.Value `json:"new,omitempty"`
	Stale     bool             `json:"late,omitempty"`

	EndedBySweep event.EndReason `json:"sweep,omitempty"` // set if no event did: the sweep ended the call

	Backfilled   bool `json:"repaired,omitempty"` // read from Interactly's API, never sent
	RedriveCount int  `json:"replayed,omitempty"` // how often it came back from the dead letters
}

// A Message is what the merge compares of a message in a conversation.
type Message struct {
	raw jsontext.Value
	sum [sha256.Size]byte // of id, role and text: messages with one sum are equal
	at  int64             // when it was said, in ms since 1970; 0 if unknown
}

func (m Message) same(o Message) bool { return m.sum == o.sum }

// chain returns the digest of a conversation that ends in m, given the digest
// of the messages before it.
func (m Message) chain(before [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:], m.sum[:]...))
}

// shortDigest cuts a digest to 96 bits: enough within one call.
func shortDigest(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum[:12]) }

// A Transcript is a conversation rebuilt from the log. The zero Transcript is
// that of a call without entries.
type Transcript struct {
	Current     []Message // the latest conversation
	Superseded  []Message // seen in others, and not part of it
	undelivered []Message // those that came with a stale event only, which runs no handlers
}

// Apply adds the next entry of the log.
func (v *Transcript) Apply(e Entry) {
	added := make([]Message, 0, len(e.Added))
	for _, raw := range e.Added {
		added = append(added, ReadMessage(raw))
	}
	if e.Stale {
		v.Superseded = append(v.Superseded, added...)
		v.undelivered = append(v.undelivered, added...)
		return
	}
	keep := min(e.PrefixLen, len(v.Current))
	for _, old := range v.Current[keep:] {
		if !contains(added, old) {
			v.Superseded = append(v.Superseded, old)
		}
	}
	v.Current = append(v.Current[:keep:keep], added...)
	v.Superseded = slices.DeleteFunc(v.Superseded, func(m Message) bool { return contains(v.Current, m) })
	v.undelivered = slices.DeleteFunc(v.undelivered, func(m Message) bool { return contains(v.Current, m) })
}

// seen reports whether m was part of any conversation of the call.
func (v *Transcript) seen(m Message) bool { return contains(v.Current, m) || contains(v.Superseded, m) }

// Delivered reports whether handlers of messages have been given m.
func (v *Transcript) Delivered(m Message) bool { return v.seen(m) && !contains(v.undelivered, m) }

func contains(ms []Message, m Message) bool {
	for _, o := range ms {
		if o.same(m) {
			return true
		}
	}
	return false
}

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

// ReadTranscript returns the transcript of a call, rebuilt from its whole log.
func ReadTranscript(ctx context.Context, s records.Store, id event.CallID) (*Transcript, error) {
	entries, err := ReadLog(ctx, s, id)
	if err != nil {
		return nil, err
	}
	v := new(Transcript)
	for _, e := range entries {
		v.Apply(e)
	}
	return v, nil
}
