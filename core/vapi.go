package core

import (
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// envelopeRequests returns the tool calls of an envelope. one reports that it is
// the older function-call, which has one call without an id. It reads every
// place in which senders were observed to put them (docs/tools.md#dialects), and
// leaves out what is of an unexpected kind.
func envelopeRequests(body []byte) (reqs []toolRequest, one bool) {
	message := loosejson.Object(loosejson.Object(body)["message"])
	call := event.CallID(loosejson.Text(loosejson.Object(message["call"])["id"]))

	read := func(v jsontext.Value) toolRequest {
		c := loosejson.Object(v)
		f := loosejson.Object(c["function"])
		return toolRequest{
			id: loosejson.Text(c["id"]), call: call,
			name: loosejson.Text(loosejson.First(f["name"], c["name"])),
			args: loosejson.First(f["arguments"], f["parameters"], c["arguments"], c["parameters"]),
		}
	}
	if event.Type(loosejson.Text(message["type"])) == event.TypeFunctionCall {
		q := read(message["functionCall"])
		q.id = ""
		return []toolRequest{q}, true
	}
	for _, v := range loosejson.List(loosejson.First(message["toolCallList"], message["toolCalls"])) {
		reqs = append(reqs, read(v))
	}
	if len(reqs) == 0 {
		for _, v := range loosejson.List(message["toolWithToolCallList"]) {
			reqs = append(reqs, read(loosejson.Object(v)["toolCall"]))
		}
	}
	return reqs, false
}

// isEnvelope reports whether a body at a tool's URL is an envelope, and not bare
// arguments that happen to have a field "message".
func isEnvelope(body []byte) bool {
	t := event.Type(loosejson.Text(loosejson.Object(loosejson.Object(body)["message"])["type"]))
	return t == event.TypeToolCalls || t == event.TypeFunctionCall
}
