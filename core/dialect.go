package core

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// envelopeRequests reads the calls of an envelope. one reports the older
// function-call, which has one call and no ids. Every place where a sender was
// seen to put them is read (docs/tools.md#dialects); what is of an unexpected
// kind is left out.
func envelopeRequests(body []byte) (reqs []toolRequest, one bool) {
	message := object(object(body)["message"])
	call := CallID(text(object(message["call"])["id"]))

	read := func(v jsontext.Value) toolRequest {
		c := object(v)
		f := object(c["function"])
		return toolRequest{
			id: text(c["id"]), call: call, needsIDs: true,
			name: text(first(f["name"], c["name"])),
			args: first(f["arguments"], f["parameters"], c["arguments"], c["parameters"]),
		}
	}
	if EventType(text(message["type"])) == EventFunctionCall {
		q := read(message["functionCall"])
		q.id, q.needsIDs = "", false
		return []toolRequest{q}, true
	}
	for _, v := range list(first(message["toolCallList"], message["toolCalls"])) {
		reqs = append(reqs, read(v))
	}
	if len(reqs) == 0 {
		for _, v := range list(message["toolWithToolCallList"]) {
			reqs = append(reqs, read(object(v)["toolCall"]))
		}
	}
	return reqs, false
}

// isEnvelope tells a tool envelope from bare arguments that happen to hold a
// field "message".
func isEnvelope(body []byte) bool {
	t := EventType(text(object(object(body)["message"])["type"]))
	return t == EventToolCalls || t == EventFunctionCall
}

// object returns the members of a JSON object, nil for anything else.
func object(v jsontext.Value) map[string]jsontext.Value {
	var m map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &m) != nil {
		return nil
	}
	return m
}

// list returns the elements of a JSON array, nil for anything else.
func list(v jsontext.Value) []jsontext.Value {
	var l []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &l) != nil {
		return nil
	}
	return l
}

// text returns the text of a JSON string or the digits of a number, "" for
// anything else.
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil {
			return ""
		}
		return s
	case '0':
		return string(v)
	}
	return ""
}

// first returns the first value that is there and not null.
func first(vs ...jsontext.Value) jsontext.Value {
	for _, v := range vs {
		if len(v) > 0 && v.Kind() != 'n' {
			return v
		}
	}
	return nil
}
