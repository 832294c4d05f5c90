package loosejson

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Quoted returns s as a JSON string, "" if it is not UTF-8.
func Quoted(s string) jsontext.Value {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // strings that were read from JSON are UTF-8
		return jsontext.Value(`""`)
	}
	return b
}

// Number parses a number. It returns 0 for anything else, and for NaN and
// infinities, which JSON cannot express again.
func Number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// Time reads a time in every form that was observed: ms or s since 1970, as a
// number or as text, or RFC 3339 (docs/events.md#traps). Anything else is the
// zero time, and so is a year after 9999, which JSON cannot express again.
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
	secondsBelow = 1e11                // smaller numbers are s: as ms they would be before 1973-03-03
	lastMilli    = 253_402_300_799_999 // the end of the year 9999
)

// Object returns the members of a JSON object, nil for anything else.
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

// Text returns the text of a JSON string, or the digits of a number as sent, so
// that an id is never rounded. It returns "" for anything else.
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

// First returns the first value that exists and is not null, or nil.
func First(vs ...jsontext.Value) jsontext.Value {
	for _, v := range vs {
		if len(v) > 0 && v.Kind() != 'n' {
			return v
		}
	}
	return nil
}

// IsEmpty reports whether v is one of the values that Interactly sends for what
// it does not know (docs/events.md#traps).
func IsEmpty(v jsontext.Value) bool {
	switch string(v) {
	case "", "null", `""`, "{}", "[]", "0":
		return true
	}
	return false
}
