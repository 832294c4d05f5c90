package core

// A CallID names one call. It is opaque and case-sensitive: web calls, phone
// calls and calls made through the API have ids of different shapes
// (docs/events.md#call).
type CallID string

// An EventType is the type of an event, as sent. The set is open.
type EventType string

// The five types that Interactly documents (docs/events.md), and the two of
// the older dialect that wait for tool results (docs/tools.md#dialects).
const (
	EventStatusUpdate       EventType = "status-update"
	EventConversationUpdate EventType = "conversation-update"
	EventHang               EventType = "hang"
	EventError              EventType = "error"
	EventReport             EventType = "end-of-call-report"

	EventToolCalls    EventType = "tool-calls"
	EventFunctionCall EventType = "function-call"
)
