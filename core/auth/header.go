package auth

import (
	"strings"
)

// A Header holds a request's header fields under any case of their names; an
// http.Header can be converted to it.
type Header map[string][]string

// Values returns all values of the field, whatever the case of its name.
func (h Header) Values(name string) []string {
	if v, ok := h[name]; ok && len(h) == 1 {
		return v
	}
	var all []string
	for k, v := range h {
		if strings.EqualFold(k, name) {
			all = append(all, v...)
		}
	}
	return all
}

// Get returns the first value of the field, or "".
func (h Header) Get(name string) string {
	if v := h.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}
