package simulate

import "regexp"

var variable = regexp.MustCompile(`\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}`)

// fill puts the call's variables into a text. What a variable brings in is not
// looked at again: it may come from a backend's reply.
func (c *call) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		return c.vars[variable.FindStringSubmatch(m)[1]]
	})
}

// fillAll is fill for all texts of an object, however deep.
func (c *call) fillAll(in object) object {
	out := object{}
	for k, v := range in {
		out[k] = c.fillAny(v)
	}
	return out
}

func (c *call) fillAny(v any) any {
	switch v := v.(type) {
	case string:
		return c.fill(v)
	case object:
		return c.fillAll(v)
	case []any:
		out := make([]any, len(v))
		for i, of := range v {
			out[i] = c.fillAny(of)
		}
		return out
	}
	return v
}
