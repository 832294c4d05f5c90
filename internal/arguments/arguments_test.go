package arguments_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/internal/arguments"
)

var english = arguments.English()

type window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

type clinic struct {
	ID int64 `json:"id,omitzero"`
}

type everything struct {
	clinic
	N       int                 `json:"n,omitzero"`
	U       uint                `json:"u,omitzero"`
	I8      int8                `json:"i8,omitzero"`
	U64     uint64              `json:"u64,omitzero"`
	Big     big.Int             `json:"big,omitzero"`
	F       float64             `json:"f,omitzero"`
	F32     float32             `json:"f32,omitzero"`
	Flag    bool                `json:"flag,omitzero"`
	Phone   string              `json:"phone,omitzero"`
	IDs     []int64             `json:"ids,omitempty"`
	Names   []string            `json:"names,omitempty"`
	Pair    [2]int              `json:"pair,omitzero"`
	At      time.Time           `json:"at,omitzero"`
	Day     time.Time           `json:"day,omitzero" format:"date"`
	Length  time.Duration       `json:"length,omitzero"`
	Window  *window             `json:"window"`
	Windows []window            `json:"windows,omitempty"`
	Prices  map[string]int      `json:"prices,omitempty"`
	Any     any                 `json:"any,omitzero"`
	Raw     jsontext.Value      `json:"raw,omitzero"`
	Addr    netip.Addr          `json:"addr,omitzero"`
	Odd     even                `json:"odd,omitzero"`
	Bytes   []byte              `json:"bytes,omitempty"`
	Service string              `json:"service,omitzero" enum:"cleaning|checkup"`
	Level   int                 `json:"level,omitzero" enum:"1|2|3"`
	Days    []string            `json:"days,omitempty" enum:"mon|tue"`
	Guests  int                 `json:"guests,omitzero" minimum:"1" maximum:"20"`
	AtLeast float64             `json:"atLeast,omitzero" minimum:"0.5"`
	Zip     string              `json:"zip,omitzero" pattern:"^[0-9]{5}$" examples:"94110"`
	Mail    string              `json:"mail,omitzero" format:"email"`
	Maybe   []*int              `json:"maybe,omitempty"`
	Deep    map[string][]window `json:"deep,omitempty"`
}

// even decodes itself.
type even int

func (e *even) UnmarshalJSON(b []byte) error {
	var n int
	if err := json.Unmarshal(b, &n); err != nil || n%2 != 0 {
		return errors.New("odd: " + string(b))
	}
	*e = even(n)
	return nil
}

