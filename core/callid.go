package core

import (
	"strings"
	"unicode"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/arguments"
)

// callHeader and callQuery are where a tool's URL or headers may carry the id
// of the call, filled from a variable of the assistant: the body of a tool
// request has none (docs/tools.md#which-call).
const (
	callHeader = "X-Call-Id"
	callQuery  = "call"
)

// maxCallID is the longest id of a call, a tool call or an envelope.
const maxCallID = 256

// callOf returns the call that the header or the query of a request to a tool's
// URL names, or "". two is true if they name different ones: in a GET the model
// writes the query, so neither can be trusted.
func (p *Processor) callOf(head Request, tool string, query arguments.Query) (id event.CallID, two bool) {
	inHeader := p.validCall(head.Header.Get(callHeader))
	if t := p.tools[tool]; t != nil && t.shape.Has(callQuery) {
		return inHeader, false // it is an argument of the tool's own
	}
	inQuery := p.validCall(query.Get(callQuery))
	if inHeader == "" || inQuery == "" {
		return max(inHeader, inQuery), false
	}
	return inHeader, inHeader != inQuery
}

// validCall returns an id as that of a call, or "" if it cannot be one. That it
// is a placeholder which nobody filled in is logged once: all calls would be one.
func (p *Processor) validCall(id string) event.CallID {
	if isPlaceholder(id) {
		p.placeholderOnce.Do(func() {
			p.log.Warn("call id ignored: the assistant's variable was sent as it is, and not its value", "reason", "placeholder")
		})
		return ""
	}
	if !validID(id) {
		return ""
	}
	return event.CallID(id)
}

// validID reports whether an id can identify something.
func validID(id string) bool {
	return strings.TrimSpace(id) != "" && len(id) <= maxCallID && !strings.ContainsFunc(id, unicode.IsControl) && !isPlaceholder(id)
}

// isPlaceholder reports whether an id is the word for none, or a variable that
// was not filled in: {{call.id}}, ${CALL}, <id>, [id], %ID%.
func isPlaceholder(id string) bool {
	id = strings.ToLower(strings.TrimSpace(id))
	switch id {
	case "":
		return false // there is none
	case "undefined", "null", "none", "nil", "nan", "unknown", "n/a", "call_id", "callid", "call.id":
		return true
	}
	return strings.ContainsAny(id[:1], "{[<$%") || strings.Contains(id, "{{") || strings.Contains(id, "${")
}
