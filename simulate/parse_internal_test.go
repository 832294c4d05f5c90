package simulate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "mine.yaml:1: a scenario needs steps; see docs/scenarios.md"},
		{"no steps", "name: x", "mine.yaml:1: a scenario needs steps"},
		{"no YAML", "steps: [", "mine.yaml:1: did not find"},
		{"unknown field", "step: []", `mine.yaml:1: scenario has no "step"; it has name, about, call, steps, expect`},
		{"unknown step", "steps:\n  - user: Hi", `mine.yaml:2: step has no "user"; it has status, assistant, caller`},
		{"misspelled expectation", "steps:\n  - tool: x\n    expect:\n      contians: y", `mine.yaml:4: expect has no "contians"; it has contains, not_contains`},
		{"misspelled in a repeat", "steps:\n  - repeat: 2\n    steps:\n      - callr: x", `mine.yaml:4: step has no "callr"`},
		{"misspelled report", "steps:\n  - report: {sumary: x}", `mine.yaml:2: report has no "sumary"; it has summary, success`},
		{"two actions", "steps:\n  - {caller: a, assistant: b}", "mine.yaml:2: a step has exactly one of"},
		{"no action", "steps:\n  - {ended_by: bot}", "this one has 0"},
		{"unknown status", "steps:\n  - status: done", `mine.yaml:2: status is one of initiated, queued, ongoing, forwarded, finished, failed, not "done"`},
		{"unknown method", "steps:\n  - {tool: x, method: HEAD}", "method is one of"},
		{"unknown ended_by", "steps:\n  - {status: finished, ended_by: me}", "ended_by is one of bot, user, system"},
		{"unknown type", "call: {type: fax}\nsteps: [{status: ongoing}]", "call.type is one of phone, web"},
		{"no variable", "steps:\n  - caller: Hi {{nmae}}", "mine.yaml:2: variable {{nmae}} is not set; there are call, date, name, phone, time"},
		{"variable in arguments", "steps:\n  - {tool: x, args: {a: {b: ['{{c}}']}}}", "variable {{c}} is not set"},
		{"counter outside", "steps:\n  - {repeat: 2, steps: [{caller: 'n {{n}}'}]}\n  - caller: n {{n}}", "mine.yaml:3: variable {{n}} is not set"},
		{"captured later", "steps:\n  - {tool: x, args: {a: '{{b}}'}, capture: {b: '(.)'}}", "variable {{b}} is not set"},
		{"no group", "steps:\n  - {tool: x, capture: {a: b}}", `"b" is not a regular expression with one group`},
		{"bad expression", "steps:\n  - {tool: x, expect: {matches: '('}}", `"(" is not a regular expression`},
		{"no label", "steps:\n  - {tool: x, expect: {same_as: first}}", `no earlier step has the label "first"`},
		{"label twice", "steps:\n  - {tool: x, label: a}\n  - {tool: x, label: a}", `mine.yaml:3: label "a" is already on another step`},
		{"background has no reply", "steps:\n  - {tool: x, label: a}\n  - {tool: x, background: true, expect: {same_as: a}}", "put them on a later step"},
		{"arguments of nothing", "steps:\n  - {caller: x, args: {a: b}}", "need tool"},
		{"invalid duration", "steps:\n  - wait: soon", `mine.yaml:2: "soon" is not a duration, such as 300ms or 2s`},
		{"no quotes", "steps:\n  - caller: {{name}}", `mine.yaml:2: a text that begins with {{name}} needs quotes around it, because YAML reads a brace as an object: "{{name}}"`},
		{"no quotes in a list", "steps:\n  - tool: x\n    args: {a: [{{ date }}]}", "mine.yaml:3: a text that begins with {{date}} needs quotes"},
		{"no quotes, and more", "steps:\n  - caller: Hi\n  - caller: {{name}} is here", "mine.yaml:3: a text that begins with {{name}} needs quotes"},
		{"quotes before", "steps:\n  - caller: \"a: {{name}}\"\n  - caller: [", "mine.yaml:3: did not find"},
		{"stub of nothing", "steps:\n  - stub: insurance", "mine.yaml:2: stub and is belong together"},
		{"unknown state", "steps:\n  - {stub: insurance, is: gone}", `mine.yaml:2: is is one of up, slow, failing, down, not "gone"`},
		{"query of nothing", "steps:\n  - {caller: x, query: {a: b}}", "need tool"},
		{"variable in a header", "steps:\n  - {tool: x, headers: {X-Call-Id: '{{c}}'}}", "mine.yaml:2: variable {{c}} is not set"},
		{"secret in a header", "steps:\n  - {tool: x, headers: {x-interactly-secret: s}}", "mine.yaml:2: the header X-Interactly-Secret is not a scenario's"},
		{"too often", "steps:\n  - {repeat: 100000, steps: [{caller: x}]}", "at most 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("mine.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), "simulate: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestParse(t *testing.T) {
	s := scenario(t, `
about: Every field of a file.
call: {type: phone, direction: outbound, metadata: {who: "{{name}}"}, variables: {language: es}, numbers: {caller: "+15550100"}, assistant: {id: a1}}
steps:
  - {tool: x, args: {day: 2035-07-16, n: 2}, method: put, label: a, capture: {b: "(.)"}, expect: {contains: "{{time}}", within: 4s}}
  - {repeat: 2, steps: [{caller: "{{ n }} {{b}}"}]}
  - {tool: x, idempotent: true, query: {clinic: north}, headers: {X-Call-Id: "{{call}}"}, expect: {same_as: a}}
  - {stub: insurance, is: down}
expect: {messages: 2, ended: true}
`)
	if s.Name != "mine" || s.Steps[0].Args["day"] != "2035-07-16" || s.Steps[0].Args["n"] != 2 || *s.Expect.Messages != 2 {
		t.Errorf("read as %+v", s)
	}
}

