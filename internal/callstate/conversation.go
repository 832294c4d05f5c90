package callstate

import (
	"bytes"
	"cmp"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/fault"
)

// A word is who said something of a call, and when: what decides between two
// events that contradict each other.
type word struct {
	Source   int   `json:"source,omitempty"`   // 0 an event during the call, 1 a backfilled report, 2 one that was sent
	Sent     int64 `json:"time,omitempty"`     // by the sender's clock, ms; when it was received if it does not say
	Received int64 `json:"received,omitempty"` // by our clock, ns
}

func wordOf(a Incoming) word {
	w := word{Sent: a.Time.UnixMilli(), Received: a.Received.UnixNano()}
	switch {
	case a.Type == event.TypeReport && a.Backfilled:
		w.Source = 1
	case a.Type == event.TypeReport:
		w.Source = 2
	}
	if fault.Mutated("report-is-an-update") {
		w.Source = 0
	}
	return w
}

// compare is positive if w counts more than o.
func (w word) compare(o word) int {
	later := cmp.Or(cmp.Compare(w.Sent, o.Sent), cmp.Compare(w.Received, o.Received))
	if fault.Mutated("earlier-word-wins") {
		later = -later
	}
	return cmp.Or(cmp.Compare(w.Source, o.Source), later)
}

// mergeMessages compares the conversation that an event carries with the stored
// one. A report's counts more than any update's. Of two updates the longer one is
// newer, then the one whose last message is later, then the one that was sent
// later, and received later (docs/events.md#conversation-update).
func mergeMessages(c *Change, e *Entry, a Incoming, stored *Transcript) {
	s := &c.State
	if a.conversation == nil {
		e.PrefixLen = s.Messages
		return
	}
	in := readSnapshot(s, a)
	newer := in.isNewer(s)
	switch {
	case newer && in.total > s.Messages && bytes.Equal(in.prefixDigest, s.TranscriptDigest): // it only adds messages
		in.replace(c, e, s.Messages, in.messages[s.Messages-in.skipped:])
	case in.total == s.Messages && bytes.Equal(in.digest, s.TranscriptDigest): // it is the stored one
		e.PrefixLen = s.Messages
		if newer {
			s.LastMessageAt, s.Word = in.lastAt, in.word
		}
	case stored == nil:
		c.NeedsTranscript = true
	default:
		mergeDivergent(c, e, in, stored, newer)
	}
}

// mergeDivergent merges a conversation that differs from the stored one in
// messages that both should have: it is older, or messages were changed.
func mergeDivergent(c *Change, e *Entry, in snapshot, stored *Transcript, newer bool) {
	common := in.skipped
	for common < min(in.total, len(stored.Current)) && in.messages[common-in.skipped].same(stored.Current[common]) {
		common++
	}
	rest := in.messages[common-in.skipped:]
	if newer {
		in.replace(c, e, common, stored.Undelivered(common, rest))
		return
	}
	e.Stale, e.PrefixLen, e.Added = true, common, RawMessages(rest)
}

// A snapshot is the conversation in an event, compared with the stored one.
type snapshot struct {
	word
	raw          jsontext.Value
	skipped      int       // messages that were not parsed: their bytes are those of the stored ones
	messages     []Message // the others
	total        int
	lastAt       int64  // time of the last message, ms
	digest       []byte // chained over all messages
	prefixDigest []byte // over as many messages as are stored; nil if it has fewer
}

func readSnapshot(s *State, a Incoming) snapshot {
	raw := a.conversation
	in := snapshot{word: wordOf(a), raw: raw, lastAt: s.LastMessageAt}
	if n := s.PrefixBytes; n > 0 && n < len(raw) && bytes.Equal(sumOf(raw[:n]), s.PrefixSum) {
		in.skipped, in.messages = s.Messages, readConversation(raw, n)
	} else {
		in.messages = readConversation(raw, 0)
	}
	in.total = in.skipped + len(in.messages)
	if len(in.messages) > 0 {
		in.lastAt = in.messages[len(in.messages)-1].at
	}
	var sum [sha256.Size]byte
	if in.skipped > 0 {
		copy(sum[:], s.TranscriptDigest)
	}
	for i, m := range in.messages {
		if in.skipped+i == s.Messages && s.Messages > 0 {
			in.prefixDigest = bytes.Clone(sum[:])
		}
		sum = m.chain(sum)
	}
	in.digest = sum[:]
	return in
}

// isNewer reports whether the snapshot counts more than the stored conversation.
// The order is total and looks at nothing but the two, so every order of arrival
// leads to the same conversation.
func (in snapshot) isNewer(s *State) bool {
	if fault.Mutated("last-snapshot-wins") || s.Messages == 0 {
		return true
	}
	length := cmp.Or(cmp.Compare(in.total, s.Messages), cmp.Compare(in.lastAt, s.LastMessageAt))
	if in.Source > 0 || s.Word.Source > 0 { // a report may be shorter than the update before it
		length = 0
	}
	return cmp.Or(length, in.compare(s.Word), bytes.Compare(in.digest, s.TranscriptDigest)) > 0
}

// replace makes the snapshot the call's conversation. Its first prefix messages
// are those of the stored one, and undelivered are new to handlers.
func (in snapshot) replace(c *Change, e *Entry, prefix int, undelivered []Message) {
	s := &c.State
	e.PrefixLen, e.Added = prefix, RawMessages(in.messages[prefix-in.skipped:])
	s.Messages, s.TranscriptDigest, s.LastMessageAt, s.Word = in.total, in.digest, in.lastAt, in.word
	s.PrefixBytes = len(bytes.TrimRight(in.raw[:len(in.raw)-1], " \t\r\n"))
	s.PrefixSum = sumOf(in.raw[:s.PrefixBytes])
	if len(undelivered) > 0 {
		c.NewMessages = RawMessages(undelivered)
		c.Effects = append(c.Effects, EffectMessages)
	}
}

// sumOf cuts the digest of the conversation's bytes to 128 bits.
func sumOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:16]
}

// RawMessages returns the JSON of messages as they were sent.
func RawMessages(ms []Message) []jsontext.Value {
	vs := make([]jsontext.Value, len(ms))
	for i, m := range ms {
		vs[i] = m.raw
	}
	return vs
}
