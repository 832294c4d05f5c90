package arguments

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Read returns the arguments of a request in canonical form: the same bytes for
// the same values, whatever their order, white space and spelling, and different
// ones for different values. The body is an object, an object in a string, or
// nothing; what it leaves out is read from the query. Names that the shape does
// not have are left out.
//
// The error is ErrNotObject, ErrWrapped, or a *Problem.
func (s *Shape) Read(body jsontext.Value, query Query) (jsontext.Value, error) {
	args, err := argumentsOf(body)
	if err != nil {
		return nil, err
	}
	if s.root.isWrapped(args) {
		return nil, ErrWrapped
	}
	query = query.without(s.hidden)
	for _, f := range s.root.fields {
		if _, given := args[f.name]; !given {
			if v := query.of(f); v != nil {
				args[f.name] = v
			}
		}
	}
	r := reader{s.zone}
	canonical, err := r.members(s.root, args, "")
	if err == nil && s.root.custom && r.try(s.root, canonical) != nil {
		return nil, ErrNotObject
	}
	return canonical, err
}

// Decode decodes what Read returned.
func (s *Shape) Decode(canonical jsontext.Value, to any) error {
	return reader{s.zone}.decode(canonical, to)
}

// Only returns the members of a canonical object that have these names.
func Only(canonical jsontext.Value, names []string) jsontext.Value {
	all := members(canonical)
	maps.DeleteFunc(all, func(name string, _ jsontext.Value) bool { return !slices.Contains(names, name) })
	return encode(all)
}

// Without returns the members of a canonical object that do not have these names.
func Without(canonical jsontext.Value, names []string) jsontext.Value {
	all := members(canonical)
	maps.DeleteFunc(all, func(name string, _ jsontext.Value) bool { return slices.Contains(names, name) })
	return encode(all)
}

// argumentsOf returns the arguments of a body, never nil without an error.
func argumentsOf(body jsontext.Value) (map[string]jsontext.Value, error) {
	if body.Kind() == '"' { // a string may contain an object, not another string
		if body = jsontext.Value(textOf(body)); body.Kind() == '"' || !isValid(body) && len(bytes.TrimSpace(body)) > 0 {
			return nil, ErrNotObject
		}
	}
	switch {
	case body.Kind() == '{':
		if args := members(body); args != nil {
			return args, nil
		}
	case len(bytes.TrimSpace(body)) == 0, body.Kind() == 'n', isEmptyList(body):
		return map[string]jsontext.Value{}, nil
	}
	return nil, ErrNotObject
}

// isWrapped reports whether none of the arguments is ours, but an object inside
// one of them has arguments. A wrapping has a name and a call of its own: if they
// are all that is ours, one that is required is missing, and the object inside has
// one that is ours, they are the wrapping's.
func (n *node) isWrapped(args map[string]jsontext.Value) bool {
	if len(n.fields) == 0 {
		return false
	}
	given, missing := false, false
	for _, f := range n.fields {
		if _, is := args[f.name]; is {
			if f.name != "name" && f.name != "call" {
				return false
			}
			given = true
		}
		missing = missing || !f.optional && f.isAbsent(args[f.name])
	}
	for _, name := range []string{"args", "arguments", "parameters"} {
		inner, err := argumentsOf(args[name])
		if err == nil && len(inner) > 0 && (!given || missing && n.hasAny(inner)) {
			return true
		}
	}
	return false
}

// hasAny reports whether one of the arguments is ours.
func (n *node) hasAny(args map[string]jsontext.Value) bool {
	return slices.ContainsFunc(n.fields, func(f field) bool { return args[f.name] != nil })
}

// A reader reads values into canonical form. Its methods return a *Problem.
type reader struct{ zone *time.Location }

// members reads the members of an object by their fields.
func (r reader) members(n *node, args map[string]jsontext.Value, path string) (jsontext.Value, error) {
	known := make(map[string]jsontext.Value, len(n.fields))
	for _, f := range n.fields {
		at := join(path, f.name)
		v := args[f.name]
		if f.isAbsent(v) {
			if !f.optional {
				return nil, missing(at)
			}
			continue
		}
		canonical, err := r.value(f.node, v, at)
		if err != nil {
			return nil, err
		}
		known[f.name] = canonical
	}
	return encode(known), nil
}

