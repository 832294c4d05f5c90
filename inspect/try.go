package inspect

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A field is an argument in the form that tries a tool.
type field struct {
	Name, About, Type string
	Required          bool
	Enum              []string
	JSON              bool // an object or an array, typed as JSON
}

// fields returns the fields for the JSON schema of an object, in its order.
func fields(schema jsontext.Value) []field {
	var s struct {
		Properties jsontext.Value `json:"properties"`
		Required   []string       `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(s.Properties))
	if _, err := dec.ReadToken(); err != nil || s.Properties.Kind() != '{' {
		return nil
	}
	var all []field
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		name := token.String()
		raw, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		var one struct {
			Type        jsontext.Value `json:"type"`
			Description string         `json:"description"`
			Enum        []any          `json:"enum"`
		}
		_ = json.Unmarshal(raw, &one)
		f := field{Name: name, About: one.Description, Required: slices.Contains(s.Required, name), Type: schemaType(one.Type)}
		for _, e := range one.Enum {
			if text, ok := e.(string); ok {
				f.Enum = append(f.Enum, text)
			}
		}
		f.JSON = f.Type == "object" || f.Type == "array"
		all = append(all, f)
	}
	return all
}

// schemaType returns the type of a schema, or the first of several that is not
// null.
func schemaType(v jsontext.Value) string {
	var one string
	if json.Unmarshal(v, &one) == nil {
		return one
	}
	var many []string
	if json.Unmarshal(v, &many) == nil {
		for _, m := range many {
			if m != "null" {
				return m
			}
		}
	}
	return "string"
}

// try calls a tool with the arguments in the form.
func (p *Server) try(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	name := r.PathValue("name")
	if p.o.Processor == nil || p.o.ReadOnly || p.o.BackendURL == "" {
		p.renderSent(w, sentView{Error: "Tools cannot be tried from this page."})
		return
	}
	if p.hasEffect(name) && r.PostFormValue("confirm") != "yes" {
		p.renderSent(w, sentView{Error: unconfirmed})
		return
	}
	args := map[string]jsontext.Value{}
	if d, ok := p.definition(name); ok {
		for _, f := range fields(d.Function.Parameters) {
			if typed := r.PostFormValue("arg-" + f.Name); typed != "" {
				args[f.Name] = argument(f, typed)
			}
		}
	}
	body, err := json.Marshal(args, json.Deterministic(true))
	if err != nil {
		p.renderSent(w, sentView{Error: "An argument is not valid JSON."})
		return
	}
	to, err := url.Parse(strings.TrimRight(p.o.BackendURL, "/"))
	if err != nil {
		p.renderSent(w, sentView{Error: "The backend has no URL."})
		return
	}
	v := sentView{obscurer: obscurer{open: true}, IsTool: true} // the visitor typed the arguments
	got, err := p.post(r.Context(), to, "", "/tools/"+url.PathEscape(name), body)
	v.fill(to, got, err)
	v.check(got, 0)
	p.renderSent(w, v)
}

// argument returns what was typed as the schema wants it. What does not match
// is sent as text, so that the tool refuses it.
func argument(f field, typed string) jsontext.Value {
	v := jsontext.Value(strings.TrimSpace(typed))
	switch f.Type {
	case "boolean", "object", "array":
		if v.IsValid() {
			return v
		}
	case "number", "integer":
		if _, err := strconv.ParseFloat(string(v), 64); err == nil && v.IsValid() {
			return v
		}
	}
	b, err := json.Marshal(typed)
	if err != nil {
		return jsontext.Value("null") // not UTF-8
	}
	return b
}
