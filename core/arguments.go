package core

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var errBadArguments = errors.New("core: arguments do not match the tool")

// arguments decodes the arguments of a request: a JSON object, or that object in
// a JSON string (docs/tools.md#arguments). It returns nil for nothing and null.
func arguments(raw jsontext.Value) (map[string]jsontext.Value, error) {
	for range 2 { // a string may contain an object, not another string
		switch raw.Kind() {
		case 0, 'n':
			return nil, nil
		case '{':
			var args map[string]jsontext.Value
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, errBadArguments
			}
			return args, nil
		case '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return nil, errBadArguments
			}
			raw = jsontext.Value(s)
			if len(s) == 0 {
				return nil, nil
			}
			if !raw.IsValid() {
				return nil, errBadArguments
			}
		default:
			return nil, errBadArguments
		}
	}
	return nil, errBadArguments
}

// fromQuery adds arguments of the query that the body does not have, as the types
// of the tool. Requests of all methods may have arguments there; GET and DELETE
// have no other place for them (docs/tools.md#arguments).
func (t *tool) fromQuery(args map[string]jsontext.Value, query url.Values) map[string]jsontext.Value {
	for name, values := range query {
		prop, known := t.properties[name]
		if _, given := args[name]; !known || given {
			continue
		}
		if args == nil {
			args = map[string]jsontext.Value{}
		}
		args[name] = prop.fromText(values)
	}
	return args
}

// fromText converts the values of a query parameter to JSON of the argument's
// type. Text that cannot be converted stays text, for validation to reject.
func (p property) fromText(values []string) jsontext.Value {
	quote := func(s string) jsontext.Value {
		v, err := jsontext.AppendQuote(nil, s)
		if err != nil {
			v, _ = jsontext.AppendQuote(nil, oneLine(s)) // invalid UTF-8
		}
		return v
	}
	one := values[0]
	for _, typ := range p.types {
		switch typ {
		case "integer", "number":
			if _, err := strconv.ParseFloat(one, 64); err == nil && jsontext.Value(one).IsValid() {
				return jsontext.Value(one)
			}
		case "boolean":
			if b, err := strconv.ParseBool(one); err == nil {
				return jsontext.Value(strconv.FormatBool(b))
			}
		case "array":
			if v := jsontext.Value(one); v.Kind() == '[' && v.IsValid() {
				return v
			}
			list := jsontext.Value("[")
			for i, s := range values {
				if i > 0 {
					list = append(list, ',')
				}
				list = append(list, quote(s)...)
			}
			return append(list, ']')
		case "object":
			if v := jsontext.Value(one); v.Kind() == '{' && v.IsValid() {
				return v
			}
		}
	}
	return quote(one)
}

// validate returns the arguments of t in canonical form (RFC 8785), so that order
// and white space make no difference between requests. The sentence of its error
// names the invalid argument, never its value. Arguments that t does not have
// are left out: a sender may add fields of its own.
func (t *tool) validate(args map[string]jsontext.Value) ([]byte, error) {
	known := make(map[string]jsontext.Value, len(t.properties))
	for _, name := range slices.Sorted(maps.Keys(t.properties)) {
		v, ok := args[name]
		required := slices.Contains(t.schema.Required, name)
		switch {
		case !ok && required:
			return nil, Sayf("The argument %q is missing.", name)
		case !ok, v.Kind() == 'n' && !required:
			continue
		}
		var instance any
		if err := json.Unmarshal(v, &instance); err != nil || t.properties[name].resolved.Validate(instance) != nil {
			return nil, Sayf("The argument %q is not of the right kind: it must be %s.", name, t.properties[name].wanted())
		}
		known[name] = v
	}
	return canonical(known)
}

// wanted describes the argument's type for a sentence.
func (p property) wanted() string {
	words := map[string]string{"string": "text", "integer": "a whole number", "number": "a number",
		"boolean": "true or false", "array": "a list", "object": "an object"}
	for _, typ := range p.types {
		if w, ok := words[typ]; ok {
			return w
		}
	}
	return "as described"
}

// keyArguments returns those of the canonical arguments that identify a request.
func (t *tool) keyArguments(canon []byte) ([]byte, error) {
	if len(t.IdempotencyArgs) == 0 {
		return canon, nil
	}
	all, err := t.identifying(canon)
	if err != nil {
		return nil, err
	}
	return canonical(all)
}

// identifying returns the arguments that identify a request, by name.
func (t *tool) identifying(canon []byte) (map[string]jsontext.Value, error) {
	all, err := arguments(canon)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(name string, _ jsontext.Value) bool {
		return len(t.IdempotencyArgs) > 0 && !slices.Contains(t.IdempotencyArgs, name)
	})
	return all, nil
}

// canonical encodes arguments by RFC 8785. Its errors quote none of them.
func canonical(args map[string]jsontext.Value) ([]byte, error) {
	b, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("core: canonical form: %w", errBadArguments)
	}
	v := jsontext.Value(b)
	if err := v.Canonicalize(); err != nil {
		return nil, fmt.Errorf("core: canonical form: %w", errBadArguments)
	}
	return v, nil
}
