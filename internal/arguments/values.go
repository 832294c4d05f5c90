package arguments

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxAnyDepth is the nesting of a value whose type is any.
const maxAnyDepth = 64

// scalar reads a single value. Text, numbers and booleans are converted to each
// other where nothing is lost.
func (r reader) scalar(n *node, v jsontext.Value) (jsontext.Value, bool) {
	s := scalarText(v)
	if !strings.Contains(`"0tf`, string(v.Kind())) {
		return nil, false
	}
	switch n.kind {
	case text:
		ok := (n.pattern == nil || n.pattern.MatchString(s)) && (n.format == "" || formats[n.format].matches(s))
		return quoted(s), ok
	case integer:
		d, ok := parseDecimal(strings.TrimSpace(s))
		if !ok || !d.isWhole() || !n.isWithin(d) {
			return nil, false
		}
		return jsontext.Value(d.plain()), true
	case number:
		d, ok := parseDecimal(strings.TrimSpace(s))
		if !ok || !d.fits(n.bits) || !n.isWithin(d) {
			return nil, false
		}
		return jsontext.Value(d.String()), true
	case boolean:
		b, ok := parseBool(strings.TrimSpace(s))
		return jsontext.Value(strconv.FormatBool(b)), ok
	case binary:
		b, err := base64.StdEncoding.DecodeString(s)
		return quoted(s), err == nil && base64.StdEncoding.EncodeToString(b) == s && (n.length < 0 || n.length == len(b))
	case moment:
		parse := parseTime
		if n.format == "date" {
			parse = parseDate
		}
		t, ok := parse(strings.TrimSpace(s), r.zone)
		return quoted(t.UTC().Format(time.RFC3339Nano)), ok
	case period:
		d, ok := parseDuration(strings.TrimSpace(s))
		return quoted(d.String()), ok
	case anything, list, object, mapping:
	}
	return nil, false
}

// parseBool reads what models and forms write for a boolean.
func parseBool(s string) (is, ok bool) {
	if d, isNumber := parseDecimal(s); isNumber {
		s = d.String()
	}
	switch strings.ToLower(s) {
	case "true", "t", "yes", "y", "1":
		return true, true
	case "false", "f", "no", "n", "0":
		return false, true
	}
	return false, false
}

// isWithin reports whether a number is within the bounds.
func (n *node) isWithin(d decimal) bool {
	for _, low := range []*decimal{n.min, n.low} {
		if low != nil && d.compare(*low) < 0 {
			return false
		}
	}
	for _, high := range []*decimal{n.max, n.high} {
		if high != nil && d.compare(*high) > 0 {
			return false
		}
	}
	return true
}

// mustFit says what is wrong with a number.
func (n *node) mustFit(d decimal) string {
	low, high := n.low, n.high
	if low == nil {
		low = n.min
	}
	if high == nil {
		high = n.max
	}
	switch {
	case len(n.enum) > 0, n.kind == integer && !d.isWhole():
		return n.must()
	case n.isWithin(d):
		return "must be " + n.kindWords() + n.sizeWords(d)
	case n.low != nil && n.high != nil:
		return "must be between " + n.low.String() + " and " + n.high.String()
	case low != nil && d.compare(*low) < 0:
		return "must be at least " + low.String()
	}
	return "must be at most " + high.String()
}

// sizeWords follows "a number" for one that is within the bounds, if any, and that
// its type cannot hold.
func (n *node) sizeWords(d decimal) string {
	isHuge, isTiny := d.size() >= maxExponent, false
	if n.kind == number {
		f, err := strconv.ParseFloat(d.String(), n.bits)
		isHuge, isTiny = err != nil, f == 0 && d.digits != ""
	}
	switch {
	case isHuge && d.neg:
		return " that is not so far below zero"
	case isHuge:
		return " that is not so large"
	case isTiny:
		return " that is not so close to zero"
	case n.kind == integer:
		return " without so many zeros" // in front of it
	case n.bits == 32:
		return " of at most 7 digits"
	}
	return " of at most 15 digits" // it would be rounded
}

// anything reads a value of no type. If a float64 is to hold its numbers, they
// must not be rounded.
func (r reader) anything(n *node, v jsontext.Value, path string) (jsontext.Value, error) {
	v, must := free(v, n.exact, 0)
	if must != "" {
		return nil, wrong(path, must)
	}
	return v, nil
}

func free(v jsontext.Value, exact bool, depth int) (_ jsontext.Value, must string) {
	if depth > maxAnyDepth {
		return nil, "must not be nested as deeply"
	}
	switch v.Kind() {
	case '{':
		args := members(v)
		for name, one := range args {
			if args[name], must = free(one, exact, depth+1); must != "" {
				return nil, must
			}
		}
		return encode(args), ""
	case '[':
		items, _ := elements(v)
		for i, one := range items {
			if items[i], must = free(one, exact, depth+1); must != "" {
				return nil, must
			}
		}
		return encodeList(items), ""
	case '"':
		return quoted(textOf(v)), ""
	case '0':
		d, ok := parseDecimal(string(v))
		if !ok || !exact && !d.fits(64) {
			return nil, "must have numbers of at most 15 digits; longer ones as text"
		}
		return jsontext.Value(d.String()), ""
	case 't', 'f', 'n':
		return v, ""
	}
	return nil, "must be a value of JSON"
}