func shapeOf[T any](t *testing.T) *arguments.Shape {
	t.Helper()
	zone := time.FixedZone("", -7*3600)
	s, err := arguments.Of(reflect.TypeFor[T](), zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(s *arguments.Shape, body, query string) string {
	canonical, err := s.Read(jsontext.Value(body), arguments.ParseQuery(query))
	var p *arguments.Problem
	switch {
	case errors.As(err, &p):
		return p.Sentence(&english)
	case err != nil:
		return err.Error()
	}
	var in everything
	if err := s.Decode(canonical, &in); err != nil {
		return "DOES NOT DECODE: " + err.Error()
	}
	return string(canonical)
}

// The form of other platforms, in which the arguments are inside another object.
func TestWrapped(t *testing.T) {
	type booking struct {
		Name string `json:"name"`
		Call string `json:"call,omitzero"`
		Day  string `json:"day"`
		Note string `json:"note,omitzero"`
	}
	type search struct {
		Name string `json:"name"`
		Day  string `json:"day,omitzero"`
	}
	type lookup struct {
		Day string `json:"day"`
	}
	bookings, searches, lookups := shapeOf[booking](t), shapeOf[search](t), shapeOf[lookup](t)
	for _, c := range []struct {
		situation string
		shape     *arguments.Shape
		body      string
		wrapped   bool
	}{
		{"none of its own", lookups, `{"name":"book","args":{"day":"Monday"},"call":{"id":"1"}}`, true},
		{"none of its own, and others inside", lookups, `{"args":{"x":1}}`, true},
		{"its own name and call are the wrapping's", bookings, `{"name":"book","args":{"name":"Sam","day":"Monday"},"call":{"id":"1"}}`, true},
		{"its own name alone", bookings, `{"name":"book","arguments":{"day":"Monday"}}`, true},
		{"its own call alone", bookings, `{"call":"1","parameters":{"name":"Sam"}}`, true},
		{"inside a string", bookings, `{"name":"book","args":"{\"name\":\"Sam\"}"}`, true},
		{"the required one is null", bookings, `{"name":null,"args":{"day":"Monday"}}`, true},
		{"a name that has nothing inside", bookings, `{"name":"Sam","args":{}}`, false},
		{"a name, and inside are others", bookings, `{"name":"Sam","args":{"x":1}}`, false},
		{"a name, and inside is no object", bookings, `{"name":"Sam","args":["day"]}`, false},
		{"an argument that no wrapping has", bookings, `{"name":"Sam","note":"x","args":{"day":"Monday"}}`, false},
		{"all that is required", bookings, `{"name":"Sam","day":"Monday","args":{"day":"Monday"}}`, false},
		{"all that is required is a name", searches, `{"name":"Sam","args":{"day":"Monday"}}`, false},
	} {
		if _, err := c.shape.Read(jsontext.Value(c.body), nil); errors.Is(err, arguments.ErrWrapped) != c.wrapped {
			t.Errorf("%s: %s: %v", c.situation, c.body, err)
		}
	}
}

// Whatever a tool with a name and a call of its own requires, a call of it in that
// form never reaches it with the name of the tool.
func TestWrappingIsNeverTakenForArguments(t *testing.T) {
	type patient struct {
		Name string `json:"name"`
		Call string `json:"call,omitzero"`
		Day  string `json:"day"`
		Note string `json:"note,omitzero"`
	}
	s := shapeOf[patient](t)
	rapid.Check(t, func(t *rapid.T) {
		inside := []string{`"x":1`}
		for _, name := range []string{"name", "call", "day", "note"} {
			if rapid.Bool().Draw(t, name) {
				inside = append(inside, `"`+name+`":"a"`)
			}
		}
		in := rapid.SampledFrom([]string{"args", "arguments", "parameters"}).Draw(t, "in")
		body := `{"name":"book","` + in + `":{` + strings.Join(inside, ",") + `},"call":{"call_id":"1"}}`
		if _, err := s.Read(jsontext.Value(body), nil); err == nil || len(inside) > 1 && !errors.Is(err, arguments.ErrWrapped) {
			t.Fatalf("%s: %v", body, err)
		}
	})
}

// What is sent in a body, and the result: what the tool receives, or the sentence for the model.
func TestBody(t *testing.T) {
	s := shapeOf[everything](t)
	for _, c := range []struct{ body, want string }{
		// Integers keep all of their digits.
		{`{"n":9007199254740993}`, `{"n":9007199254740993}`},
		{`{"n":"9223372036854775807"}`, `{"n":9223372036854775807}`},
		{`{"n":-9223372036854775808}`, `{"n":-9223372036854775808}`},
		{`{"n":9223372036854775808}`, `The argument "n" must be at most 9223372036854775807.`},
		{`{"u64":18446744073709551615}`, `{"u64":18446744073709551615}`},
		{`{"u64":18446744073709551616}`, `The argument "u64" must be at most 18446744073709551615.`},
		{`{"ids":[1234567890123456789,"1234567890123456788"]}`, `{"ids":[1234567890123456789,1234567890123456788]}`},
		{`{"id":1234567890123456789}`, `{"id":1234567890123456789}`},
		{`{"big":123456789012345678901234567890}`, `{"big":123456789012345678901234567890}`},
		{`{"raw":{"b":9007199254740993,"a":1.50}}`, `{"raw":{"a":1.5,"b":9007199254740993}}`},
		{`{"any":9007199254740993}`, `The argument "any" must have numbers of at most 15 digits; longer ones as text.`},
		{`{"f":9007199254740993}`, `The argument "f" must be a number of at most 15 digits.`},
		{`{"f":1e400}`, `The argument "f" must be a number that is not so large.`},
		{`{"f":1e309}`, `The argument "f" must be a number that is not so large.`},
		{`{"f":-1e309}`, `The argument "f" must be a number that is not so far below zero.`},
		{`{"f":"1e99999999999"}`, `The argument "f" must be a number that is not so large.`},
		{`{"f":1e-400}`, `The argument "f" must be a number that is not so close to zero.`},
		{`{"f":"1e"}`, `The argument "f" must be a number.`},
		{`{"f":"1e5e5"}`, `The argument "f" must be a number.`},
		{`{"f":"-x1e400"}`, `The argument "f" must be a number.`},
		{`{"f32":1e39}`, `The argument "f32" must be a number that is not so large.`},
		{`{"f32":"-3.5e38"}`, `The argument "f32" must be a number that is not so far below zero.`},
		{`{"f32":1e-60}`, `The argument "f32" must be a number that is not so close to zero.`},
		{`{"n":1e400}`, `The argument "n" must be at most 9223372036854775807.`},
		{`{"n":1e-400}`, `The argument "n" must be a whole number.`},
		{`{"i8":1e400}`, `The argument "i8" must be between -128 and 127.`},
		{`{"big":1e400}`, `The argument "big" must be a whole number that is not so large.`},
		{`{"big":-1e400}`, `The argument "big" must be a whole number that is not so far below zero.`},
		{`{"big":"` + strings.Repeat("0", 400) + `5"}`, `The argument "big" must be a whole number without so many zeros.`},
		{`{"atLeast":1e400}`, `The argument "atLeast" must be a number that is not so large.`},
		{`{"atLeast":1e-400}`, `The argument "atLeast" must be at least 0.5.`},
		{`{"f":1e300}`, `The argument "f" must be a number of at most 15 digits.`},
		{`{"f32":16777217}`, `The argument "f32" must be a number of at most 7 digits.`},
		{`{"f":0.10}`, `{"f":0.1}`},
		// One value in several spellings.
		{`{"n":5.0}`, `{"n":5}`},
		{`{"n":5e0}`, `{"n":5}`},
		{`{"n":-0}`, `{"n":0}`},
		{`{"n":1e3}`, `{"n":1000}`},
		{`{"n":5.5}`, `The argument "n" must be a whole number.`},
		{`{"n":"5.5"}`, `The argument "n" must be a whole number.`},
		{`{"n":"5"}`, `{"n":5}`},
		{`{"n":" +05 "}`, `{"n":5}`},
		{`{"n":"5,000"}`, `The argument "n" must be a whole number.`},
		{`{"n":true}`, `The argument "n" must be a whole number.`},
		{`{"n":""}`, `{}`},
		{`{"n":null}`, `{}`},
		{`{"flag":"true"}`, `{"flag":true}`},
		{`{"flag":"No"}`, `{"flag":false}`},
		{`{"flag":1}`, `{"flag":true}`},
		{`{"flag":2}`, `The argument "flag" must be true or false.`},
		{`{"flag":""}`, `{}`},
		{`{"phone":14155550142}`, `{"phone":"14155550142"}`},
		{`{"phone":""}`, `{"phone":""}`},
		{`{"phone":"great \ud83d"}`, "{\"phone\":\"great \uFFFD\"}"},
		{`{"phone":{"a":1}}`, `The argument "phone" must be text.`},
		{`{"phone":"1","phone":"2"}`, `{"phone":"2"}`},
		// Ranges.
		{`{"u":-1}`, `The argument "u" must be at least 0.`},
		{`{"i8":300}`, `The argument "i8" must be between -128 and 127.`},
		{`{"i8":"x"}`, `The argument "i8" must be a whole number between -128 and 127.`},
		{`{"guests":0}`, `The argument "guests" must be between 1 and 20.`},
		{`{"guests":"21"}`, `The argument "guests" must be between 1 and 20.`},
		{`{"atLeast":0.4999}`, `The argument "atLeast" must be at least 0.5.`},
		{`{"atLeast":[]}`, `The argument "atLeast" must be a number of at least 0.5.`},
		// Choices and forms.
		{`{"service":"checkup"}`, `{"service":"checkup"}`},
		{`{"service":"root canal"}`, `The argument "service" must be one of "cleaning", "checkup".`},
		{`{"service":""}`, `{}`},
		{`{"level":"2"}`, `{"level":2}`},
		{`{"level":4}`, `The argument "level" must be one of 1, 2, 3.`},
		{`{"days":["mon","sun"]}`, `The argument "days[1]" must be one of "mon", "tue".`},
		{`{"zip":94110}`, `{"zip":"94110"}`},
		{`{"zip":"9411"}`, `The argument "zip" must be text that matches ^[0-9]{5}$ such as 94110.`},
		{`{"mail":"ana at example"}`, `The argument "mail" must be an email address such as ana@example.com.`},
		// Lists and objects.
		{`{"ids":["1"]}`, `{"ids":[1]}`},
		{`{"ids":"[1,2]"}`, `{"ids":[1,2]}`},
		{`{"ids":[1,"x"]}`, `The argument "ids[1]" must be a whole number.`},
		{`{"ids":[1,null]}`, `The argument "ids[1]" must be a whole number.`},
		{`{"maybe":[1,null]}`, `{"maybe":[1,null]}`},
		{`{"ids":5}`, `The argument "ids" must be a list.`},
		{`{"ids":""}`, `{}`},
		{`{"pair":[1]}`, `The argument "pair" must be a list of 2.`},
		{`{"window":{"from":"2035-07-16"}}`, `The argument "window.to" is missing.`},
		{`{"window":"{\"from\":\"2035-07-16\",\"to\":\"2035-07-17\"}"}`, `{"window":{"from":"2035-07-16T07:00:00Z","to":"2035-07-17T07:00:00Z"}}`},
		{`{"windows":[{"from":"2035-07-16","to":"soon"}]}`, `The argument "windows[0].to" must be a date and a time such as 2035-07-16T09:00:00.`},
		{`{"window":[]}`, `The argument "window.from" is missing.`},
		{`{"prices":{"b":"2","a":1}}`, `{"prices":{"a":1,"b":2}}`},
		{`{"prices":{"canary":"x"}}`, `The argument "prices.*" must be a whole number.`},
		{`{"deep":{"canary":[{"from":"2035-07-16","to":"x"}]}}`, `The argument "deep.*[0].to" must be a date and a time such as 2035-07-16T09:00:00.`},
		// Times and durations.
		{`{"at":"2035-07-16T09:00:00"}`, `{"at":"2035-07-16T16:00:00Z"}`},
		{`{"at":"2035-07-16 09:00"}`, `{"at":"2035-07-16T16:00:00Z"}`},
		{`{"at":"2035-07-16T09:00:00+02:00"}`, `{"at":"2035-07-16T07:00:00Z"}`},
		{`{"at":"2035-07-16"}`, `{"at":"2035-07-16T07:00:00Z"}`},
		{`{"at":"2035-02-30"}`, `The argument "at" must be a date and a time such as 2035-07-16T09:00:00.`},
		{`{"day":"2035-07-16"}`, `{"day":"2035-07-16T07:00:00Z"}`},
		{`{"day":"tomorrow"}`, `The argument "day" must be a date such as 2035-07-16.`},
		{`{"length":1800}`, `{"length":"30m0s"}`},
		{`{"length":"30m"}`, `{"length":"30m0s"}`},
		{`{"length":"PT30M"}`, `{"length":"30m0s"}`},
		{`{"length":"P1DT1H0.5S"}`, `{"length":"25h0m0.5s"}`},
		{`{"length":"P1M"}`, `The argument "length" must be a duration such as PT30M.`},
		{`{"length":"PT"}`, `The argument "length" must be a duration such as PT30M.`},
		// Types that decode themselves.
		{`{"addr":"192.0.2.1"}`, `{"addr":"192.0.2.1"}`},
		{`{"addr":"here"}`, `The argument "addr" must be text of the form that its description gives.`},
		{`{"odd":4}`, `{"odd":4}`},
		{`{"odd":"4"}`, `{"odd":4}`},
		{`{"odd":3}`, `The argument "odd" must be as its description says.`},
		{`{"bytes":"AQI="}`, `{"bytes":"AQI="}`},
		{`{"bytes":"?"}`, `The argument "bytes" must be text in base64.`},
		{`{"any":{"b":[1.0,"x",null,true],"a":{}}}`, `{"any":{"a":{},"b":[1,"x",null,true]}}`},
		// No arguments.
		{``, `{}`}, {`null`, `{}`}, {`[]`, `{}`}, {`""`, `{}`}, {`"{}"`, `{}`}, {`"[]"`, `{}`}, {`"null"`, `{}`}, {` " " `, `{}`},
		{`"{\"n\":1}"`, `{"n":1}`}, {`{"other":1}`, `{}`},
		{`[1]`, `arguments: not an object`}, {`"x"`, `arguments: not an object`}, {`7`, `arguments: not an object`}, {`"\"{}\""`, `arguments: not an object`},
		// Another platform's wrapping.
		{`{"name":"x","args":{"n":1},"call":{}}`, `arguments: inside another object`},
		{`{"arguments":"{\"n\":1}"}`, `arguments: inside another object`},
		{`{"parameters":{"n":1},"f":1}`, `{"f":1}`},
		{`{"name":"x","args":{},"call":{}}`, `{}`},
	} {
		if got := read(s, c.body, ""); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.body, got, c.want)
		}
	}
}

