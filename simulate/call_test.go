package simulate_test

import (
	"testing"

	"github.com/serverurl/serverurl/simulate"
)

// A scenario says who is called, by whom, and what the call is about.
func TestCallOfAScenario(t *testing.T) {
	v := playAll(t, nil, `
call:
  assistant: {id: asst-north, name: Clínica Norte}
  numbers: {caller: "+15550100", assistant: "+15550101"}
  metadata: {clinic: north}
  variables: {language: es, number: "{{phone}}"}
steps:
  - status: queued
  - {tool: x, args: {phone: "{{phone}}"}, query: {clinic: north}, headers: {X-Call-Id: "{{call}}"}}
  - {tool: x, method: GET, args: {day: 1}, query: {clinic: north}}
  - report: {}
`)
	for _, e := range v.events() {
		checkFacts(t, e.json,
			fact{"the assistant", "message.call.assistantId", "asst-north"},
			fact{"the assistant", "message.assistant._id", "asst-north"},
			fact{"its name", "message.assistant.name", "Clínica Norte"},
			fact{"the numbers", "message.call.userNumber", "+15550100"},
			fact{"the numbers", "message.call.assistantNumber", "+15550101"},
			fact{"metadata", "message.call.metadata.clinic", "north"},
			fact{"variables", "message.call.assistantOverrides.dynamicVariables.language", "es"},
			fact{"variables", "message.call.assistantOverrides.dynamicVariables.number", "+15550100"},
			fact{"their checks", "message.call.assistantOverrides.variablesValidations.language", "none"},
		)
	}
	id := text(v.events()[0].json, "message.call.id")
	var tools []request
	for _, r := range v.requests() {
		if r.tool() != "" {
			tools = append(tools, r)
		}
	}
	if got := tools[0]; got.query.Encode() != "clinic=north" || got.header.Get("X-Call-Id") != id || string(got.body) != `{"phone":"+15550100"}` {
		t.Errorf("%v %v %s", got.query, got.header, got.body)
	}
	if got := tools[1]; got.query.Encode() != "clinic=north&day=1" || len(got.body) > 0 {
		t.Errorf("%v %s", got.query, got.body)
	}
}

// In Vapi's envelopes too.
func TestCallOfAScenarioInEnvelopes(t *testing.T) {
	v := playAll(t, func(o *simulate.Options) { o.Faults = []simulate.Fault{simulate.FaultVapi} }, `
steps:
  - {repeat: 9, steps: [{tool: x, query: {clinic: north}, headers: {X-Clinic: north}}]}
`)
	for _, r := range v.requests() {
		if r.path != "/events" || r.query.Encode() != "clinic=north" || r.header.Get("X-Clinic") != "north" {
			t.Errorf("%s %v %v", r.path, r.query, r.header)
		}
	}
}
