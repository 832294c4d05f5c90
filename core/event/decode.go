package event

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// Reasons why a body is not an event. The texts are constant: a decoder's own
// text quotes the payload.
var (
	errNotObject        = errors.New("event: body is not an object")
	errNoMessage        = errors.New("event: body has no message")
	errMessageNotObject = errors.New("event: message is not an object")
	errNoType           = errors.New("event: message has no type")
)

// Peek returns what is needed to accept an event. It reads the body in one pass,
// in whatever order its members are, and builds nothing else. An event may name
// no call: then call is "" without an error (docs/events.md#envelope).
func Peek(body []byte) (t Type, call CallID, err error) {
	w := loosejson.NewWalker(body)
	if w.PeekKind() != '{' {
		return "", "", errNotObject
	}
	err = errNoMessage
	w.Object(func(name string) {
		if name != "message" {
			w.Skip()
			return
		}
		if err = nil; w.PeekKind() != '{' {
			err = errMessageNotObject
		}
		w.Object(func(name string) {
			switch name {
			case "type":
				t = Type(loosejson.Text(w.Skip().Of(body)))
			case "call":
				w.Object(func(name string) {
					if v := w.Skip(); name == "id" {
						call = CallID(loosejson.Text(v.Of(body)))
					}
				})
			default:
				w.Skip()
			}
		})
	})
	if err == nil && t == "" {
		err = errNoType
	}
	return t, call, err
}

// Decode decodes an event, except for its conversation; see [Event.Transcript].
// body must be valid JSON. Decode fails only if the body is not an event; that
// the event names a call is for its caller to check.
func Decode(body []byte, received time.Time) (Event, error) {
	e := Event{Received: received, Time: received, Raw: body}
	l := loosejson.LayoutOf(body)
	e.Layout = l
	slim := body
	if l.Messages != (loosejson.Span{}) {
		e.rawMessages = l.Messages.Of(body)
		slim = loosejson.Splice(body, l.Messages, []byte("[]"))
	}
	var envelope struct {
		Message struct {
			Type      Type         `json:"type"`
			Timestamp time.Time    `json:"timestamp"`
			Status    string       `json:"status"`
			Call      legacyCall   `json:"call"`
			Assistant Assistant    `json:"assistant"`
			Phone     Phone        `json:"phone"`
			Customer  Customer     `json:"customer"`
			Analysis  Analysis     `json:"analysis"`
			Error     *VendorError `json:"error"`
		} `json:"message"`
	}
	bad := json.Unmarshal(slim, &envelope, lenient) != nil
	m := &envelope.Message
	if bad || m.Type == "" {
		_, _, err := Peek(body)
		return e, cmp.Or(err, errNoType)
	}
	e.Type = m.Type
	if !m.Timestamp.IsZero() {
		e.Time = m.Timestamp
	}
	e.Call, e.Assistant, e.Phone, e.Customer, e.Error = m.Call.CallInfo, m.Assistant, m.Phone, m.Customer, m.Error
	if e.Call.AssistantID == "" {
		e.Call.AssistantID = e.Assistant.ID
	}
	if e.Type == TypeError && e.Error == nil {
		e.Error = new(VendorError) // so that handlers of errors need not check
	}
	e.Analysis = m.Analysis.or(m.Call.Analysis)
	telephony := e.Call.PhoneStatus
	if e.Call.DurationMS > 0 { // the assistant was on the call: only a leg can have failed
		telephony = ""
	}
	e.Status = StatusFrom(e.Call.RawStatus, m.Status, telephony)
	return e, nil
}

// legacyCall reads what belongs to the event and may be in the call instead.
type legacyCall struct {
	CallInfo
	Analysis Analysis `json:"analysis"`
}

// lenient accepts every kind of value for every kind of field, and leaves the
// field zero if it cannot convert: no field may fail an event
// (docs/events.md#traps).
var lenient = json.JoinOptions(
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(readString),
		json.UnmarshalFromFunc(readName[CallID]),
		json.UnmarshalFromFunc(readName[Type]),
		json.UnmarshalFromFunc(readFloat),
		json.UnmarshalFromFunc(readInt),
		json.UnmarshalFromFunc(readBool),
		json.UnmarshalFromFunc(readTimestamp),
		json.UnmarshalFromFunc(readStrings),
		json.UnmarshalFromFunc(readInterrupted),
		json.UnmarshalFromFunc(skipMismatched),
	)),
	jsontext.AllowDuplicateNames(true),
)

// scalar reads the next value and returns its text, "" for null, arrays and
// objects. The digits of a number stay as sent, so that an id is never rounded.
func scalar(d *jsontext.Decoder) (string, error) {
	v, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	switch v.Kind() {
	case 't', 'f':
		return string(v), nil
	}
	return loosejson.Text(v), nil
}

func readString(d *jsontext.Decoder, to *string) (err error) {
	*to, err = scalar(d)
	return err
}

// readName reads an id or a type like Peek.
func readName[T ~string](d *jsontext.Decoder, to *T) error {
	v, err := d.ReadValue()
	*to = T(loosejson.Text(v))
	return err
}

func readFloat(d *jsontext.Decoder, to *float64) error {
	s, err := scalar(d)
	*to = loosejson.Number(s)
	return err
}

func readInt(d *jsontext.Decoder, to *int64) error {
	s, err := scalar(d)
	n, bad := strconv.ParseInt(s, 10, 64)
	if bad != nil { // a fraction, or out of range
		n = 0
		if f := loosejson.Number(s); math.Abs(f) < math.MaxInt64 {
			n = int64(f)
		}
	}
	*to = n
	return err
}

func readBool(d *jsontext.Decoder, to *bool) error {
	s, err := scalar(d)
	*to, _ = strconv.ParseBool(s)
	return err
}

func readTimestamp(d *jsontext.Decoder, to *time.Time) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*to = loosejson.Time(v)
	return nil
}

// readStrings reads a list of strings, or a single string as a list of one.
// Elements that are not strings or numbers are left out.
func readStrings(d *jsontext.Decoder, to *[]string) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*to = nil
	if v.Kind() != '[' {
		if s := loosejson.Text(v); s != "" {
			*to = []string{s}
		}
		return nil
	}
	for _, one := range loosejson.List(v) {
		switch one.Kind() {
		case '"', '0':
			*to = append(*to, loosejson.Text(one))
		}
	}
	return nil
}

// skipMismatched skips a value of another kind than its field, and leaves the
// field zero.
func skipMismatched(d *jsontext.Decoder, to any) error {
	want := jsontext.Kind(0)
	switch t := reflect.TypeOf(to).Elem(); t.Kind() {
	case reflect.Pointer:
		return readPointer(d, reflect.ValueOf(to).Elem())
	case reflect.Struct, reflect.Map:
		want = '{'
	case reflect.Slice:
		if t == reflect.TypeFor[jsontext.Value]() {
			return errors.ErrUnsupported
		}
		want = '['
	default:
		return errors.ErrUnsupported
	}
	if d.PeekKind() == want {
		return errors.ErrUnsupported
	}
	return d.SkipValue()
}

// readPointer reads an object into a new value that the field p then points to.
// Null and {} both mean that there is nothing, so p stays nil.
func readPointer(d *jsontext.Decoder, p reflect.Value) error {
	v, err := d.ReadValue()
	if err != nil || v.Kind() != '{' || len(bytes.TrimSpace(v[1:len(v)-1])) == 0 {
		return err
	}
	p.Set(reflect.New(p.Type().Elem()))
	return json.Unmarshal(v, p.Interface(), d.Options())
}
