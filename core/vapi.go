package core

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// envelopeRequests returns the tool calls of an envelope; those without a name are
// of the tool that the URL names. one reports that it is the older function-call,
// which has one call without an id. It reads every place in which senders were
// observed to put them (docs/tools.md#dialects), and leaves out what is of an
// unexpected kind.
func envelopeRequests(body []byte, urlTool string) (reqs []toolRequest, one bool) {
	message := loosejson.Object(loosejson.Object(body)["message"])
	call := event.CallID(loosejson.Text(loosejson.Object(message["call"])["id"]))

	// parent is the object that a call is in, next to the tool's definition.
	read := func(v jsontext.Value, parent map[string]jsontext.Value) toolRequest {
		c := loosejson.Object(v)
		f, tool := loosejson.Object(c["function"]), loosejson.Object(parent["tool"])
		return toolRequest{
			call: call,
			id:   firstText(c["id"], c["toolCallId"], parent["toolCallId"]),
			name: firstText(f["name"], c["name"], loosejson.Object(parent["function"])["name"], parent["name"],
				loosejson.Object(tool["function"])["name"], tool["name"], loosejson.Quoted(urlTool)),
			args: loosejson.First(f["arguments"], f["parameters"], c["arguments"], c["parameters"]),
		}
	}
	if typeOf(message) == event.TypeFunctionCall {
		q := read(message["functionCall"], nil)
		q.id = ""
		return []toolRequest{q}, true
	}
	for _, name := range []string{"toolCallList", "toolCalls", "toolWithToolCallList"} {
		for _, v := range loosejson.List(message[name]) {
			parent := loosejson.Object(v)
			if inner := parent["toolCall"]; inner != nil {
				reqs = append(reqs, read(inner, parent))
			} else {
				reqs = append(reqs, read(v, nil))
			}
		}
		if len(reqs) > 0 {
			break
		}
	}
	return reqs, false
}

// firstText returns the first text that is not empty.
func firstText(vs ...jsontext.Value) string {
	for _, v := range vs {
		if s := loosejson.Text(v); s != "" {
			return s
		}
	}
	return ""
}

// isEnvelope reports whether a body at a tool's URL is an envelope, and not bare
// arguments that happen to have a field "message".
func isEnvelope(body []byte) bool {
	t := typeOf(loosejson.Object(loosejson.Object(body)["message"]))
	return t == event.TypeToolCalls || t == event.TypeFunctionCall
}

func typeOf(message map[string]jsontext.Value) event.Type {
	return toolType(event.Type(loosejson.Text(message["type"])))
}

// toolType returns the type of an envelope with tool calls in its usual spelling;
// some senders write tool_calls.
func toolType(t event.Type) event.Type {
	if dashed := event.Type(strings.ReplaceAll(string(t), "_", "-")); dashed == event.TypeToolCalls || dashed == event.TypeFunctionCall {
		return dashed
	}
	return t
}
