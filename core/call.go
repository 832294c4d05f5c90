package core

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
)

// A Call is what is known of the call for which a tool or a handler runs: see
// [CallFrom]. It holds patients' data.
type Call struct {
	// ID is the call's id here: with named secrets the name of the secret and what
	// the sender has sent, "north/WC-1", so that two tenants' calls are two calls.
	// It is "" if the request does not name its call.
	ID event.CallID

	// SentID is the id as it was sent, which Interactly's API knows.
	SentID event.CallID

	// Tenant is the name of the secret that the sender knows, "" if secrets have no
	// names.
	Tenant string

	// Matched says which secret that was: "secret 1 of 2", "anyone".
	Matched string

	AssistantID     string
	Assistant       string // its name
	Direction       string // "inbound", "outbound"
	UserNumber      string // see [event.CallInfo]
	AssistantNumber string
	Metadata        jsontext.Value // as given when the call was created
	Variables       jsontext.Value // the dynamic variables of the assistant, an object
	Status          event.Status

	// Source is where that is from.
	Source CallSource

	// Missing says, for the operator, why a call is not known, and what to do; ""
	// if it is.
	Missing string

	// Dialect is how a tool was called: "interactly", "vapi" and so on; "" in
	// handlers of events.
	Dialect string
}

// A CallSource is where what is known of a call is from.
type CallSource string

// The sources.
const (
	CallUnknown   CallSource = ""        // nothing is known: see Missing
	CallFromStore CallSource = "store"   // events that were delivered
	CallFromInbox CallSource = "inbox"   // events that were accepted and not delivered yet
	CallFromEvent CallSource = "event"   // the event that is being handled, and those before
	CallFromTool  CallSource = "request" // the tool's request itself
)

// CallFrom returns what is known of the call for which ctx runs a tool or a
// handler.
func CallFrom(ctx context.Context) Call {
	return Call{}
}
