package loosejson

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func Quoted(s string) jsontext.Value {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // ids that are no UTF-8 never get here
		return jsontext.Value(`""`)
	}
	return b
}

// Number reads a Number. One that is none, or that no JSON could hold
// again, is 0.
func Number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// Time reads a time in every form that was seen: ms or s since 1970 as a
// number or as text, ISO 8601, or nothing (docs/events.md#traps). A year that
// has more than four digits is nothing too: no JSON could hold it again.
func Time(v jsontext.Value) time.Time {
	s := Text(v)
	if n := Number(s); n > 0 {
		switch {
		case n >= secondsBelow:
			n = math.Round(n)
		default:
			n = math.Round(n * 1000)
		}
		if n > lastMilli {
			return time.Time{}
		}
		return time.UnixMilli(int64(n)).UTC()
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if t = t.UTC(); err != nil || t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

const (
	secondsBelow = 1e11                // a smaller number is s: in ms it would be before 1973-03-03
	lastMilli    = 253_402_300_799_999 // of the year 9999
)

// Object returns the members of a JSON Object, nil for anything else.
func Object(v jsontext.Value) map[string]jsontext.Value {
	var m map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &m) != nil {
		return nil
	}
	return m
}

// List returns the elements of a JSON array, nil for anything else.
func List(v jsontext.Value) []jsontext.Value {
	var l []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &l) != nil {
		return nil
	}
	return l
}

// Text returns the Text of a JSON string or the digits of a number, "" for
// anything else.
func Text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		return s
	case '0':
		return string(v)
	}
	return ""
}

// First returns the First value that is there and not null.
func First(vs ...jsontext.Value) jsontext.Value {
	for _, v := range vs {
		if len(v) > 0 && v.Kind() != 'n' {
			return v
		}
	}
	return nil
}

// IsEmpty is what the sender writes for something that it does not know
// (docs/events.md#traps).
func IsEmpty(v jsontext.Value) bool {
	switch string(v) {
	case "", "null", `""`, "{}", "[]", "0":
		return true
	}
	return false
}
