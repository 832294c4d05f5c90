package simulate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesAreHeldToTheLetter(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "mine.yaml:1: a scenario needs steps; see docs/scenarios.md"},
		{"no steps", "name: x", "mine.yaml:1: a scenario needs steps"},
		{"no YAML", "steps: [", "mine.yaml:1: did not find"},
		{"unknown field", "step: []", `mine.yaml:1: scenario has no "step"; it has name, about, call, steps, expect`},
		{"unknown step", "steps:\n  - user: Hi", `mine.yaml:2: step has no "user"; it has status, assistant, caller`},
		{"misspelled expectation", "steps:\n  - tool: x\n    expect:\n      contians: y", `mine.yaml:4: expect has no "contians"; it has contains, lacks`},
		{"misspelled in a repeat", "steps:\n  - repeat: 2\n    steps:\n      - callr: x", `mine.yaml:4: step has no "callr"`},
		{"misspelled report", "steps:\n  - report: {sumary: x}", `mine.yaml:2: report has no "sumary"; it has summary, success`},
		{"two things", "steps:\n  - {caller: a, assistant: b}", "mine.yaml:2: a step does one thing of"},
		{"nothing done", "steps:\n  - {by: bot}", "this one does 0"},
		{"unknown status", "steps:\n  - status: done", `mine.yaml:2: status is one of initiated, queued, ongoing, forwarded, finished, failed, not "done"`},
		{"unknown method", "steps:\n  - {tool: x, method: HEAD}", "method is one of"},
		{"unknown who", "steps:\n  - {status: finished, by: me}", "by is one of bot, user, system"},
		{"unknown type", "call: {type: fax}\nsteps: [{status: ongoing}]", "call.type is one of phone, web"},
		{"no variable", "steps:\n  - caller: Hi {{nmae}}", "mine.yaml:2: nothing sets {{nmae}}; there are call, date, name, phone, time"},
		{"variable in arguments", "steps:\n  - {tool: x, args: {a: {b: ['{{c}}']}}}", "nothing sets {{c}}"},
		{"counter outside", "steps:\n  - {repeat: 2, steps: [{caller: 'n {{n}}'}]}\n  - caller: n {{n}}", "mine.yaml:3: nothing sets {{n}}"},
		{"saved later", "steps:\n  - {tool: x, args: {a: '{{b}}'}, save: {b: '(.)'}}", "nothing sets {{b}}"},
		{"no group", "steps:\n  - {tool: x, save: {a: b}}", `"b" is no regular expression with one group`},
		{"bad expression", "steps:\n  - {tool: x, expect: {matches: '('}}", `"(" is no regular expression`},
		{"no label", "steps:\n  - {tool: x, expect: {same_as: first}}", `no step before has the label "first"`},
		{"label twice", "steps:\n  - {tool: x, label: a}\n  - {tool: x, label: a}", `mine.yaml:3: label "a" is on another step already`},
		{"background has no reply", "steps:\n  - {tool: x, label: a}\n  - {tool: x, background: true, expect: {same_as: a}}", "put them on a later step"},
		{"arguments of nothing", "steps:\n  - {caller: x, args: {a: b}}", "go with tool"},
		{"no span", "steps:\n  - wait: soon", `mine.yaml:2: "soon" is no time span, such as 300ms or 2s`},
		{"too often", "steps:\n  - {repeat: 100000, steps: [{caller: x}]}", "10000 times at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("mine.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), "simulate: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestFilesThatAreRight(t *testing.T) {
	s := scenario(t, `
about: Everything that may stand in a file.
call: {type: phone, direction: outbound, metadata: {who: "{{name}}"}}
steps:
  - {tool: x, args: {day: 2035-07-16, n: 2}, method: put, label: a, save: {b: "(.)"}, expect: {contains: "{{time}}", within: 4s}}
  - {repeat: 2, steps: [{caller: "{{ n }} {{b}}"}]}
  - {tool: x, once: true, expect: {same_as: a}}
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
			t.Errorf("%s says nothing about itself", s.Name)
		}
		if same, err := Load(s.Name); err != nil || same.Name != s.Name {
			t.Errorf("%s: its file has another name: %v", s.Name, err)
		}
	}
	if _, err := Load("bokking"); err == nil || !strings.Contains(err.Error(), `no scenario "bokking"; there are barge-in, booking, cancel`) {
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

func TestEvent(t *testing.T) {
	for _, kind := range Types {
		body, err := Event(kind, nil)
		var e map[string]any
		if err != nil || json.Unmarshal(body, &e) != nil || dig(e, "message.type") != kind || dig(e, "message.call.id") == "" {
			t.Errorf("%s: %v, type %v", kind, err, dig(e, "message.type"))
		}
	}
	body, err := Event("conversation-update", map[string]string{
		"message.call.status": "finished", "message.call.assistantCallDuration": "12", "message.call.metadata": `{"a":true}`,
		"message.new.deep": "x", "message.messages.1.text": "Changed.", "message.phone": "null",
	})
	if err != nil {
		t.Fatal(err)
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
		t.Errorf("said %v", got)
	}
	for path, says := range map[string]string{
		"message.type.x": `path "message.type.x": "x" is inside of neither an object nor a list`, "message.messages.7": `"7" is no number of one of 2`,
	} {
		if _, err := Event("hang", map[string]string{path: "1"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := Event("hung", nil); err == nil || !strings.Contains(err.Error(), `no event "hung"; there are status-update`) {
		t.Error(err)
	}
}
