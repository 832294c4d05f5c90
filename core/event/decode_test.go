package event

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// atReceipt is when the events of these tests are received.
var atReceipt = time.Date(2026, 7, 14, 16, 30, 0, 0, time.UTC)

func millis(n int64) time.Time { return time.UnixMilli(n).UTC() }

func payload(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/payloads/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decoded(t testing.TB, body []byte) Event {
	t.Helper()
	if !jsontext.Value(body).IsValid() {
		t.Fatal("the body is not valid JSON")
	}
	e, err := Decode(body, atReceipt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// same compares values; JSON without its white space.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if v, ok := got.(jsontext.Value); ok {
		v = v.Clone()
		_ = v.Compact()
		got = string(v)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// The errors for bodies that are not events are constant, so they quote nothing.
func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"array", `[{"message":{"type":"hang"}}]`, errNotObject},
		{"string", `"message"`, errNotObject},
		{"empty", `{}`, errNoMessage},
		{"campaign", `{"event":"call_status","campaign":{"id":"cmp_7b1e42"},"call":{"id":"call_0193"}}`, errNoMessage},
		{"other case of message", `{"Message":{"type":"hang"}}`, errNoMessage},
		{"message below", `{"body":{"message":{"type":"hang"}}}`, errNoMessage},
		{"message is null", `{"message":null}`, errMessageNotObject},
		{"message is text", `{"message":"hang"}`, errMessageNotObject},
		{"message is a list", `{"message":[{"type":"hang"}]}`, errMessageNotObject},
		{"no type", string(payload(t, "without-type")), errNoType},
		{"empty type", `{"message":{"type":""}}`, errNoType},
		{"type is null", `{"message":{"type":null}}`, errNoType},
		{"type is true", `{"message":{"type":true}}`, errNoType},
		{"type is an object", `{"message":{"type":{"type":"hang"}}}`, errNoType},
		{"other case of type", `{"message":{"Type":"hang","TYPE":"hang","typ\u0435":"hang"}}`, errNoType},
		{"type elsewhere", `{"type":"hang","message":{"call":{"type":"hang"}}}`, errNoType},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := Peek([]byte(c.body)); !errors.Is(err, c.want) {
				t.Errorf("Peek: got %v, want %v", err, c.want)
			}
			if _, err := Decode([]byte(c.body), atReceipt); !errors.Is(err, c.want) {
				t.Errorf("Decode: got %v, want %v", err, c.want)
			}
		})
	}
}

func TestPeek(t *testing.T) {
	for _, c := range []struct {
		name, body string
		typ        Type
		call       CallID
	}{
		{"call first", `{"message":{"call":{"metadata":{"id":"no"},"id":"CA1"},"messages":[{"type":"no","id":"no"}],"type":"hang"}}`, TypeHang, "CA1"},
		{"others around", `{"call":{"id":"no"},"type":"no","message":{"type":"hang","call":{"id":"CA1"}},"z":{"message":{"type":"no"}}}`, TypeHang, "CA1"},
		{"escaped names", `{"mess\u0061ge":{"t\u0079pe":"hang","call":{"\u0069d":"CA\u0031"}}}`, TypeHang, "CA1"},
		{"white space", " {\n\"message\" :\t{ \"type\" : \"hang\" , \"call\" : { \"id\" : \"CA1\" } } } ", TypeHang, "CA1"},
		{"large number as id", `{"message":{"type":"hang","call":{"id":9007199254740993}}}`, TypeHang, "9007199254740993"},
		{"other case of id", `{"message":{"type":"hang","call":{"ID":"CA1"}}}`, TypeHang, ""},
		{"other case of call", `{"message":{"type":"hang","Call":{"id":"CA1"}}}`, TypeHang, ""},
		{"call is text", `{"message":{"type":"hang","call":"CA1"}}`, TypeHang, ""},
		{"id is an object", `{"message":{"type":"hang","call":{"id":{"id":"CA1"}}}}`, TypeHang, ""},
		{"no call", `{"message":{"type":"hang"}}`, TypeHang, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ, call, err := Peek([]byte(c.body))
			if err != nil || typ != c.typ || call != c.call {
				t.Errorf("Peek: got %q, %q, %v; want %q, %q", typ, call, err, c.typ, c.call)
			}
			if e := decoded(t, []byte(c.body)); e.Type != c.typ || e.Call.ID != c.call {
				t.Errorf("Decode: got %q, %q; want %q, %q", e.Type, e.Call.ID, c.typ, c.call)
			}
		})
	}
}

