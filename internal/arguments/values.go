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

// anything reads a value of no type. If a float64 is to hold its numbers, they
// must not be rounded.
func (r reader) anything(n *node, v jsontext.Value, path string) (jsontext.Value, error) {
	v, problem := free(v, n.exact, 0)
	if problem != nil {
		return nil, &Problem{Path: path, sentence: problem}
	}
	return v, nil
}

// free returns a value in canonical form, or the sentence about what is wrong
// with it.
func free(v jsontext.Value, exact bool, depth int) (_ jsontext.Value, problem func(*Words) string) {
	if depth > maxAnyDepth {
		return nil, tooDeep
	}
	switch v.Kind() {
	case '{':
		args := members(v)
		for name, one := range args {
			if args[name], problem = free(one, exact, depth+1); problem != nil {
				return nil, problem
			}
		}
		return encode(args), nil
	case '[':
		items, _ := elements(v)
		for i, one := range items {
			if items[i], problem = free(one, exact, depth+1); problem != nil {
				return nil, problem
			}
		}
		return encodeList(items), nil
	case '"':
		return quoted(textOf(v)), nil
	case '0':
		d, ok := parseDecimal(string(v))
		if !ok || !exact && !d.fits(64) {
			return nil, longNumber
		}
		return jsontext.Value(d.String()), nil
	}
	return v, nil // true, false or null
}
