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

// An Entry is what one event brought: its body without the messages, and of
// the messages only what was new. So a conversation that is repeated with each
// event is stored once, and every event can still be put together again.
type Entry struct {
	V        int        `json:"v"`
	ID       string     `json:"id"` // of the envelope
	Type     event.Type `json:"type"`
	Received time.Time  `json:"received"`

	// Body is the event without its messages. A conversation-update whose body
	// differs from an earlier one only in its time names that entry in Like
	// and keeps the Timestamp.
	Body       jsontext.Value `json:"body,omitempty"`
	SameBodyAs int            `json:"like,omitempty"` // number of the entry, from 1
	Timestamp  jsontext.Value `json:"timestamp,omitempty"`

	// The conversation becomes its first PrefixLen messages and New. Where Late is
	// set it stays as it is: the event was an older snapshot of PrefixLen messages,
	// and New are those of it that were never seen.
	PrefixLen int              `json:"keep,omitempty"`
	Added     []jsontext.Value `json:"new,omitempty"`
	Stale     bool             `json:"late,omitempty"`

	EndedBySweep event.EndReason `json:"sweep,omitempty"` // no event: the sweep ended the call

	Backfilled   bool `json:"repaired,omitempty"` // never sent: the API was asked
	RedriveCount int  `json:"replayed,omitempty"` // how often it came back from the dead letters
}

// A Message is a message of a conversation, as far as the merge looks at it.
type Message struct {
	raw jsontext.Value
	sum [sha256.Size]byte // of id, role and text: two with the same are the same
	at  int64             // ms
}

func (m Message) same(o Message) bool { return m.sum == o.sum }

// chain adds m to the digest of the messages before it.
func (m Message) chain(before [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:], m.sum[:]...))
}

func shortDigest(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum[:12]) }

// A Transcript is a conversation put together from the log.
type Transcript struct {
	Current     []Message // as it stands
	Superseded  []Message // seen once, and not part of it
	undelivered []Message // those of them that only an older snapshot had: no handler was told
}

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

// seen reports whether m was seen before.
func (v *Transcript) seen(m Message) bool { return contains(v.Current, m) || contains(v.Superseded, m) }

// Delivered reports whether the handlers of messages know m.
func (v *Transcript) Delivered(m Message) bool { return v.seen(m) && !contains(v.undelivered, m) }

func contains(ms []Message, m Message) bool {
	for _, o := range ms {
		if o.same(m) {
			return true
		}
	}
	return false
}

// ReadLog yields the entries of a call in order of arrival.
func ReadLog(ctx context.Context, s records.Store, id event.CallID) ([]Entry, error) {
	var entries []Entry
	dir, after := CallDir(id)+"/log", ""
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
	b, err := GetBytes(ctx, s, CallDir(id)+"/blobs", r.Value)
	if err != nil {
		return e, err
	}
	if json.Unmarshal(b, &e) != nil {
		return e, ErrBadRecord
	}
	return e, nil
}

// ReadTranscript puts the conversation of a call together.
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
