package core

import "strings"

// A Request is what an adapter makes of its platform's request.
type Request struct {
	Method string // as sent: "POST"
	Path   string // escaped, as sent, without the query: "/tools/find_open_slots"
	Query  string // the raw query, without "?"
	Header Header

	// Body is the exact bytes that were sent: signatures are over them. An
	// adapter reads one byte more than [Processor.MaxBody] at the most.
	Body []byte

	// Remote is the address of the sender where the platform is sure of it,
	// for nothing but rate limits and logs. May be empty.
	Remote string
}

// A Response is what an adapter sends back, byte for byte.
type Response struct {
	Status int
	Header []HeaderField // in this order
	Body   []byte
}

// A HeaderField is one line of a response's header.
type HeaderField struct{ Name, Value string }

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
