package arguments

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Hidden is an argument that the model is not shown and cannot give. The tag of
// its field says where it is from: `from:"query=clinic"`.
type Hidden struct {
	Name     string // in JSON
	Source   string // "query"
	Key      string // "clinic"; "" if the source needs none
	Optional bool
	Single   bool // it is one value: neither a list nor an object
	node     *node
}

// Hidden returns the hidden arguments.
func (s *Shape) Hidden() []Hidden { return s.hidden }

// A HiddenError is that a hidden argument has no value that it can take.
type HiddenError struct {
	Hidden
	Reason string // "missing"; never a value
}

// Error returns a constant: names are for the operator, values for nobody.
func (e *HiddenError) Error() string { return "arguments: a hidden argument: " + e.Reason }

// WithHidden adds a value of each hidden argument to what Read returned. value
// returns nil if there is none, and a reason if what there is cannot be believed.
// The error is a *HiddenError.
func (s *Shape) WithHidden(canonical jsontext.Value, value func(h Hidden) (v jsontext.Value, reason string)) (jsontext.Value, error) {
	if len(s.hidden) == 0 {
		return canonical, nil
	}
	all := members(canonical)
	for _, h := range s.hidden {
		v, reason := value(h)
		switch {
		case reason != "":
			return nil, &HiddenError{h, reason}
		case v.Kind() == 0 && h.Optional:
			continue
		case v.Kind() == 0:
			return nil, &HiddenError{h, "missing"}
		}
		v, err := reader{s.zone}.value(h.node, v, h.Name)
		if err != nil {
			return nil, &HiddenError{h, "not valid"}
		}
		all[h.Name] = v
	}
	return encode(all), nil
}

// Text returns a text as the value of an argument, nil for none.
func Text(s string) jsontext.Value {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return quoted(s)
}

// hide takes the hidden fields from those that the model is shown.
func (s *Shape) hide() {
	for _, f := range s.root.fields {
		if f.from != "" {
			source, key, _ := strings.Cut(f.from, "=")
			single := f.kind != list && f.kind != object && f.kind != mapping
			s.hidden = append(s.hidden, Hidden{Name: f.name, Source: source, Key: key, Optional: f.optional, Single: single, node: f.node})
		}
	}
	s.root.fields = slices.DeleteFunc(s.root.fields, func(f field) bool { return f.from != "" })
}

// mayHide returns an error if a field has the tag of a hidden argument where none
// can be.
func (b *builder) mayHide(f reflect.StructField, name string) error {
	switch from, ok := f.Tag.Lookup("from"); {
	case !ok:
		return nil
	case from == "":
		return errors.New("its from tag is empty")
	case len(b.path) > 1:
		return errors.New("it has a from tag, and only fields of the arguments themselves can be hidden")
	case !f.IsExported() || name == "-" || f.Anonymous && name == "":
		return errors.New("it has a from tag, and cannot be filled: it must be exported and have a name in JSON")
	}
	return nil
}

// checkHidden returns an error if hidden fields would never be filled.
func checkHidden(root *node) error {
	if root.custom && slices.ContainsFunc(root.fields, func(f field) bool { return f.from != "" }) {
		return fmt.Errorf("%v decodes itself, so its fields cannot be hidden", root.typ)
	}
	return nil
}

// without returns the query without the parameters of hidden arguments, in any of
// the spellings of an argument.
func (q Query) without(hidden []Hidden) Query {
	if !slices.ContainsFunc(hidden, func(h Hidden) bool { return h.Source == "query" }) {
		return q
	}
	var rest Query
	for _, p := range q {
		name := p.name
		if i := strings.IndexAny(name, "[."); i >= 0 {
			name = name[:i]
		}
		if !slices.ContainsFunc(hidden, func(h Hidden) bool { return h.Source == "query" && (h.Key == name || h.Key == p.name) }) {
			rest = append(rest, p)
		}
	}
	return rest
}

// Values returns all values of a parameter.
func (q Query) Values(name string) (values []string) {
	for _, p := range q {
		if p.name == name {
			values = append(values, p.value)
		}
	}
	return values
}
