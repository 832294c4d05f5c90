package loosejson

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// A Span is where a value is in a body: the indexes of its first byte and of
// the byte behind it. The zero Span stands for none.
type Span struct{ From, To int }

// Of returns the value, nil for the zero Span. It shares the body's memory.
func (s Span) Of(body []byte) []byte {
	if s.From == s.To {
		return nil
	}
	return body[s.From:s.To]
}

// A Layout is where an event's body has the parts that the call log stores
// separately.
type Layout struct {
	Messages Span // the value of message.messages, or of the older place in message.call, or of Vapi's in message.artifact
	Time     Span // the value of message.timestamp
}

// LayoutOf finds the parts in one pass over the body. A part that is missing has
// the zero Span.
func LayoutOf(body []byte) Layout {
	var l Layout
	var inCall, inArtifact Span
	w := NewWalker(body)
	w.Object(func(name string) {
		if name != "message" {
			w.Skip()
			return
		}
		w.Object(func(name string) {
			switch name {
			case "messages":
				l.Messages = w.Skip()
			case "timestamp":
				l.Time = w.Skip()
			case "call":
				inCall = w.member("messages")
			case "artifact":
				inArtifact = w.member("messages")
			default:
				w.Skip()
			}
		})
	})
	for _, other := range []Span{inCall, inArtifact} {
		if l.Messages == (Span{}) || (IsEmptyList(l.Messages.Of(body)) && !IsEmptyList(other.Of(body))) {
			l.Messages = other
		}
	}
	return l
}

// member skips the value that comes next and returns the Span of its member.
func (w Walker) member(wanted string) (s Span) {
	w.Object(func(name string) {
		if v := w.Skip(); name == wanted {
			s = v
		}
	})
	return s
}

// A Walker reads a body value by value, and reports where they are.
type Walker struct {
	*jsontext.Decoder
	Body []byte // the whole input of the decoder
}

// NewWalker returns a Walker over a whole body. It accepts repeated names and
// invalid text: what of it is taken is decided when a body is accepted.
func NewWalker(body []byte) Walker {
	return Walker{Decoder: jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), Body: body}
}

// Object calls f with the name of each member of the object that comes next; f
// must read or skip the member's value. Any other value is skipped.
func (w Walker) Object(f func(name string)) {
	if w.PeekKind() != '{' {
		w.Skip()
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
	_, _ = w.ReadToken() // its end, or an error that the next read returns again
}

// Skip skips the value that comes next and returns its Span, the zero Span at
// the end of the input or if it is not valid JSON.
func (w Walker) Skip() Span {
	from := int(w.InputOffset())
	if w.SkipValue() != nil {
		return Span{}
	}
	for from < len(w.Body) && bytes.IndexByte([]byte(": \t\r\n,"), w.Body[from]) >= 0 {
		from++
	}
	return Span{from, int(w.InputOffset())}
}

// Members calls f for each member of the JSON object v, in order; never for any
// other value.
func Members(v []byte, f func(name string, value jsontext.Value)) {
	w := NewWalker(v)
	w.Object(func(name string) { f(name, w.Skip().Of(v)) })
}

// IsEmptyList reports whether v is not a JSON array, or one without elements.
func IsEmptyList(v []byte) bool {
	return len(v) < 2 || v[0] != '[' || len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

// Splice returns a copy of body with the span replaced.
func Splice(body []byte, s Span, with []byte) []byte {
	out := make([]byte, 0, len(body)-(s.To-s.From)+len(with))
	out = append(out, body[:s.From]...)
	out = append(out, with...)
	return append(out, body[s.To:]...)
}