func TestLoad(t *testing.T) {
	if len(List()) < 11 {
		t.Errorf("%d built-in scenarios", len(List()))
	}
	for _, s := range List() {
		if s.About == "" {
			t.Errorf("%s has no about", s.Name)
		}
		if same, err := Load(s.Name); err != nil || same.Name != s.Name {
			t.Errorf("%s: its file has another name: %v", s.Name, err)
		}
	}
	if _, err := Load("bokking"); err == nil || !strings.Contains(err.Error(), `no scenario "bokking"; the built-in ones are barge-in, booking, cancel`) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("steps: [{status: ongoing}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(path); err != nil || s.Name != "mine" {
		t.Error(s.Name, err)
	}
}

func TestSampleEvent(t *testing.T) {
	for _, kind := range EventTypes {
		body, err := SampleEvent(kind, nil)
		var e map[string]any
		if err != nil || json.Unmarshal(body, &e) != nil || dig(e, "message.type") != kind || dig(e, "message.call.id") == "" {
			t.Errorf("%s: %v, type %v", kind, err, dig(e, "message.type"))
		}
	}
	body, err := SampleEvent("conversation-update", map[string]string{
		"message.call.status": "finished", "message.call.assistantCallDuration": "12", "message.call.metadata": `{"a":true}`,
		"message.new.deep": "x", "message.new.number": "9007199254740993", "message.new.list": `[{"n":1234567890123456789}]`, "message.messages.1.text": "Changed.", "message.phone": "null",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(body, []byte(`"number":9007199254740993`)) || !bytes.Contains(body, []byte(`[{"n":1234567890123456789}]`)) {
		t.Errorf("a number was rounded: %s", body)
	}
	var e map[string]any
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{"call.status": "finished", "call.assistantCallDuration": 12.0, "call.metadata.a": true, "new.deep": "x", "phone": nil} {
		if got := dig(e, "message."+path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if got := dig(dig(e, "message.messages").([]any)[1], "text"); got != "Changed." {
		t.Errorf("text %v", got)
	}
	for path, says := range map[string]string{
		"message.type.x": `path "message.type.x": "x" is not in an object or a list`, "message.messages.7": `"7" is not an index of a list of 2`,
	} {
		if _, err := SampleEvent("hang", map[string]string{path: "1"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := SampleEvent("hung", nil); err == nil || !strings.Contains(err.Error(), `unknown event "hung"; there are status-update`) {
		t.Error(err)
	}
}
