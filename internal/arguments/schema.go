package arguments

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Schema returns the JSON Schema of the arguments, in the plain form that every
// model takes: each part has one type, and of the keywords only those of schema.
// Gemini refuses a type that is a list, enums of numbers, additionalProperties, and
// every format of text but date-time; OpenAI refuses examples and contentEncoding where
// it is strict. What these would say, the descriptions say. closed adds
// additionalProperties: false, which OpenAI wants there.
func (s *Shape) Schema(closed bool) jsontext.Value {
	b, err := json.Marshal(s.root.schema(closed))
	if err != nil {
		panic("arguments: schema encoding failed")
	}
	return b
}

// A schema is a part of a JSON Schema, with its members in this order.
type schema struct {
	Type        string           `json:"type"`
	Description string           `json:"description,omitzero"`
	Enum        []jsontext.Value `json:"enum,omitempty"` // of strings
	Minimum     jsontext.Value   `json:"minimum,omitzero"`
	Maximum     jsontext.Value   `json:"maximum,omitzero"`
	Pattern     string           `json:"pattern,omitzero"`
	Format      string           `json:"format,omitzero"` // date-time
	Items       *schema          `json:"items,omitzero"`
	Properties  properties       `json:"properties,omitzero"`
	Required    []string         `json:"required,omitempty"`
	Additional  *bool            `json:"additionalProperties,omitzero"` // false
}

// properties are those of a struct, in the order of its fields.
type properties []property

type property struct {
	name   string
	schema *schema
}

// MarshalJSONTo writes an object.
func (ps properties) MarshalJSONTo(e *jsontext.Encoder) error {
	if err := e.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, p := range ps {
		if err := e.WriteToken(jsontext.String(p.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(e, p.schema); err != nil {
			return err
		}
	}
	return e.WriteToken(jsontext.EndObject)
}

var typeNames = [...]string{anything: "string", text: "string", integer: "integer", number: "number", boolean: "boolean",
	list: "array", object: "object", mapping: "object", moment: "string", period: "string", binary: "string"}

func (n *node) schema(closed bool) *schema {
	s := &schema{Type: typeNames[n.kind], Description: n.described()}
	if n.kind == text {
		s.Enum = n.enum
	}
	if n.low != nil {
		s.Minimum = jsontext.Value(n.low.String())
	}
	if n.high != nil {
		s.Maximum = jsontext.Value(n.high.String())
	}
	if n.pattern != nil {
		s.Pattern = n.pattern.String()
	}
	if n.format == "date-time" {
		s.Format = n.format
	}
	switch n.kind {
	case list:
		s.Items = n.elem.schema(closed)
	case object:
		s.Properties = properties{}
		if closed {
			s.Additional = new(bool)
		}
		for _, f := range n.fields {
			s.Properties = append(s.Properties, property{f.name, f.schema(closed)})
			if !f.optional {
				s.Required = append(s.Required, f.name)
			}
		}
	case mapping, binary, anything, text, integer, number, boolean, moment, period:
	}
	return s
}

// described returns the description with what the keywords of a schema that not
// every model takes would say.
func (n *node) described() string {
	hint := n.hint()
	switch {
	case hint == "":
		return n.description
	case n.description == "":
		return hint
	}
	return n.description + " (" + hint + ")"
}

func (n *node) hint() string {
	w := &english
	switch {
	case len(n.enum) > 0 && n.kind != text:
		return fill(w.OneOf, "values", valuesText(n.enum))
	case n.format != "" && n.format != "date-time":
		return n.suchAs(w, formats[n.format].words(w), formats[n.format].example)
	case len(n.examples) > 0:
		return "such as " + strings.ReplaceAll(valuesText(n.examples), `"`, "")
	case n.kind == binary:
		return w.Base64
	case n.kind == list && n.length >= 0:
		return n.kindWords(w)
	case n.kind == mapping:
		return "an object with any names; each value is " + n.elem.kindWords(w)
	case n.kind == anything && !n.custom:
		return "text, or another value of JSON"
	}
	return ""
}

// Strict returns an error if OpenAI refuses the schema where it is strict: all
// arguments must be required, and have properties that are known.
func (s *Shape) Strict() error {
	return s.root.walk("", func(path string, f field) error {
		switch {
		case f.optional:
			return fmt.Errorf("the argument %q is optional", path)
		case f.kind == mapping:
			return fmt.Errorf("the argument %q is a map", path)
		}
		return nil
	})
}

// Each calls f for each argument, also inside others; name is "" for the items of a
// list.
func (s *Shape) Each(f func(path, name, description string)) {
	_ = s.root.walk("", func(path string, one field) error {
		f(path, one.name, one.described())
		return nil
	})
}

// walk calls f for all fields and items below n until it returns an error.
func (n *node) walk(path string, f func(path string, one field) error) error {
	below := n.fields
	if n.kind == list {
		below = []field{{node: n.elem}}
	}
	for _, one := range below {
		at := path + "[]"
		if n.kind != list {
			at = join(path, one.name)
		}
		if err := f(at, one); err != nil {
			return err
		}
		if err := one.walk(at, f); err != nil {
			return err
		}
	}
	return nil
}

// sample returns a canonical value with everything that can be made up, to try
// the decoder with.
func (n *node) sample() jsontext.Value {
	if n.custom {
		return nil
	}
	switch values := slices.Concat(n.enum, n.examples); n.kind {
	case list, binary, anything, object, mapping, moment, period:
	case text, integer, number, boolean:
		if len(values) > 0 {
			return values[0]
		}
	}
	switch n.kind {
	case text:
		return jsontext.Value(`"x"`)
	case integer, number:
		return jsontext.Value("1")
	case boolean:
		return jsontext.Value("true")
	case moment:
		return jsontext.Value(`"2035-07-16T09:00:00Z"`)
	case period:
		return jsontext.Value(`"30m0s"`)
	case binary:
		return quoted(base64Of(max(n.length, 0)))
	case list:
		return n.sampleList()
	case mapping:
		if v := n.elem.sample(); v != nil {
			return slices.Concat(jsontext.Value(`{"x":`), v, jsontext.Value("}"))
		}
		return jsontext.Value("{}")
	case object:
		members := map[string]jsontext.Value{}
		for _, f := range n.fields {
			if v := f.sample(); v != nil {
				members[f.name] = v
			}
		}
		return encode(members)
	case anything:
	}
	return jsontext.Value("1")
}

func (n *node) sampleList() jsontext.Value {
	v := n.elem.sample()
	if v == nil && n.length > 0 {
		return nil
	}
	var items []jsontext.Value
	for range max(n.length, 1) {
		if v != nil {
			items = append(items, v)
		}
	}
	return encodeList(items)
}
