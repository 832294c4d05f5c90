package callstate

import (
	"bytes"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// NewIncoming prepares an event for the merge.
func NewIncoming(id string, body []byte, event event.Event) Incoming {
	l := event.Layout
	a := Incoming{Event: event, id: id, timestamp: l.Time.Of(body)}
	sum := sha256.Sum256(body)
	a.fingerprint = shortDigest(sum[:])[:12]
	a.body = body
	if said := l.Messages.Of(body); !loosejson.IsEmptyList(said) {
		a.conversation = said
		a.body = loosejson.Splice(body, l.Messages, []byte("[]"))
	}
	h := sha256.New()
	h.Write([]byte(event.Type))
	h.Write(withoutTimestamp(a.body))
	a.bodyDigest = shortDigest(h.Sum(nil))
	return a
}

// withoutTimestamp is the skeleton with its time blanked out.
func withoutTimestamp(skeleton []byte) []byte {
	l := loosejson.LayoutOf(skeleton)
	if l.Time == (loosejson.Span{}) {
		return skeleton
	}
	return loosejson.Splice(skeleton, l.Time, []byte("0"))
}

// bodyOf is the body of entry i without its messages.
func bodyOf(entries []Entry, i int) []byte {
	e := entries[i]
	if e.SameBodyAs < 1 || e.SameBodyAs > len(entries) {
		return e.Body
	}
	body := entries[e.SameBodyAs-1].Body
	if l := loosejson.LayoutOf(body); l.Time != (loosejson.Span{}) && len(e.Timestamp) > 0 {
		return loosejson.Splice(body, l.Time, e.Timestamp)
	}
	return body
}

// Rebuild puts the event of entry i together again as it was sent, masked. v
// is the conversation after it.
func Rebuild(entries []Entry, i int, v *Transcript) jsontext.Value {
	e := entries[i]
	body := bodyOf(entries, i)
	said := RawMessages(v.Current)
	if e.Stale {
		said = append(said[:min(e.PrefixLen, len(said)):min(e.PrefixLen, len(said))], e.Added...)
	}
	at := loosejson.LayoutOf(body).Messages
	if len(said) == 0 || at == (loosejson.Span{}) {
		return body
	}
	var messages []byte
	for _, m := range said {
		messages = append(append(messages, ','), m...)
	}
	messages[0] = '['
	return loosejson.Splice(body, at, append(messages, ']'))
}

// readConversation reads the messages of a list from the byte given on, of
// each what the merge looks at. They share the list's memory.
func readConversation(v jsontext.Value, from int) []Message {
	// It begins after a message, or after the bracket.
	rest := bytes.TrimLeft(v[max(1, from):], ", \t\r\n")
	var said []Message
	w := loosejson.NewWalker(rest)
	for {
		// A list without its brackets is values with commas between them.
		at := w.Skip()
		if at == (loosejson.Span{}) {
			return said
		}
		said = append(said, ReadMessage(at.Of(rest)))
		rest = bytes.TrimLeft(rest[at.To:], ", \t\r\n")
		if len(rest) == 0 || rest[0] == ']' {
			return said
		}
		w.Reset(bytes.NewBuffer(rest), jsontext.AllowDuplicateNames(true))
		w.Body = rest
	}
}

// ReadMessage reads one message. Anything but an object is one without words.
func ReadMessage(raw jsontext.Value) Message {
	m := Message{raw: raw}
	var id, role, said string
	loosejson.Members(raw, func(name string, value jsontext.Value) {
		switch name {
		case "messageId":
			id = loosejson.Text(value)
		case "role":
			role = loosejson.Text(value)
		case "text":
			said = loosejson.Text(value)
		case "timestamp":
			if t := loosejson.Time(value); !t.IsZero() {
				m.at = t.UnixMilli()
			}
		}
	})
	m.sum = digestOf(id, role, said)
	return m
}