// What is sent in a query.
func TestQuery(t *testing.T) {
	s := shapeOf[everything](t)
	for _, c := range []struct{ query, want string }{
		{"phone=50%", `{"phone":"50%"}`},
		{"n=1&phone=a;b", `{"n":1,"phone":"a;b"}`},
		{"n=1&phone=%zz&%zz=1&&=&x", `{"n":1,"phone":"%zz"}`},
		{"phone=J%FCrgen", "{\"phone\":\"J\uFFFDrgen\"}"},
		{"phone=a+b%2Bc%20d%C3%BC%26%3D", `{"phone":"a b+c dü&="}`},
		{"n=+5", `{"n":5}`}, {"n=", `{}`}, {"n=1&n=2", `{"n":1}`}, {"n=007", `{"n":7}`}, {"n=5.0", `{"n":5}`}, {"n=1e3", `{"n":1000}`},
		{"n=9007199254740993", `{"n":9007199254740993}`}, {"n=x", `The argument "n" must be a whole number.`},
		{"flag=True", `{"flag":true}`}, {"flag=1", `{"flag":true}`}, {"phone=014", `{"phone":"014"}`},
		{"ids=1&ids=2", `{"ids":[1,2]}`}, {"ids[]=1&ids[]=2", `{"ids":[1,2]}`}, {"ids%5B%5D=1", `{"ids":[1]}`}, {"ids[0]=1&ids[1]=2", `{"ids":[1,2]}`},
		{"ids=1,2", `{"ids":[1,2]}`}, {"ids=[1,2]", `{"ids":[1,2]}`}, {"ids=1", `{"ids":[1]}`}, {"ids=1,x", `The argument "ids[1]" must be a whole number.`},
		{"names=", `{}`}, {"names[]=", `{}`}, {"names=a,b", `{"names":["a","b"]}`}, {"names[]=a,b", `{"names":["a,b"]}`}, {"names=a,b&names=c", `{"names":["a,b","c"]}`},
		{`window={"from":"2035-07-16","to":"2035-07-17"}`, `{"window":{"from":"2035-07-16T07:00:00Z","to":"2035-07-17T07:00:00Z"}}`},
		{`window[from]=2035-07-16&window[to]=2035-07-17`, `{"window":{"from":"2035-07-16T07:00:00Z","to":"2035-07-17T07:00:00Z"}}`},
		{`window.from=2035-07-16`, `The argument "window.to" is missing.`},
		{`windows[0][from]=2035-07-16&windows[0][to]=2035-07-17`, `{"windows":[{"from":"2035-07-16T07:00:00Z","to":"2035-07-17T07:00:00Z"}]}`},
		{`prices[a]=1&prices[b]=2`, `{"prices":{"a":1,"b":2}}`},
		{`at=2035-07-16T09:00:00%2B02:00`, `{"at":"2035-07-16T07:00:00Z"}`},
		{"other=1&nn=2", `{}`},
	} {
		for _, body := range []string{"", "{}", "null", "[]"} {
			if got := read(s, body, c.query); got != c.want {
				t.Errorf("%s\ngot  %s\nwant %s", c.query, got, c.want)
			}
		}
	}
	if got := read(s, `{"n":1}`, "n=2&u=3"); got != `{"n":1,"u":3}` {
		t.Errorf("body and query: %s; the body counts", got)
	}
}

