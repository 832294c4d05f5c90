package arguments_test

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/internal/arguments"
)

// tagged are types with the tags that go with them.
var tagged = []struct {
	typ  reflect.Type
	tags []string
}{
	{reflect.TypeFor[string](), []string{`enum:"a|b"`, `pattern:"^a$" examples:"a"`, `format:"date"`, `format:"date-time"`, `format:"email"`, `format:"uuid"`, `format:"duration"`, `examples:"x|y"`}},
	{reflect.TypeFor[int](), []string{`enum:"1|2"`, `minimum:"1" maximum:"3"`, `examples:"5"`}},
	{reflect.TypeFor[uint16](), []string{`maximum:"7"`}},
	{reflect.TypeFor[float32](), []string{`enum:"0.5|1"`, `minimum:"-0.5"`}},
	{reflect.TypeFor[bool](), []string{`enum:"true"`, `examples:"true"`}},
	{reflect.TypeFor[time.Time](), []string{`format:"date"`, `examples:"2035-07-16"`}},
	{reflect.TypeFor[time.Duration](), []string{`examples:"PT5M"`}},
	{reflect.TypeFor[any](), nil}, {reflect.TypeFor[jsontext.Value](), nil}, {reflect.TypeFor[json.RawMessage](), nil}, {reflect.TypeFor[big.Int](), nil},
	{reflect.TypeFor[[]byte](), nil}, {reflect.TypeFor[[4]byte](), nil}, {reflect.TypeFor[netip.Addr](), nil}, {reflect.TypeFor[even](), nil},
}

// drawTagged generates a type, and tags that a field of it may have.
func drawTagged(t *rapid.T, depth int) (reflect.Type, string) {
	n := rapid.IntRange(0, 11).Draw(t, "kind")
	if depth == 0 || n < 6 {
		one := tagged[rapid.IntRange(0, len(tagged)-1).Draw(t, "type")]
		if len(one.tags) == 0 {
			return one.typ, ""
		}
		return one.typ, rapid.SampledFrom(append(one.tags, "")).Draw(t, "tags")
	}
	typ, tags := drawTagged(t, depth-1)
	switch n {
	case 6, 7:
		return reflect.SliceOf(typ), tags
	case 8:
		return reflect.ArrayOf(2, typ), tags
	case 9:
		return reflect.MapOf(reflect.TypeFor[string](), typ), ""
	case 10:
		return reflect.PointerTo(typ), tags
	}
	return drawTaggedStruct(t, depth-1), ""
}

func drawTaggedStruct(t *rapid.T, depth int) reflect.Type {
	var fields []reflect.StructField
	for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
		typ, tags := drawTagged(t, depth)
		if rapid.Bool().Draw(t, "described") {
			tags += ` jsonschema:"what it is"`
		}
		if rapid.Bool().Draw(t, "optional") {
			tags += ` json:",omitzero"`
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: typ, Tag: reflect.StructTag(tags)})
	}
	return reflect.StructOf(fields)
}

// The schema of every struct is in the part of JSON Schema that all models take.
func TestSchemaIsPlain(t *testing.T) {
	drawn := 0
	rapid.Check(t, func(t *rapid.T) {
		s, err := arguments.Of(drawTaggedStruct(t, 3), time.UTC)
		if err != nil {
			return // such as an array of bytes with tags
		}
		drawn++
		for _, closed := range []bool{false, true} {
			var v any
			if err := json.Unmarshal(s.Schema(closed), &v); err != nil {
				t.Fatal(err)
			}
			checkPlain(t, v, closed, string(s.Schema(closed)))
		}
	})
	if drawn < 50 {
		t.Errorf("only %d types were taken", drawn)
	}
}

func checkPlain(t *rapid.T, v any, closed bool, all string) {
	s, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is not an object, in %s", v, all)
	}
	typ, _ := s["type"].(string)
	for key, v := range s {
		fine := false
		switch key {
		case "type":
			fine = typ == "string" || typ == "integer" || typ == "number" || typ == "boolean" || typ == "array" || typ == "object"
		case "description":
			text, is := v.(string)
			fine = is && text != ""
		case "enum":
			fine = typ == "string"
			for _, one := range v.([]any) {
				_, is := one.(string)
				fine = fine && is
			}
		case "format":
			fine = typ == "string" && v == "date-time"
		case "pattern":
			fine = typ == "string"
		case "minimum", "maximum":
			_, is := v.(float64)
			fine = is && (typ == "integer" || typ == "number")
		case "items":
			fine = typ == "array"
			checkPlain(t, v, closed, all)
		case "properties":
			fine = typ == "object"
			for _, one := range v.(map[string]any) {
				checkPlain(t, one, closed, all)
			}
		case "required":
			fine = typ == "object"
			for _, one := range v.([]any) {
				fine = fine && s["properties"].(map[string]any)[one.(string)] != nil
			}
		case "additionalProperties":
			fine = closed && v == false
		}
		if !fine {
			t.Fatalf("%s: %v, in %s", key, v, all)
		}
	}
	if typ == "array" && s["items"] == nil {
		t.Fatalf("a list of nothing, in %s", all)
	}
}
