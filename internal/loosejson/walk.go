package loosejson

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// A Span is a value's place in a body.
type Span struct{ From, To int }

// Of returns the value, nil for an empty span.
func (s Span) Of(body []byte) []byte {
	if s.From == s.To {
		return nil
	}
	return body[s.From:s.To]
}

// A Layout is where in an event's body the parts are that the log keeps apart.
type Layout struct {
	Messages Span // the value of message.messages, or of the older place in message.call
	Time     Span // the value of message.timestamp
}

// LayoutOf finds the parts in one pass. What is not there has an empty span.
func LayoutOf(body []byte) Layout {
	var l Layout
	var older Span
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
				w.Object(func(name string) {
					if v := w.Skip(); name == "messages" {
						older = v
					}
				})
			default:
				w.Skip()
			}
		})
	})
	if l.Messages == (Span{}) || (IsEmptyList(l.Messages.Of(body)) && !IsEmptyList(older.Of(body))) {
		l.Messages = older
	}
	return l
}

// A Walker goes through a body value by value, and knows where they are.
type Walker struct {
	*jsontext.Decoder
	Body []byte
}

// NewWalker returns a Walker over a whole body. Names may repeat: the masker
// and the validator see to that.
func NewWalker(body []byte) Walker {
	return Walker{Decoder: jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)), Body: body}
}

// Object calls f with the name of each member of the Object that comes next.
// f reads the member's value. Anything else than an Object is skipped.
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
	_, _ = w.ReadToken() // its end, or the fault that the next read meets again
}

// Skip passes over the value that comes next and returns its place.
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

// Members calls f with the Members of the JSON object v.
func Members(v []byte, f func(name string, value jsontext.Value)) {
	w := NewWalker(v)
	w.Object(func(name string) { f(name, w.Skip().Of(v)) })
}

func IsEmptyList(v []byte) bool {
	return len(v) < 2 || v[0] != '[' || len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

// Splice returns body with the span replaced.
func Splice(body []byte, s Span, with []byte) []byte {
	out := make([]byte, 0, len(body)-(s.To-s.From)+len(with))
	out = append(out, body[:s.From]...)
	out = append(out, with...)
	return append(out, body[s.To:]...)
}
