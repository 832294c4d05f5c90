package event

import "slices"

// A CallID names one call. It is opaque and case-sensitive: web calls, phone
// calls and calls made through the API have ids of different shapes
// (docs/events.md#call).
type CallID string

// An Type is the type of an event, as sent. The set is open.
type Type string

// The five types that Interactly documents (docs/events.md), and the two of
// the older dialect that wait for tool results (docs/tools.md#dialects).
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
