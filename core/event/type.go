package event

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
