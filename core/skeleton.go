package core

import (
	"bytes"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"
)

// A span is a value's place in a body.
type span struct{ from, to int }

// of returns the value, nil for an empty span.
func (s span) of(body []byte) []byte {
	if s.from == s.to {
		return nil
	}
	return body[s.from:s.to]
}

// A layout is where in an event's body the parts are that the log keeps apart.
type layout struct {
	messages span // the value of message.messages, or of the older place in message.call
	time     span // the value of message.timestamp
}

// layoutOf finds the parts in one pass. What is not there has an empty span.
func layoutOf(body []byte) layout {
	var l layout
	var older span
	w := walker{jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)), body}
	w.object(func(name string) {
		if name != "message" {
			w.skip()
			return
		}
		w.object(func(name string) {
			switch name {
			case "messages":
				l.messages = w.skip()
			case "timestamp":
				l.time = w.skip()
			case "call":
				w.object(func(name string) {
					if v := w.skip(); name == "messages" {
						older = v
					}
				})
			default:
				w.skip()
			}
		})
	})
	if l.messages == (span{}) || (emptyList(l.messages.of(body)) && !emptyList(older.of(body))) {
		l.messages = older
	}
	return l
}

// A walker goes through a body value by value, and knows where they are.
type walker struct {
	*jsontext.Decoder
	body []byte
}

// object calls f with the name of each member of the object that comes next.
// f reads the member's value. Anything else than an object is skipped.
func (w walker) object(f func(name string)) {
	if w.PeekKind() != '{' {
		w.skip()
		return
	}
	if _, err := w.ReadToken(); err != nil {
		return
	}
	for w.PeekKind() == '"' {
		t, err := w.ReadToken()
		if err != nil {
			return
		}
		f(t.String())
	}
	_, _ = w.ReadToken() // its end, or the fault that the next read meets again
}

// skip passes over the value that comes next and returns its place.
func (w walker) skip() span {
	from := int(w.InputOffset())
	if w.SkipValue() != nil {
		return span{}
	}
	for from < len(w.body) && bytes.IndexByte([]byte(": \t\r\n,"), w.body[from]) >= 0 {
		from++
	}
	return span{from, int(w.InputOffset())}
}

// members calls f with the members of the JSON object v.
func members(v []byte, f func(name string, value jsontext.Value)) {
	w := walker{jsontext.NewDecoder(bytes.NewBuffer(v), jsontext.AllowDuplicateNames(true)), v}
	w.object(func(name string) { f(name, w.skip().of(v)) })
}

func emptyList(v []byte) bool {
	return len(v) < 2 || v[0] != '[' || len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

// newArrival prepares an event for the merge.
func newArrival(id string, body []byte, event Event) arrival {
	l := event.layout
	a := arrival{Event: event, id: id, timestamp: l.time.of(body)}
	sum := sha256.Sum256(body)
	a.fingerprint = shortDigest(sum[:])[:12]
	a.skeleton = body
	if said := l.messages.of(body); !emptyList(said) {
		a.conversation = said
		a.skeleton = splice(body, l.messages, []byte("[]"))
	}
	h := sha256.New()
	h.Write([]byte(event.Type))
	h.Write(withoutTime(a.skeleton))
	a.like = shortDigest(h.Sum(nil))
	return a
}

// withoutTime is the skeleton with its time blanked out.
func withoutTime(skeleton []byte) []byte {
	l := layoutOf(skeleton)
	if l.time == (span{}) {
		return skeleton
	}
	return splice(skeleton, l.time, []byte("0"))
}

// splice returns body with the span replaced.
func splice(body []byte, s span, with []byte) []byte {
	out := make([]byte, 0, len(body)-(s.to-s.from)+len(with))
	out = append(out, body[:s.from]...)
	out = append(out, with...)
	return append(out, body[s.to:]...)
}

// skeletonOf is the body of entry i without its messages.
func skeletonOf(entries []entry, i int) []byte {
	e := entries[i]
	if e.Like < 1 || e.Like > len(entries) {
		return e.Body
	}
	body := entries[e.Like-1].Body
	if l := layoutOf(body); l.time != (span{}) && len(e.Timestamp) > 0 {
		return splice(body, l.time, e.Timestamp)
	}
	return body
}

// rebuild puts the event of entry i together again as it was sent, masked. v
// is the conversation after it.
func rebuild(entries []entry, i int, v *view) jsontext.Value {
	e := entries[i]
	body := skeletonOf(entries, i)
	said := raws(v.now)
	if e.Late {
		said = append(said[:min(e.Keep, len(said)):min(e.Keep, len(said))], e.New...)
	}
	at := layoutOf(body).messages
	if len(said) == 0 || at == (span{}) {
		return body
	}
	var messages []byte
	for _, m := range said {
		messages = append(append(messages, ','), m...)
	}
	messages[0] = '['
	return splice(body, at, append(messages, ']'))
}

// readConversation reads the messages of a list from the byte given on, of
// each what the merge looks at. They share the list's memory.
func readConversation(v jsontext.Value, from int) []spoken {
	// It begins after a message, or after the bracket.
	rest := bytes.TrimLeft(v[max(1, from):], ", \t\r\n")
	var said []spoken
	w := walker{jsontext.NewDecoder(bytes.NewBuffer(rest), jsontext.AllowDuplicateNames(true)), rest}
	for {
		// A list without its brackets is values with commas between them.
		at := w.skip()
		if at == (span{}) {
			return said
		}
		said = append(said, readSpoken(at.of(rest)))
		rest = bytes.TrimLeft(rest[at.to:], ", \t\r\n")
		if len(rest) == 0 || rest[0] == ']' {
			return said
		}
		w.Reset(bytes.NewBuffer(rest), jsontext.AllowDuplicateNames(true))
		w.body = rest
	}
}

// readSpoken reads one message. Anything but an object is one without words.
func readSpoken(raw jsontext.Value) spoken {
	m := spoken{raw: raw}
	var id, role, said string
	members(raw, func(name string, value jsontext.Value) {
		switch name {
		case "messageId":
			id = text(value)
		case "role":
			role = text(value)
		case "text":
			said = text(value)
		case "timestamp":
			if t := readTime(value); !t.IsZero() {
				m.at = t.UnixMilli()
			}
		}
	})
	m.sum = digestOf(id, role, said)
	return m
}
