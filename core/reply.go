package core

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// MaxResultBytes is the size of the longest result that is sent; longer ones are
// cut. A model reads it and a voice speaks it: this is about twenty minutes of
// speech. It is below every platform's limit for a response.
const MaxResultBytes = 16 << 10

// cutMark ends a result that was too long.
const cutMark = " [cut]"

// resultText converts what a tool returned to the one line that is sent: strings
// and fmt.Stringers as they are, everything else as JSON, as Interactly requires
// (docs/tools.md#reply). It is "" for nothing.
func resultText(v any) (string, error) {
	r := reflect.ValueOf(v)
	for {
		switch v := v.(type) {
		case string:
			return oneLine(v), nil
		case fmt.Stringer:
			if r.Kind() == reflect.Pointer && r.IsNil() {
				return "", nil
			}
			return oneLine(v.String()), nil
		}
		if r.Kind() != reflect.Pointer || r.IsNil() {
			break
		}
		r = r.Elem()
		v = r.Interface()
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("core: result of type %T cannot be encoded", v)
	}
	switch text := oneLine(string(b)); {
	case text == "null", text == `""`, text == "{}" && r.Kind() == reflect.Struct && r.NumField() == 0:
		return "", nil
	case r.Kind() == reflect.String && b[0] == '"': // of a named type
		var s string
		err := json.Unmarshal(b, &s)
		return oneLine(s), err
	default:
		return text, nil
	}
}

// oneLine returns s as one line of valid UTF-8 of at most MaxResultBytes. A line
// break makes Interactly drop the whole reply (docs/tools.md#reply), so runs of
// white space and control characters become single spaces. Invalid bytes become
// replacement characters.
func oneLine(s string) string {
	var b strings.Builder
	b.Grow(min(len(s), MaxResultBytes))
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		if b.Len() > MaxResultBytes {
			return cut(b.String())
		}
	}
	return b.String()
}

// cut shortens s at the end of a rune and appends the mark.
func cut(s string) string {
	n := MaxResultBytes - len(cutMark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], " ") + cutMark
}
