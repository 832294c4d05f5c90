package arguments

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// tag reads what the tags of a field add to its type. The tags of a list are
// about its items, except for the description.
func (n *node) tag(tag reflect.StructTag, zone *time.Location) error {
	description, ok := tag.Lookup("jsonschema")
	word, _, equals := strings.Cut(description, "=")
	switch {
	case ok && description == "":
		return errors.New("its jsonschema tag is empty")
	case equals && !strings.ContainsAny(word, " \t"):
		return fmt.Errorf("jsonschema:%q: that tag is the description; %s is a tag of its own, %s:\"…\"", description, word, word)
	}
	n.description = description
	item := n
	for item.kind == list {
		item = item.elem
	}
	for _, t := range []struct {
		key string
		set func(value string) error
	}{
		{"format", item.setFormat}, {"pattern", item.setPattern},
		{"minimum", func(s string) error { return item.setBound(s, &item.low) }},
		{"maximum", func(s string) error { return item.setBound(s, &item.high) }},
		{"enum", func(s string) error { return item.setValues(s, &item.enum, zone) }},
		{"examples", func(s string) error { return item.setValues(s, &item.examples, zone) }},
	} {
		if value, ok := tag.Lookup(t.key); ok {
			if err := t.set(value); err != nil {
				return fmt.Errorf("%s:%q: %w", t.key, value, err)
			}
		}
	}
	if item.low != nil && item.high != nil && item.low.compare(*item.high) > 0 {
		return fmt.Errorf("minimum %v is above maximum %v", item.low, item.high)
	}
	return nil
}

func (n *node) setFormat(s string) error {
	_, known := formats[s]
	switch {
	case !known:
		return fmt.Errorf("not a format; there are %s", strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
	case n.kind != text && (n.kind != moment || s != "date" && s != "date-time"):
		return fmt.Errorf("%v has no such format", n.typ)
	}
	n.format = s
	return nil
}

func (n *node) setPattern(s string) (err error) {
	if n.kind != text {
		return fmt.Errorf("a pattern is for text, and the field is %s", n.kindWords(&english))
	}
	if n.pattern, err = regexp.Compile(s); s == "" {
		return errors.New("it is empty")
	}
	return err
}

func (n *node) setBound(s string, bound **decimal) error {
	d, ok := parseDecimal(s)
	switch {
	case n.kind != integer && n.kind != number:
		return fmt.Errorf("it is for numbers, and the field is %s", n.kindWords(&english))
	case !ok, n.kind == integer && !d.isWhole():
		return fmt.Errorf("not %s", n.kindWords(&english))
	case n.min != nil && d.compare(*n.min) < 0, n.max != nil && d.compare(*n.max) > 0:
		return fmt.Errorf("%v cannot be as much", n.typ)
	}
	*bound = &d
	return nil
}

// setValues reads values that are separated by "|". They must pass as arguments.
func (n *node) setValues(s string, values *[]jsontext.Value, zone *time.Location) error {
	isTime := n.kind == moment || n.kind == period
	switch {
	case n.kind == object, n.kind == mapping:
		return errors.New("it is for single values and lists of them")
	case isTime && values == &n.enum:
		return errors.New("it is for text and numbers")
	}
	var read []jsontext.Value
	for one := range strings.SplitSeq(s, "|") {
		v, err := reader{zone}.value(n, quoted(one), "")
		if one == "" || err != nil {
			return fmt.Errorf("%q is not a value of the field: it must be %s", one, n.must(&english))
		}
		if slices.ContainsFunc(read, func(old jsontext.Value) bool { return string(old) == string(v) }) {
			return fmt.Errorf("%q is there twice", one)
		}
		if isTime {
			v = quoted(one) // as the model is to write it
		}
		read = append(read, v)
	}
	*values = read
	return nil
}
