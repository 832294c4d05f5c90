package simulate

import "regexp"

var variable = regexp.MustCompile(`\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}`)

// expand replaces the variables in a text. Values are not expanded again: they
// may come from a backend's reply.
func (c *call) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		return c.vars[variable.FindStringSubmatch(m)[1]]
	})
}

// expandAll expands all texts of an object, at any depth.
func (c *call) expandAll(in object) object {
	out := object{}
	for k, v := range in {
		out[k] = c.expandAny(v)
	}
	return out
}

func (c *call) expandAny(v any) any {
	switch v := v.(type) {
	case string:
		return c.expand(v)
	case object:
		return c.expandAll(v)
	case []any:
		out := make([]any, len(v))
		for i, of := range v {
			out[i] = c.expandAny(of)
		}
		return out
	}
	return v
}