// Valid queries are read as net/url reads them.
func FuzzParseQuery(f *testing.F) {
	f.Add("a=1&b=%C3%BC+x&a=2")
	f.Add("%zz=50%&;")
	f.Fuzz(func(t *testing.T, raw string) {
		want, err := url.ParseQuery(raw)
		got := arguments.ParseQuery(raw)
		if err != nil {
			return
		}
		for name := range want {
			if valid := strings.ToValidUTF8(want.Get(name), "\uFFFD"); strings.ToValidUTF8(name, "") == name && got.Get(name) != valid {
				t.Errorf("%q in %q: %q, want %q", name, raw, got.Get(name), valid)
			}
		}
	})
}

// A time arrives in the tool's zone, and a length as it was meant.
func TestDecode(t *testing.T) {
	s := shapeOf[everything](t)
	canonical, err := s.Read(jsontext.Value(`{"at":"2035-07-16T18:00+02:00","length":"PT1.5S","big":"12","id":3}`), nil)
	var in everything
	if err != nil || s.Decode(canonical, &in) != nil {
		t.Fatal(err)
	}
	if got := in.At.Format(time.RFC3339); got != "2035-07-16T09:00:00-07:00" || in.Length != 1500*time.Millisecond || in.Big.String() != "12" || in.ID != 3 {
		t.Errorf("%s, %+v", got, in)
	}
}

// No sentence and no error repeats what was sent, neither a value nor a name of
// the sender's.
func TestNothingIsQuoted(t *testing.T) {
	s := shapeOf[everything](t)
	const canary = "canary4711"
	refused := 0
	for f := range reflect.TypeFor[everything]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		for _, sent := range []string{`"canary4711"`, `["canary4711"]`, `{"canary4711":"canary4711"}`, `{"from":"canary4711"}`, `[{"canary4711":[1]}]`, `4711e4711`, `4711.4711`} {
			_, err := s.Read(jsontext.Value(`{"`+name+`":`+sent+`}`), nil)
			var p *arguments.Problem
			if !errors.As(err, &p) {
				continue
			}
			if refused++; strings.Contains(p.Sentence(&english)+err.Error(), canary) || strings.Contains(p.Sentence(&english), "4711") || !strings.HasPrefix(p.Path, name) {
				t.Errorf("%s %s: %s", name, sent, p.Sentence(&english))
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d were refused", refused)
	}
}
