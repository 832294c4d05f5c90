package arguments_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/internal/arguments"
)

// leaves are the types at the ends of a generated shape, and how a value of each
// may be sent.
var leaves = []struct {
	typ  reflect.Type
	draw func(t *rapid.T) (value any, sent string)
}{
	{reflect.TypeFor[int64](), func(t *rapid.T) (any, string) {
		n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1<<53-2, 1<<53+2)).Draw(t, "int")
		return n, spelled(t, strconv.FormatInt(n, 10))
	}},
	{reflect.TypeFor[uint64](), func(t *rapid.T) (any, string) {
		n := rapid.Uint64().Draw(t, "uint")
		return n, spelled(t, strconv.FormatUint(n, 10))
	}},
	{reflect.TypeFor[int8](), func(t *rapid.T) (any, string) {
		n := rapid.Int8().Draw(t, "int8")
		return n, spelled(t, strconv.Itoa(int(n)))
	}},
	{reflect.TypeFor[float64](), func(t *rapid.T) (any, string) {
		f := rapid.Float64Range(-1e6, 1e6).Draw(t, "float")
		return f + 0, spelled(t, strconv.FormatFloat(f, 'g', -1, 64))
	}},
	{reflect.TypeFor[bool](), func(t *rapid.T) (any, string) {
		b := rapid.Bool().Draw(t, "bool")
		return b, fmt.Sprintf(rapid.SampledFrom([]string{"%v", `"%v"`}).Draw(t, "as"), b)
	}},
	{reflect.TypeFor[string](), func(t *rapid.T) (any, string) {
		s := rapid.String().Draw(t, "text")
		quoted, _ := jsontext.AppendQuote(nil, s)
		return s, string(quoted)
	}},
	{reflect.TypeFor[time.Duration](), func(t *rapid.T) (any, string) {
		d := time.Duration(rapid.Int64().Draw(t, "length"))
		return d, `"` + d.String() + `"`
	}},
	{reflect.TypeFor[time.Time](), func(t *rapid.T) (any, string) {
		at := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "at"), 0).In(time.UTC)
		return at, at.In(time.FixedZone("", 900*rapid.IntRange(-40, 40).Draw(t, "zone"))).Format(`"2006-01-02T15:04:05Z07:00"`)
	}},
}

// spelled writes a number in another way.
func spelled(t *rapid.T, s string) string {
	if !strings.ContainsAny(s, ".e") && rapid.Bool().Draw(t, "point") {
		s += ".0"
	}
	if rapid.Bool().Draw(t, "quotes") {
		return `"` + s + `"`
	}
	return s
}

// draw generates a type, a value of it, and JSON that sends the value.
func draw(t *rapid.T, depth int) (reflect.Type, reflect.Value, string) {
	switch n := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case depth == 0 || n < 6:
		leaf := leaves[rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")]
		v, sent := leaf.draw(t)
		return leaf.typ, reflect.ValueOf(v), sent
	case n < 8:
		typ, item, sent := draw(t, depth-1)
		list := reflect.MakeSlice(reflect.SliceOf(typ), 0, 1)
		return list.Type(), reflect.Append(list, item), inString(t, "["+sent+"]")
	default:
		return drawStruct(t, depth-1)
	}
}

func drawStruct(t *rapid.T, depth int) (reflect.Type, reflect.Value, string) {
	var fields []reflect.StructField
	var values []reflect.Value
	var sent []string
	for i := range rapid.IntRange(1, 3).Draw(t, "fields") {
		typ, v, s := draw(t, depth)
		name := "F" + strconv.Itoa(i)
		fields = append(fields, reflect.StructField{Name: name, Type: typ})
		values = append(values, v)
		sent = append(sent, strconv.Quote(name)+":"+s)
	}
	typ := reflect.StructOf(fields)
	v := reflect.New(typ).Elem()
	for i := range values {
		v.Field(i).Set(values[i])
	}
	slices.Reverse(sent) // the order makes no difference
	return typ, v, inString(t, "{"+strings.Join(sent, " , ")+"}")
}

func inString(t *rapid.T, s string) string {
	if !rapid.Bool().Draw(t, "string") {
		return s
	}
	quoted, _ := jsontext.AppendQuote(nil, s)
	return string(quoted)
}

// What a tool receives is what was sent, for every type; and two spellings of it
// are the same request.
func TestReceivedIsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, want, sent := drawStruct(t, 2)
		shape, err := arguments.Of(typ, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := shape.Read(jsontext.Value(sent), nil)
		if err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
		got := reflect.New(typ)
		if err := shape.Decode(canonical, got.Interface()); err != nil {
			t.Fatalf("%s: %v", canonical, err)
		}
		if !reflect.DeepEqual(got.Elem().Interface(), want.Interface()) {
			t.Fatalf("sent %s\ngot  %+v\nwant %+v", sent, got.Elem(), want)
		}
		if again, err := shape.Read(canonical, nil); err != nil || string(again) != string(canonical) {
			t.Fatalf("canonical %s, again %s, %v", canonical, again, err)
		}
	})
}

