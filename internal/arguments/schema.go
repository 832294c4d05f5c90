package arguments

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Schema returns the JSON Schema of the arguments, in the plain form that every
// model takes: one type each, objects with properties even if there are none.
func (s *Shape) Schema() jsontext.Value {
	b, err := json.Marshal(s.root.schema())
	if err != nil {
		panic("arguments: schema encoding failed")
	}
	return b
}

// A schema is a part of a JSON Schema, with its members in this order.
type schema struct {
	Type            string           `json:"type,omitzero"`
	Description     string           `json:"description,omitzero"`
	Enum            []jsontext.Value `json:"enum,omitempty"`
	Minimum         jsontext.Value   `json:"minimum,omitzero"`
	Maximum         jsontext.Value   `json:"maximum,omitzero"`
	Pattern         string           `json:"pattern,omitzero"`
	Format          string           `json:"format,omitzero"`
	ContentEncoding string           `json:"contentEncoding,omitzero"`
	Examples        []jsontext.Value `json:"examples,omitempty"`
	Items           *schema          `json:"items,omitzero"`
	MinItems        *int             `json:"minItems,omitzero"`
	MaxItems        *int             `json:"maxItems,omitzero"`
	Properties      properties       `json:"properties,omitzero"`
	Required        []string         `json:"required,omitempty"`
	Additional      any              `json:"additionalProperties,omitzero"` // false or *schema
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

var typeNames = [...]string{anything: "", text: "string", integer: "integer", number: "number", boolean: "boolean",
	list: "array", object: "object", mapping: "object", moment: "string", period: "string", binary: "string"}

func (n *node) schema() *schema {
	s := &schema{Type: typeNames[n.kind], Description: n.description, Enum: n.enum, Examples: n.examples, Format: n.format}
	if n.low != nil {
		s.Minimum = jsontext.Value(n.low.String())
	}
	if n.high != nil {
		s.Maximum = jsontext.Value(n.high.String())
	}
	if n.pattern != nil {
		s.Pattern = n.pattern.String()
	}
	switch n.kind {
	case binary:
		s.ContentEncoding = "base64"
	case list:
		s.Items = n.elem.schema()
		if n.length >= 0 {
			s.MinItems, s.MaxItems = &n.length, &n.length
		}
	case mapping:
		if n.elem.kind != anything {
			s.Additional = n.elem.schema()
		}
	case object:
		s.Properties, s.Additional = properties{}, false
		for _, f := range n.fields {
			s.Properties = append(s.Properties, property{f.name, f.schema()})
			if !f.optional {
				s.Required = append(s.Required, f.name)
			}
		}
	case anything, text, integer, number, boolean, moment, period:
	}
	return s
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
