package core

import (
	"slices"
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

// isPlaceholder reports whether an id is what a program wrote in place of one that
// it did not have: a word for none ("undefined", (null), 0, -), the name or the
// type of the field (call-id, string), or a variable that was not filled in
// ({{call.id}}, ${CALL}, <id>, %ID%, :call_id). Some write several, with commas.
func isPlaceholder(id string) bool {
	id = strings.TrimSpace(strings.ToLower(strings.Map(narrow, id)))
	if id == "" {
		return false // there is none
	}
	if isTemplate(id) {
		return true
	}
	for part := range strings.SplitSeq(id, ",") {
		if !isWordForNone(part) {
			return false
		}
	}
	return true
}

// isTemplate reports whether an id is in the syntax of a variable.
func isTemplate(id string) bool {
	inside := func(opening string) bool { return strings.Contains(id, opening) }
	if strings.ContainsAny(id[:1], "{[<$%") || slices.ContainsFunc([]string{"{{", "${", "#{", "@{"}, inside) {
		return true
	}
	isName := len(id) > 1 && strings.Trim(id[1:], "abcdefghijklmnopqrstuvwxyz_.-") == ""
	return isName && (strings.ContainsAny(id[:1], ":@") || strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__"))
}

// isWordForNone reports whether a word in lower case stands for no id, whatever
// quotes and signs are around it.
func isWordForNone(word string) bool {
	word = strings.Trim(word, " \t\"'`()-_#:@")
	letters := strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return r
	}, word)
	switch letters {
	case "undefined", "null", "none", "nil", "nan", "unknown", "n/a", "na", "false", "true", "object", "string",
		"id", "uuid", "call", "callid", "callsid", "calluuid",
		"0", "00000000000000000000000000000000": // the last is the nil UUID
		return true
	}
	return word == ""
}

// narrow writes a full-width character as the one of ASCII.
func narrow(r rune) rune {
	if r >= '！' && r <= '～' {
		return r - '！' + '!'
	}
	return r
}