// isAbsent reports whether a value means that there is none: null, and empty text
// for what cannot be empty.
func (n *node) isAbsent(v jsontext.Value) bool {
	switch v.Kind() {
	case 0, 'n':
		return true
	case '"':
		free := n.kind == anything || n.kind == text && n.format == "" && n.pattern == nil && len(n.enum) == 0
		return !free && strings.TrimSpace(textOf(v)) == ""
	}
	return false
}

// value reads one value of any type.
func (r reader) value(n *node, v jsontext.Value, path string) (jsontext.Value, error) {
	if v.Kind() == 'n' && n.nullable {
		return jsontext.Value("null"), nil
	}
	canonical, err := r.byKind(n, v, path)
	if err != nil {
		return nil, err
	}
	if n.custom {
		if canonical = r.tried(n, canonical); canonical == nil {
			return nil, wrong(path, n.must)
		}
	}
	if len(n.enum) > 0 && !slices.ContainsFunc(n.enum, func(one jsontext.Value) bool { return bytes.Equal(one, canonical) }) {
		return nil, wrong(path, n.must)
	}
	return canonical, nil
}

func (r reader) byKind(n *node, v jsontext.Value, path string) (jsontext.Value, error) {
	switch n.kind {
	case list:
		return r.list(n, v, path)
	case object, mapping:
		args := members(unwrapped(v, '{'))
		if args == nil && isEmptyList(v) {
			args = map[string]jsontext.Value{}
		}
		switch {
		case args == nil:
			return nil, wrong(path, n.must)
		case n.kind == object:
			return r.members(n, args, path)
		}
		return r.mapping(n, args, path)
	case anything:
		return r.anything(n, v, path)
	case text, integer, number, boolean, moment, period, binary:
	}
	if s, ok := r.scalar(n, v); ok {
		return s, nil
	}
	if d, ok := parseDecimal(strings.TrimSpace(scalarText(v))); (ok || d.digits != "") && (n.kind == integer || n.kind == number) {
		return nil, wrong(path, func(w *Words) string { return n.mustFit(w, d) })
	}
	return nil, wrong(path, n.must)
}

func (r reader) list(n *node, v jsontext.Value, path string) (jsontext.Value, error) {
	items, ok := elements(unwrapped(v, '['))
	if !ok || n.length >= 0 && n.length != len(items) {
		return nil, wrong(path, n.must)
	}
	for i, item := range items {
		var err error
		if items[i], err = r.value(n.elem, item, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return nil, err
		}
	}
	return encodeList(items), nil
}

// mapping reads a map. Its names are the sender's, so the path has none of them.
func (r reader) mapping(n *node, args map[string]jsontext.Value, path string) (jsontext.Value, error) {
	for _, name := range slices.Sorted(maps.Keys(args)) {
		v, err := r.value(n.elem, args[name], path+".*")
		if err != nil {
			return nil, err
		}
		args[name] = v
	}
	return encode(args), nil
}

// tried returns a value that its own type takes: as it is, or with the quotes
// taken off or put around it. It returns nil if there is none.
func (r reader) tried(n *node, v jsontext.Value) jsontext.Value {
	if r.try(n, v) == nil {
		return v
	}
	if n.kind != anything {
		return nil
	}
	other := quoted(string(v))
	if v.Kind() == '"' {
		if other = jsontext.Value(textOf(v)); !isValid(other) {
			return nil
		}
		if other, _ = free(other, true, 0); other == nil {
			return nil
		}
	}
	if r.try(n, other) == nil {
		return other
	}
	return nil
}

// try decodes a value into its own type.
func (r reader) try(n *node, v jsontext.Value) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrNotObject // the type's own method panicked; it may quote the value
		}
	}()
	return r.decode(v, reflect.New(n.typ).Interface())
}

// decode decodes a canonical value.
func (r reader) decode(v jsontext.Value, to any) error {
	return json.Unmarshal(v, to, json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(func(d *jsontext.Decoder, to *time.Time) (err error) {
			v, err := d.ReadValue()
			if err == nil && v.Kind() == '"' {
				*to, err = time.Parse(time.RFC3339Nano, textOf(v))
				*to = to.In(r.zone)
			}
			return err
		}),
		json.UnmarshalFromFunc(func(d *jsontext.Decoder, to *time.Duration) (err error) {
			v, err := d.ReadValue()
			if err == nil && v.Kind() == '"' {
				*to, err = time.ParseDuration(textOf(v))
			}
			return err
		}),
	)))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
