package auth

import (
	"strings"
)

// secretHeaders may carry the secret in plaintext. Interactly's documentation
// names the first, its dashboard the second (docs/events.md#authentication);
// the third belongs to the older dialect (docs/tools.md#dialects).
var secretHeaders = []string{"X-Interactly-Secret", "X-Interactly.ai-Secret", "X-Vapi-Secret"}

// A Header holds a request's header fields. Names may be in any case, so an
// http.Header can be converted to it, and so can the headers of platforms that
// write them in lower case.
type Header map[string][]string

// Values returns all values of the field; name may be in any case.
func (h Header) Values(name string) []string {
	if v, ok := h[name]; ok && len(h) == 1 { // no other spelling to look for
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

// Get returns the first value of the field, or "" if it is missing.
func (h Header) Get(name string) string {
	if v := h.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}