// No kind of value makes decoding fail, wherever it is.
func TestAnyKindAnywhere(t *testing.T) {
	odd := []string{`null`, `true`, `-1.5`, `1e300`, `18446744073709551615`, `""`, `"x"`, `"NaN"`, `"9999-12-31T23:59:59-12:00"`,
		`[]`, `["a",1,null,{}]`, `{}`, `{"a":{"b":[]}}`}
	bodies := map[string][]byte{}
	for _, name := range []string{"status-queued", "end-of-call-report", "error-stt", "rest-like"} {
		bodies[name] = payload(t, name)
	}
	for _, r := range traps {
		bodies[r.name] = []byte(`{"message":` + r.message + `}`)
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, typ := places(body)[0], string(decoded(t, body).Type)
			for _, s := range places(body) {
				for _, v := range odd {
					changed := loosejson.Splice(body, s, []byte(v))
					e, err := Decode(changed, atReceipt)
					peekedType, peekedCall, peeked := Peek(changed)
					if err != peeked || e.Type != peekedType || (err == nil && e.Call.ID != peekedCall) {
						t.Fatalf("%s at %d: Decode returns %q, %q, %v; Peek returns %q, %q, %v", v, s.From, e.Type, e.Call.ID, err, peekedType, peekedCall, peeked)
					}
					if err == nil {
						encodable(t, e)
					} else if s != root && string(s.Of(body)) != `"`+typ+`"` {
						t.Errorf("%s instead of %s: %v", v, s.Of(body), err)
					}
				}
			}
		})
	}
}

// encodable checks that a decoded event can be encoded again, unlike one with a
// NaN or a year after 9999.
func encodable(t *testing.T, e Event) {
	t.Helper()
	if _, err := json.Marshal([]any{e.Time, e.Call, e.Assistant, e.Phone, e.Customer, e.Analysis, e.Error, e.Transcript()}); err != nil {
		t.Fatalf("cannot be written again: %v\n%s", err, e.Raw)
	}
	_, _ = e.Call.Duration(), e.Call.EndedBy()
}

// places returns where the values in a body are, the first two of each list. The
// body itself is left out.
func places(body []byte) []loosejson.Span {
	var all []loosejson.Span
	var visit func(s loosejson.Span)
	visit = func(s loosejson.Span) {
		d := jsontext.NewDecoder(bytes.NewBuffer(s.Of(body)))
		w := loosejson.Walker{Decoder: d, Body: s.Of(body)}
		add := func(in loosejson.Span) {
			one := loosejson.Span{From: s.From + in.From, To: s.From + in.To}
			all = append(all, one)
			visit(one)
		}
		switch d.PeekKind() {
		case '{':
			w.Object(func(string) { add(w.Skip()) })
		case '[':
			_, _ = d.ReadToken()
			for n := 0; n < 2 && d.PeekKind() != ']'; n++ {
				add(w.Skip())
			}
		}
	}
	visit(loosejson.Span{From: 0, To: len(body)})
	return all
}

