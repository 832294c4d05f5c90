package callstate

import (
	"bytes"
	"cmp"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// NewIncoming prepares an event for [Merge]: it separates the messages from the
// body, and digests both. id is the envelope's. It does not copy body.
func NewIncoming(id string, body []byte, event event.Event) Incoming {
	l := event.Layout
	a := Incoming{Event: event, id: id, timestamp: l.Time.Of(body)}
	sum := sha256.Sum256(body)
	a.fingerprint = shortDigest(sum[:])[:12]
	a.body = body
	if messages := l.Messages.Of(body); !loosejson.IsEmptyList(messages) {
		a.conversation = messages
		a.body = loosejson.Splice(body, l.Messages, []byte("[]"))
	}
	h := sha256.New()
	h.Write([]byte(event.Type))
	h.Write(withoutTimestamp(a.body))
	a.bodyDigest = shortDigest(h.Sum(nil))
	return a
}

// withoutTimestamp returns body with its time replaced by 0, so that bodies that
// differ in nothing else have one digest.
func withoutTimestamp(body []byte) []byte {
	l := loosejson.LayoutOf(body)
	if l.Time == (loosejson.Span{}) {
		return body
	}
	return loosejson.Splice(body, l.Time, []byte("0"))
}

// bodyOf returns the body of entry i without its messages.
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

// Rebuild returns the body of entry i as it was accepted: as sent, secrets
// redacted. v must be the transcript after that entry.
func Rebuild(entries []Entry, i int, v *Transcript) jsontext.Value {
	e := entries[i]
	body := bodyOf(entries, i)
	sent := RawMessages(v.Current)
	if e.Stale {
		n := min(e.PrefixLen, len(sent))
		sent = append(sent[:n:n], e.Added...)
	}
	at := loosejson.LayoutOf(body).Messages
	if len(sent) == 0 || at == (loosejson.Span{}) {
		return body
	}
	var messages []byte
	for _, m := range sent {
		messages = append(append(messages, ','), m...)
	}
	messages[0] = '['
	return loosejson.Splice(body, at, append(messages, ']'))
}

// readConversation reads the messages of a JSON list that begin at or after a
// byte; of each it reads what the merge compares. They share the list's memory.
func readConversation(v jsontext.Value, from int) []Message {
	// from is behind a message, or 0 for the bracket.
	rest := bytes.TrimLeft(v[max(1, from):], ", \t\r\n")
	var messages []Message
	w := loosejson.NewWalker(rest)
	for {
		// The decoder reads a value at a time: it takes no list without brackets.
		at := w.Skip()
		if at == (loosejson.Span{}) {
			return messages
		}
		messages = append(messages, ReadMessage(at.Of(rest)))
		rest = bytes.TrimLeft(rest[at.To:], ", \t\r\n")
		if len(rest) == 0 || rest[0] == ']' {
			return messages
		}
		w.Reset(bytes.NewBuffer(rest), jsontext.AllowDuplicateNames(true))
		w.Body = rest
	}
}

// ReadMessage reads one message of a conversation. Anything but an object reads
// as a message without text.
func ReadMessage(raw jsontext.Value) Message {
	m := Message{raw: raw}
	var id, role, text, vapiText string
	loosejson.Members(raw, func(name string, value jsontext.Value) {
		switch name {
		case "messageId":
			id = loosejson.Text(value)
		case "role":
			role = loosejson.Text(value)
		case "text":
			text = loosejson.Text(value)
		case "message":
			vapiText = loosejson.Text(value)
		case "timestamp", "time":
			if t := loosejson.Time(value); !t.IsZero() {
				m.at = t.UnixMilli()
			}
		}
	})
	m.sum = digestOf(id, role, cmp.Or(text, vapiText))
	return m
}
