package arguments_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/serverurl/serverurl/internal/arguments"
)

type loop struct {
	Next *loop `json:"next"`
}

type embeds struct{ *embeds }

type withTime struct {
	time.Time
	Note string `json:"note"`
}

type hidden struct{ note string }

// What no argument can fill is found at the start, and so is a wrong tag.
func TestOfRefuses(t *testing.T) {
	for _, c := range []struct {
		in   any
		says string
	}{
		{"", "want a struct"},
		{time.Time{}, "want a struct with fields"},
		{struct{ F func() }{}, "func() cannot be an argument"},
		{struct{ C chan int }{}, "chan int cannot be"},
		{struct{ C complex128 }{}, "complex128 cannot be"},
		{struct{ M map[int]string }{}, "the key must be a string"},
		{struct{ M map[string]func() }{}, "func() cannot be"},
		{struct{ E error }{}, "use a struct, or any"},
		{struct{ M *sync.Mutex }{}, "no exported field"},
		{hidden{"x"}, "no exported field"},
		{loop{}, "contains itself"},
		{embeds{}, "embeds itself"},
		{withTime{}, "want a struct with fields"},
		{struct {
			N int `json:"n,string"`
		}{}, `option "string"`},
		{struct {
			T time.Time `json:"t,format:DateOnly"`
		}{}, `option "format:DateOnly"`},
		{struct {
			A int `json:"B"`
			B int
		}{}, `two fields are named "B"`},
		{struct {
			S string `enum:""`
		}{}, `"" is not a value`},
		{struct {
			N int `enum:"1|two"`
		}{}, `enum:"1|two": "two" is not a value of the field: it must be a whole number`},
		{struct {
			S string `enum:"a|b|a"`
		}{}, "there twice"},
		{struct {
			S string `enum:"a|b" examples:"c"`
		}{}, `"c" is not a value of the field: it must be one of "a", "b"`},
		{struct {
			S string `minimum:"1"`
		}{}, "it is for numbers"},
		{struct {
			N int `minimum:"1.5"`
		}{}, "not a whole number"},
		{struct {
			N uint8 `maximum:"300"`
		}{}, "uint8 cannot be as much"},
		{struct {
			N int `minimum:"3" maximum:"2"`
		}{}, "minimum 3 is above maximum 2"},
		{struct {
			S string `pattern:"("`
		}{}, "missing closing"},
		{struct {
			N int `pattern:"x"`
		}{}, "a pattern is for text"},
		{struct {
			S string `format:"phone"`
		}{}, "there are date, date-time, duration, email, uuid"},
		{struct {
			N int `format:"date"`
		}{}, "int has no such format"},
		{struct {
			S string `jsonschema:"enum=a,b"`
		}{}, `enum is a tag of its own, enum:"…"`},
		{struct {
			T time.Time `enum:"2035-07-16"`
		}{}, "it is for text and numbers"},
		{struct {
			D time.Duration `examples:"half an hour"`
		}{}, "must be a duration such as PT30M"},
		{struct {
			S string `jsonschema:""`
		}{}, "is empty"},
		{struct{ S struct{ A int } }{}, ""}, {struct{ A, B *any }{}, ""}, {struct{}{}, ""},
	} {
		_, err := arguments.Of(reflect.TypeOf(c.in), time.UTC)
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%T\ngot  %v\nwant %s", c.in, err, c.says)
		}
	}
}

// What a model is given.
func TestSchema(t *testing.T) {
	type visit struct {
		Service string           `json:"service" jsonschema:"what for" enum:"cleaning|checkup"`
		Day     time.Time        `json:"day" format:"date"`
		Length  time.Duration    `json:"length,omitzero" jsonschema:"how long" examples:"PT45M"`
		At      time.Time        `json:"at"`
		Guests  int              `json:"guests,omitempty" minimum:"1" maximum:"4"`
		Level   int              `json:"level" enum:"1|2"`
		Zip     *string          `json:"zip" pattern:"^[0-9]{5}$" examples:"94110|10001"`
		Days    []string         `json:"days" jsonschema:"which" enum:"mon|tue"`
		Pair    [2]float64       `json:"pair"`
		Window  struct{ A int8 } `json:"window"`
		Prices  map[string]float64
		Any     any
		Bytes   []byte
		N       int64
	}
	const want = `{"type":"object","properties":{` +
		`"service":{"type":"string","description":"what for","enum":["cleaning","checkup"]},` +
		`"day":{"type":"string","description":"a date such as 2035-07-16"},` +
		`"length":{"type":"string","description":"how long (a duration such as PT45M)"},` +
		`"at":{"type":"string","format":"date-time"},` +
		`"guests":{"type":"integer","minimum":1,"maximum":4},` +
		`"level":{"type":"integer","description":"one of 1, 2"},` +
		`"zip":{"type":"string","description":"such as 94110, 10001","pattern":"^[0-9]{5}$"},` +
		`"days":{"type":"array","description":"which","items":{"type":"string","enum":["mon","tue"]}},` +
		`"pair":{"type":"array","description":"a list of 2","items":{"type":"number"}},` +
		`"window":{"type":"object","properties":{"A":{"type":"integer","minimum":-128,"maximum":127}},"required":["A"]},` +
		`"Prices":{"type":"object","description":"an object with any names; each value is a number"},` +
		`"Any":{"type":"string","description":"text, or another value of JSON"},"Bytes":{"type":"string","description":"text in base64"},"N":{"type":"integer"}},` +
		`"required":["service","day","at","level","days","pair","window","Prices","Any","Bytes","N"]}`
	if got := string(shapeOf[visit](t).Schema(false)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(shapeOf[struct{}](t).Schema(false)); got != `{"type":"object","properties":{}}` {
		t.Errorf("no arguments: %s", got)
	}
	if got := string(shapeOf[window](t).Schema(true)); !strings.HasSuffix(got, `"required":["from","to"],"additionalProperties":false}`) {
		t.Errorf("closed: %s", got)
	}
	// A validator of its own reads it.
	var s jsonschema.Schema
	if err := json.Unmarshal(shapeOf[everything](t).Schema(false), &s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(nil); err != nil {
		t.Error(err)
	}
}

// What a model that is strict can be held to.
func TestStrict(t *testing.T) {
	for _, c := range []struct {
		shape *arguments.Shape
		says  string
	}{
		{shapeOf[window](t), ""}, {shapeOf[struct{}](t), ""}, {shapeOf[struct{ A []window }](t), ""},
		{shapeOf[struct{ A *int }](t), `the argument "A" is optional`},
		{shapeOf[struct{ A []struct{ B *int } }](t), `the argument "A[].B" is optional`},
		{shapeOf[struct{ A map[string]int }](t), `the argument "A" is a map`},
	} {
		if err := c.shape.Strict(); (err != nil) != (c.says != "") || err != nil && err.Error() != c.says {
			t.Errorf("got %v, want %s", err, c.says)
		}
	}
}