// Two different numbers are never the same request, in no type that takes both.
func TestNumbersAreNeverMixedUp(t *testing.T) {
	type numbers struct {
		I int64          `json:"i,omitzero"`
		U uint64         `json:"u,omitzero"`
		B big.Int        `json:"b,omitzero"`
		R jsontext.Value `json:"r,omitzero"`
		A any            `json:"a,omitzero"`
		F float64        `json:"f,omitzero"`
	}
	shape := shapeOf[numbers](t)
	literal := rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }),
		rapid.Map(rapid.Int64Range(1<<53-3, 1<<53+3), func(n int64) string { return strconv.FormatInt(n, 10) }),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?`),
	)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"i", "u", "b", "r", "a", "f"}).Draw(t, "name")
		a, b := literal.Draw(t, "a"), literal.Draw(t, "b")
		x, errX := shape.Read(jsontext.Value(`{"`+name+`":`+a+`}`), nil)
		y, errY := shape.Read(jsontext.Value(`{"`+name+`":`+b+`}`), nil)
		if errX != nil || errY != nil {
			return
		}
		p, _ := new(big.Rat).SetString(a)
		q, _ := new(big.Rat).SetString(b)
		if (p.Cmp(q) == 0) != (string(x) == string(y)) {
			t.Fatalf("%s and %s: %s and %s", a, b, x, y)
		}
		var in numbers
		if err := shape.Decode(x, &in); err != nil {
			t.Fatal(err)
		}
		if p.IsInt() && name != "r" {
			got := map[string]string{"i": fmt.Sprint(in.I), "u": fmt.Sprint(in.U), "b": in.B.String(), "f": new(big.Rat).SetFloat64(in.F).Num().String()}[name]
			if f, ok := in.A.(float64); ok {
				got = new(big.Rat).SetFloat64(f).Num().String()
			}
			if got != p.Num().String() {
				t.Fatalf("%s arrives as %s", a, got)
			}
		}
	})
}

// The sentence about a number that a float cannot hold is true of that number.
func TestSentencesAboutNumbersAreTrue(t *testing.T) {
	type floats struct {
		F64 float64 `json:"f64,omitzero"`
		F32 float32 `json:"f32,omitzero"`
	}
	shape := shapeOf[floats](t)
	largest := map[string]*big.Rat{"f64": new(big.Rat).SetFloat64(math.MaxFloat64), "f32": new(big.Rat).SetFloat64(math.MaxFloat32)}
	smallest := map[string]*big.Rat{"f64": new(big.Rat).SetFloat64(math.SmallestNonzeroFloat64), "f32": new(big.Rat).SetFloat64(math.SmallestNonzeroFloat32)}
	digits := map[string]int{"f64": 15, "f32": 7}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"f64", "f32"}).Draw(t, "name")
		sent := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,3})?([eE][+-]?([0-9]{1,2}|3[0-9]{2}|[0-9]{3}))?`).Draw(t, "number")
		_, err := shape.Read(jsontext.Value(`{"`+name+`":"`+sent+`"}`), nil)
		value, _ := new(big.Rat).SetString(sent)
		size := new(big.Rat).Abs(value)
		isTrue := map[string]bool{
			"is not so large":          value.Cmp(largest[name]) > 0,
			"is not so far below zero": value.Sign() < 0 && size.Cmp(largest[name]) > 0,
			"is not so close to zero":  value.Sign() != 0 && size.Cmp(smallest[name]) < 0,
			fmt.Sprintf("a number of at most %d digits", digits[name]): value.IsInt() && len(size.Num().String()) > digits[name],
		}
		for words, is := range isTrue {
			var problem *arguments.Problem
			if errors.As(err, &problem) && strings.HasSuffix(problem.Sentence(&english), words+".") {
				if !is {
					t.Fatalf("%s: %s", sent, problem.Sentence(&english))
				}
				return
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
	})
}

// Whatever comes: an answer, never a panic, and the same in a query as in a body
// for a text.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"n":1}`, `"{\"n\":1}"`, `[[]]`, `{"window":{"from":"2035-07-16"}}`, `{"any":{"a":[1e5]}}`, "{\"phone\":\"\\ud83d\"}", "n=1&ids[0][x]=2&window.from=x&prices[=1"} {
		f.Add(s)
	}
	shape, err := arguments.Of(reflect.TypeFor[everything](), time.UTC)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, q := range []arguments.Query{nil, arguments.ParseQuery(s), arguments.ParseQuery("phone=" + url.QueryEscape(s))} {
			body := jsontext.Value(s)
			if q != nil {
				body = nil
			}
			canonical, err := shape.Read(body, q)
			if err != nil {
				continue
			}
			var in everything
			if err := shape.Decode(canonical, &in); err != nil {
				t.Fatalf("%q: %s: %v", s, canonical, err)
			}
			if again, err := shape.Read(canonical, nil); err != nil || string(again) != string(canonical) {
				t.Fatalf("%q: canonical %s, again %s, %v", s, canonical, again, err)
			}
		}
		canonical, err := shape.Read(nil, arguments.ParseQuery("phone="+url.QueryEscape(s)))
		var in everything
		if err != nil || shape.Decode(canonical, &in) != nil || in.Phone != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q arrives as %q, %v", s, in.Phone, err)
		}
	})
}
