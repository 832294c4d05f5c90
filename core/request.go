package core

import (
	"github.com/serverurl/serverurl/core/auth"
)

// A Request is what an adapter makes of its platform's request.
type Request struct {
	Method string // as sent: "POST"
	Path   string // escaped, as sent, without the query: "/tools/find_open_slots"
	Query  string // the raw query, without "?"
	Header auth.Header

	// Body is the exact bytes that were sent: signatures are over them. An
	// adapter reads at most one byte more than [Processor.MaxBodyBytes].
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
