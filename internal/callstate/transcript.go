package callstate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

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

// A Transcript is a conversation rebuilt from the log. Make one with
// [NewTranscript]. To add an entry takes time for that entry's messages and those
// that it replaces, however long the conversation is.
type Transcript struct {
	Current    []Message // the latest conversation
	count      map[[sha256.Size]byte]int
	delivered  map[[sha256.Size]byte]int     // how many of it one conversation had that ran handlers
	superseded map[[sha256.Size]byte]Message // seen in others, and not part of it
}

// NewTranscript returns the transcript of a call without entries.
func NewTranscript() *Transcript {
	return &Transcript{count: map[[sha256.Size]byte]int{}, delivered: map[[sha256.Size]byte]int{}, superseded: map[[sha256.Size]byte]Message{}}
}

// Apply adds the next entry of the log.
func (v *Transcript) Apply(e Entry) {
	if e.Stale { // it ran no handlers
		for _, m := range readMessages(e.Added) {
			if v.count[m.sum] == 0 {
				v.superseded[m.sum] = m
			}
		}
		return
	}
	keep := min(e.PrefixLen, len(v.Current))
	for _, m := range v.Current[keep:] {
		if v.count[m.sum]--; v.count[m.sum] == 0 {
			v.superseded[m.sum] = m
		}
	}
	v.Current = v.Current[:keep]
	for _, m := range readMessages(e.Added) {
		v.Current = append(v.Current, m)
		v.count[m.sum]++
		v.delivered[m.sum] = max(v.delivered[m.sum], v.count[m.sum])
		delete(v.superseded, m.sum)
	}
}

// Undelivered returns those of the messages behind the first prefix of the
// current conversation that handlers were not given. A text that is said again,
// without an id, is another message.
func (v *Transcript) Undelivered(prefix int, behind []Message) (ms []Message) {
	n := map[[sha256.Size]byte]int{}
	for _, m := range v.Current[:min(prefix, len(v.Current))] {
		n[m.sum]++
	}
	for _, m := range behind {
		if n[m.sum]++; n[m.sum] > v.delivered[m.sum] {
			ms = append(ms, m)
		}
	}
	return ms
}

// Added returns the messages that an entry, the next of the log, gave to
// handlers.
func (v *Transcript) Added(e Entry) []jsontext.Value {
	return RawMessages(v.Undelivered(e.PrefixLen, readMessages(e.Added)))
}

// Superseded returns the messages of other conversations that are not part of the
// latest: cut, or changed. They are in the order in which they were said.
func (v *Transcript) Superseded() []Message {
	return slices.SortedFunc(maps.Values(v.superseded), func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(string(a.raw), string(b.raw)))
	})
}

func readMessages(raw []jsontext.Value) []Message {
	ms := make([]Message, len(raw))
	for i, r := range raw {
		ms[i] = ReadMessage(r)
	}
	return ms
}

// ReadTranscript returns the transcript of a call, rebuilt from its whole log.
func ReadTranscript(ctx context.Context, s records.Store, id event.CallID) (*Transcript, error) {
	entries, err := ReadLog(ctx, s, id)
	if err != nil {
		return nil, err
	}
	v := NewTranscript()
	for _, e := range entries {
		v.Apply(e)
	}
	return v, nil
}