func TestNumbersAndTimes(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{`1784044931823`, millis(1784044931823)},
		{`"1784044931823"`, millis(1784044931823)},
		{`1.784044931823e12`, millis(1784044931823)},
		{`1784044931`, millis(1784044931000)},
		{`1784044931.823`, millis(1784044931823)},
		{`99999999999`, millis(99999999999000)},
		{`100000000000`, millis(100000000000)},
		{`"2026-07-14T16:02:11.823Z"`, millis(1784044931823)},
		{`"2026-07-14T09:02:11.823-07:00"`, millis(1784044931823)},
		{`253402300799999`, millis(253402300799999)},
		{`253402300800000`, time.Time{}},
		{`0`, time.Time{}}, {`-5`, time.Time{}}, {`null`, time.Time{}}, {`""`, time.Time{}}, {`"soon"`, time.Time{}}, {`"NaN"`, time.Time{}},
		{`1e300`, time.Time{}}, {`{}`, time.Time{}}, {`true`, time.Time{}},
		{`"9999-12-31T23:59:59-12:00"`, time.Time{}},
	} {
		if got := loosejson.Time(jsontext.Value(c.text)); !got.Equal(c.want) || got.IsZero() != c.want.IsZero() || got.Location() != time.UTC {
			t.Errorf("time %s: got %v, want %v", c.text, got, c.want)
		}
	}
	for text, want := range map[string]int64{`5`: 5, `"5"`: 5, `5.9`: 5, `-2`: -2, `9007199254740993`: 9007199254740993, `1e300`: 0, `"x"`: 0, `true`: 0, `null`: 0, `[5]`: 0,
		`9223372036854775807`: math.MaxInt64, `9223372036854775808`: 0} {
		var got int64
		if err := json.Unmarshal([]byte(text), &got, lenient); err != nil || got != want {
			t.Errorf("integer %s: got %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]float64{`0.010620000000000001`: 0.010620000000000001, `"1.5"`: 1.5, `"NaN"`: 0, `"inf"`: 0, `1e999`: 0, `false`: 0, `{}`: 0} {
		var got float64
		if err := json.Unmarshal([]byte(text), &got, lenient); err != nil || got != want {
			t.Errorf("number %s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string][]string{`["a","b"]`: {"a", "b"}, `"a"`: {"a"}, `""`: nil, `null`: nil, `{}`: nil, `["a",1,null,{}]`: {"a", "1"}} {
		var got []string
		if err := json.Unmarshal([]byte(text), &got, lenient); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("list %s: got %q, %v; want %q", text, got, err, want)
		}
	}
	same(t, "endless", CallInfo{DurationMS: 1e300}.Duration(), time.Duration(math.MaxInt64))
	same(t, "endless the other way", Cost{Seconds: -1e300}.Duration(), -time.Duration(math.MaxInt64))
}

// Decode leaves the conversation alone; Transcript decodes it.
func TestTranscriptIsDecodedOnDemand(t *testing.T) {
	e := decoded(t, []byte(`{"message":{"type":"conversation-update","call":{"id":"CA1"},"messages": [ {"text":"a"} , 5, null, {"text":"b"} ] }}`))
	same(t, "as it came", string(e.rawMessages), `[ {"text":"a"} , 5, null, {"text":"b"} ]`)
	if &e.rawMessages[0] != &e.Raw[bytes.IndexByte(e.Raw, '[')] {
		t.Error("the messages are a copy")
	}
	same(t, "decoded", e.Transcript(), []Message{{Text: "a"}, {Text: "b"}})
	same(t, "of nothing", len(Event{}.Transcript()), 0)
}

// For any body there is no panic and no error that quotes it, and Peek and Decode
// agree, since an event is accepted by the first and delivered by the second.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/payloads/*.json")
	for _, file := range files {
		f.Add(payload(f, strings.TrimSuffix(filepath.Base(file), ".json")))
	}
	for _, r := range traps {
		f.Add([]byte(`{"message":` + r.message + `}`))
	}
	f.Add([]byte(`{"message":{"type":"x","messages":`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		e, err := Decode(body, atReceipt)
		typ, call, peeked := Peek(body)
		for _, err := range []error{err, peeked} {
			switch err {
			case nil, errNotObject, errNoMessage, errMessageNotObject, errNoType:
			default:
				t.Fatalf("an error of another kind: %v", err)
			}
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		_ = e.Transcript()
		if !jsontext.Value(body).IsValid() {
			return
		}
		if err != peeked || e.Type != typ || (err == nil && e.Call.ID != call) {
			t.Fatalf("Decode returns %q, %q, %v; Peek returns %q, %q, %v", e.Type, e.Call.ID, err, typ, call, peeked)
		}
		if err == nil {
			encodable(t, e)
		}
	})
}

func BenchmarkPeek(b *testing.B) {
	body := payload(b, "end-of-call-report")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Peek(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTranscript(b *testing.B) {
	e := decoded(b, payload(b, "conversation-update"))
	b.SetBytes(int64(len(e.rawMessages)))
	b.ReportAllocs()
	for b.Loop() {
		if len(e.Transcript()) != 4 {
			b.Fatal("messages are missing")
		}
	}
}
