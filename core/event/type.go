package event

import "slices"

// A CallID identifies one call. It is opaque and case-sensitive: web calls, phone
// calls and calls made through the API have ids of different forms
// (docs/events.md#call).
type CallID string

// A Type is the type of an event, as sent in message.type. The set is open: a
// type without a constant here is valid.
type Type string

// The five types that Interactly documents (docs/events.md), and the two of the
// older dialect whose senders wait for the results of tools
// (docs/tools.md#dialects).
const (
	TypeStatusUpdate       Type = "status-update"
	TypeConversationUpdate Type = "conversation-update"
	TypeHang               Type = "hang"
	TypeError              Type = "error"
	TypeReport             Type = "end-of-call-report"

	TypeToolCalls    Type = "tool-calls"
	TypeFunctionCall Type = "function-call"
)

// wantReply are the types whose sender waits for more than an acknowledgment.
// The names are Vapi's, the dialect that has them; Interactly documents none.
var wantReply = []Type{"assistant-request", "transfer-destination-request", "handoff-destination-request",
	"knowledge-base-request", "call.endpointing.request", "campaign.predial", "voice-request"}

// WantsReply reports whether the sender of such an event waits for more than
// an acknowledgment, with a caller on the line.
func (t Type) WantsReply() bool { return slices.Contains(wantReply, t) }
