package core

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Why a body is no event. The texts are constant: a decoder's own would quote
// the payload.
var (
	errNoMessage = errors.New("core: body has no message")
	errNoType    = errors.New("core: message has no type")
)

// peek reads of an event what is needed to accept it.
func peek(body []byte) (t EventType, call CallID, err error) {
	found := false
	w := walker{jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)), body}
	w.object(func(name string) {
		if name != "message" {
			w.skip()
			return
		}
		found = w.PeekKind() == '{'
		w.object(func(name string) {
			switch name {
			case "type":
				t = EventType(text(w.skip().of(body)))
			case "call":
				w.object(func(name string) {
					if v := w.skip(); name == "id" {
						call = CallID(text(v.of(body)))
					}
				})
			default:
				w.skip()
			}
		})
	})
	switch {
	case !found:
		return "", "", errNoMessage
	case t == "":
		return "", call, errNoType
	}
	return t, call, nil
}

// decodeEvent decodes an event, all but its conversation. The body was scanned
// before, so it is sound JSON.
func decodeEvent(body []byte, received time.Time) (Event, error) {
	e := Event{Received: received, Time: received, Raw: body}
	l := layoutOf(body)
	slim := body
	if l.messages != (span{}) {
		slim = splice(body, l.messages, []byte("[]"))
	}
	var envelope struct {
		Message *struct {
			Type      string      `json:"type"`
			Timestamp time.Time   `json:"timestamp"`
			Status    string      `json:"status"`
			Call      callWithOld `json:"call"`
			Assistant Assistant   `json:"assistant"`
			Phone     Phone       `json:"phone"`
			Customer  Customer    `json:"customer"`
			Analysis  Analysis    `json:"analysis"`
			Error     *Failure    `json:"error"`
		} `json:"message"`
	}
	if json.Unmarshal(slim, &envelope, lenient) != nil || envelope.Message == nil {
		return e, errNoMessage
	}
	m := envelope.Message
	if m.Type == "" {
		return e, errNoType
	}
	e.Type = EventType(m.Type)
	if !m.Timestamp.IsZero() {
		e.Time = m.Timestamp
	}
	e.Call, e.Assistant, e.Phone, e.Customer, e.Error = m.Call.CallInfo, m.Assistant, m.Phone, m.Customer, m.Error
	if e.Call.AssistantID == "" {
		e.Call.AssistantID = e.Assistant.ID
	}
	e.Analysis = m.Analysis.or(m.Call.Analysis)
	e.Status = statusFrom(e.Call.RawStatus, m.Status, e.Call.PhoneStatus)
	return e, nil
}

// callWithOld reads from a call what belongs to the event as well.
type callWithOld struct {
	CallInfo
	Analysis Analysis `json:"analysis"`
}

// decodeMessages decodes a conversation. What is no object is left out.
func decodeMessages(raw []jsontext.Value) []Message {
	ms := make([]Message, 0, len(raw))
	for _, v := range raw {
		var m Message
		if v.Kind() != '{' || json.Unmarshal(v, &m, lenient) != nil {
			continue
		}
		m.Skipped, m.Older = append(m.Skipped, m.Older...), nil
		for i := range m.Skipped {
			m.Skipped[i].settle()
		}
		ms = append(ms, m)
	}
	return ms
}

// settle brings the two forms of a skipped message together.
func (s *SkippedMessage) settle() {
	if s.Text == "" {
		s.Text = s.OtherText
	}
	if s.ID == "" {
		s.ID = s.OtherID
	}
	s.OtherText, s.OtherID = "", ""
}

// lenient reads every kind of value into every kind of field, or leaves the
// field zero: no field may fail an event (docs/events.md#traps).
var lenient = json.JoinOptions(
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(readString),
		json.UnmarshalFromFunc(readCallID),
		json.UnmarshalFromFunc(readFloat),
		json.UnmarshalFromFunc(readInt),
		json.UnmarshalFromFunc(readBool),
		json.UnmarshalFromFunc(readWhen),
		json.UnmarshalFromFunc(readStrings),
		json.UnmarshalFromFunc(guard),
	)),
	jsontext.AllowDuplicateNames(true),
)

// scalar reads a value of any kind and returns its text, "" for what is no
// scalar.
func scalar(d *jsontext.Decoder) (string, error) {
	v, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	switch v.Kind() {
	case 't', 'f':
		return string(v), nil
	}
	return text(v), nil
}

func readString(d *jsontext.Decoder, to *string) (err error) {
	*to, err = scalar(d)
	return err
}

func readCallID(d *jsontext.Decoder, to *CallID) error {
	s, err := scalar(d)
	*to = CallID(s)
	return err
}

func readFloat(d *jsontext.Decoder, to *float64) error {
	s, err := scalar(d)
	*to, _ = strconv.ParseFloat(s, 64)
	return err
}

func readInt(d *jsontext.Decoder, to *int64) error {
	s, err := scalar(d)
	n, bad := strconv.ParseInt(s, 10, 64)
	if bad != nil {
		f, _ := strconv.ParseFloat(s, 64)
		n = int64(f)
	}
	*to = n
	return err
}

func readBool(d *jsontext.Decoder, to *bool) error {
	s, err := scalar(d)
	*to, _ = strconv.ParseBool(s)
	return err
}

func readWhen(d *jsontext.Decoder, to *time.Time) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*to = readTime(v)
	return nil
}

// readStrings reads a list of strings, or one that stands for itself.
func readStrings(d *jsontext.Decoder, to *[]string) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*to = nil
	if v.Kind() == '[' {
		for _, one := range list(v) {
			*to = append(*to, text(one))
		}
	} else if s := text(v); s != "" {
		*to = []string{s}
	}
	return nil
}

// guard passes over a value that is of another kind than its field, and leaves
// the field zero.
func guard(d *jsontext.Decoder, to any) error {
	want := jsontext.Kind(0)
	switch t := reflect.TypeOf(to).Elem(); t.Kind() {
	case reflect.Struct, reflect.Map:
		want = '{'
	case reflect.Slice:
		if t == reflect.TypeFor[jsontext.Value]() {
			return errors.ErrUnsupported
		}
		want = '['
	case reflect.Pointer:
		want = '{'
		if k := d.PeekKind(); k == 'n' {
			return errors.ErrUnsupported
		}
	default:
		return errors.ErrUnsupported
	}
	if d.PeekKind() == want {
		return errors.ErrUnsupported
	}
	return d.SkipValue()
}

// readTime reads a time in every form that was seen: ms or s since 1970 as a
// number or as text, ISO 8601, or nothing (docs/events.md#traps).
func readTime(v jsontext.Value) time.Time {
	s := text(v)
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case n <= 0 || n > 253_402_300_799_999: // the year 9999
			return time.Time{}
		case n < 1e11:
			return time.UnixMilli(int64(n * 1000)).UTC()
		}
		return time.UnixMilli(int64(n)).UTC()
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
