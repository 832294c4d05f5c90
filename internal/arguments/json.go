package arguments

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient takes what a browser's JSON.parse takes: half an emoji is U+FFFD, and
// of a name that is there twice the last one counts.
var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

func isValid(v jsontext.Value) bool { return v.IsValid(lenient...) }

// textOf returns the text of a JSON string, "" for anything else.
func textOf(v jsontext.Value) string {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), lenient...)
	t, err := d.ReadToken()
	if err != nil || t.Kind() != '"' {
		return ""
	}
	return t.String()
}

// scalarText returns the text of a string, or a number or boolean as sent.
func scalarText(v jsontext.Value) string {
	if v.Kind() == '"' {
		return textOf(v)
	}
	return string(bytes.TrimSpace(v))
}

// quoted returns s as a JSON string.
func quoted(s string) jsontext.Value {
	v, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return jsontext.Value(`""`) // it is valid UTF-8
	}
	return v
}

func base64Of(length int) string { return base64.StdEncoding.EncodeToString(make([]byte, length)) }

// members returns the members of an object, nil for anything else. Of a name
// that is there twice the last one counts.
func members(v jsontext.Value) map[string]jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), lenient...)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	m := map[string]jsontext.Value{}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil
		}
		key := name.String()
		one, err := d.ReadValue()
		if err != nil {
			return nil
		}
		m[key] = one.Clone()
	}
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	return m
}

// elements returns the elements of an array.
func elements(v jsontext.Value) (items []jsontext.Value, ok bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(v), lenient...)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return nil, false
	}
	for d.PeekKind() != ']' {
		one, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		items = append(items, one.Clone())
	}
	return items, true
}

func isEmptyList(v jsontext.Value) bool {
	items, ok := elements(v)
	return ok && len(items) == 0
}

// unwrapped returns the object or array that a string contains, or v.
func unwrapped(v jsontext.Value, kind jsontext.Kind) jsontext.Value {
	if v.Kind() != '"' {
		return v
	}
	if inner := jsontext.Value(textOf(v)); inner.Kind() == kind && isValid(inner) {
		return inner
	}
	return v
}

// encode writes canonical members as an object, sorted by name.
func encode(m map[string]jsontext.Value) jsontext.Value {
	b := jsontext.Value("{")
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quoted(name)...), ':'), m[name]...)
	}
	return append(b, '}')
}

func encodeList(items []jsontext.Value) jsontext.Value {
	return append(append(jsontext.Value("["), bytes.Join(bytesOf(items), []byte(","))...), ']')
}

func bytesOf(vs []jsontext.Value) [][]byte {
	bs := make([][]byte, len(vs))
	for i, v := range vs {
		bs[i] = v
	}
	return bs
}
