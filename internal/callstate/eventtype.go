package callstate

import (
	"slices"

	"github.com/serverurl/serverurl/core/event"
)

var loggedTypes = []event.Type{
	event.TypeStatusUpdate, event.TypeConversationUpdate, event.TypeHang, event.TypeError, event.TypeReport, event.TypeToolCalls, event.TypeFunctionCall,
}

// LoggedType returns the type of an event as logs have it: one that a sender may have
// made up is "other".
func LoggedType[S ~string](t S) string {
	if t == "" || slices.Contains(loggedTypes, event.Type(t)) {
		return string(t)
	}
	return "other"
}
