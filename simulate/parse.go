package simulate

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads a scenario. Errors name the file, the line, and what is allowed
// there. Unknown fields are errors, because a misspelled expectation would never
// fail.
func Parse(file string, data []byte) (Scenario, error) {
	s := Scenario{file: file}
	if err := parse(data, &s); err != nil {
		return s, fmt.Errorf("simulate: %s", withPosition(file, err))
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return s, nil
}

func parse(data []byte, s *Scenario) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		if line, name := unquoted(data); line > 0 {
			return needsQuotes(line, name)
		}
		return err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("line 1: a scenario needs steps; see docs/scenarios.md")
	}
	if err := checkFields(doc.Content[0], reflect.TypeFor[Scenario](), "scenario"); err != nil {
		return err
	}
	if err := checkQuotes(doc.Content[0]); err != nil {
		return err
	}
	s.expectLine = lineOf(doc.Content[0], "expect")
	datesAsStrings(doc.Content[0])
	if err := doc.Decode(s); err != nil {
		return err
	}
	if len(s.Steps) == 0 {
		return fmt.Errorf("line 1: a scenario needs steps; see docs/scenarios.md")
	}
	line := doc.Content[0].Line
	if err := oneOf(line, "call.type", s.Call.Type, "phone", "web"); err != nil {
		return err
	}
	if err := oneOf(line, "call.direction", s.Call.Direction, "inbound", "outbound"); err != nil {
		return err
	}
	k := scope{labels: map[string]bool{}, vars: map[string]bool{}}
	for _, name := range []string{"name", "phone", "date", "time", "call"} {
		k.vars[name] = true
	}
	for _, v := range []any{s.Call.Metadata, s.Call.Variables, s.Call.Assistant.ID, s.Call.Assistant.Name, s.Call.Numbers.Caller, s.Call.Numbers.Assistant} {
		if err := k.texts(line, v); err != nil {
			return err
		}
	}
	return k.steps(s.Steps)
}

// lineOf returns the line of a field, 0 if it is not there.
func lineOf(n *yaml.Node, field string) int {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == field {
			return n.Content[i].Line
		}
	}
	return 0
}

// checkQuotes finds a variable without quotes, which YAML reads as an object whose
// key is an object.
func checkQuotes(n *yaml.Node) error {
	for i, in := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && in.Kind == yaml.MappingNode && len(in.Content) > 0 {
			return needsQuotes(n.Line, in.Content[0].Value)
		}
		if err := checkQuotes(in); err != nil {
			return err
		}
	}
	return nil
}

// unquotedVariable is a variable at the beginning of a value.
var unquotedVariable = regexp.MustCompile(`(?:^|[:\-,\[]\s*)\{\{ *([A-Za-z_][A-Za-z0-9_]*)`)

// unquoted returns the line and the name of the first variable without quotes in a
// file that is not YAML, whose error names another line; 0 if there is none.
func unquoted(data []byte) (line int, name string) {
	for text := range strings.Lines(string(data)) {
		line++
		for _, m := range unquotedVariable.FindAllStringSubmatchIndex(text, -1) {
			if before := text[:m[0]]; strings.Count(before, `"`)%2 == 0 && strings.Count(before, "'")%2 == 0 {
				return line, text[m[2]:m[3]]
			}
		}
	}
	return 0, ""
}

func needsQuotes(line int, name string) error {
	return fmt.Errorf("line %d: a text that begins with {{%s}} needs quotes around it, because YAML reads a brace as an object: \"{{%[2]s}}\"", line, name)
}

// datesAsStrings keeps dates as they are written: YAML decodes them as times, but
// tools expect text.
func datesAsStrings(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, in := range n.Content {
		datesAsStrings(in)
	}
}

var lineOfError = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\n +)?line ([0-9]+): `)

// withPosition returns the message of err after FILE:LINE, as editors expect.
func withPosition(file string, err error) string {
	text := err.Error()
	if m := lineOfError.FindStringSubmatch(text); m != nil {
		return file + ":" + m[1] + ": " + text[len(m[0]):]
	}
	return file + ": " + text
}

// checkFields finds fields that t does not have, at any depth. The decoder's own
// check does not apply inside UnmarshalYAML.
func checkFields(n *yaml.Node, t reflect.Type, what string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := checkFields(item, t.Elem(), strings.TrimSuffix(what, "s")); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		fields := map[string]reflect.Type{}
		var names []string
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("yaml"); name != "" {
				fields[name], names = t.Field(i).Type, append(names, name)
			}
		}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			of, ok := fields[key.Value]
			if !ok {
				return fmt.Errorf("line %d: %s has no %q; it has %s", key.Line, what, key.Value, strings.Join(names, ", "))
			}
			if err := checkFields(n.Content[i+1], of, key.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// A scope is what a step may refer to: labels and variables of earlier steps.
type scope struct{ labels, vars map[string]bool }

// maxRepeat bounds a call, so that a typo does not play for a year.
const maxRepeat = 10_000

// steps checks steps, and adds their labels and variables to the scope.
func (k scope) steps(steps []Step) error {
	for _, s := range steps {
		if err := k.step(s); err != nil {
			return err
		}
	}
	return nil
}

func (k scope) step(s Step) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("line %d: "+format, append([]any{s.line}, args...)...)
	}
	if names := s.actions(); len(names) != 1 {
		return bad("a step has exactly one of status, assistant, caller, tool, hang, error, report, wait, stub, repeat; this one has %d", len(names))
	}
	switch {
	case s.Repeat < 0 || s.Repeat > maxRepeat || (s.Repeat > 0) != (len(s.Steps) > 0):
		return bad("repeat needs steps, and is at most %d", maxRepeat)
	case s.Tool == "" && s.hasToolFields():
		return bad("args, query, headers, method, label, capture, expect, background and idempotent need tool")
	case (s.Stub == "") != (s.Is == ""):
		return bad("stub and is belong together: {stub: NAME, is: down}")
	case s.Status == "" && s.EndedBy != "":
		return bad("ended_by needs status")
	case s.Caller == "" && s.Skipped != "":
		return bad("skipped needs caller")
	case s.Background && (s.Capture != nil || (s.Expect != nil && s.Expect.SameAs != "")):
		return bad("capture and same_as need the reply, which a background tool does not have yet: put them on a later step")
	case s.Label != "" && k.labels[s.Label]:
		return bad("label %q is already on another step", s.Label)
	}
	if err := s.checkWords(); err != nil {
		return err
	}
	if s.Repeat > 0 && !k.vars["n"] {
		k.vars["n"] = true
		defer delete(k.vars, "n")
	}
	if err := k.references(s, bad); err != nil {
		return err
	}
	for name, pattern := range s.Capture {
		if re, err := regexp.Compile(pattern); err != nil || re.NumSubexp() != 1 {
			return bad("%q is not a regular expression with one group", pattern)
		}
		k.vars[name] = true
	}
	if s.Label != "" {
		k.labels[s.Label] = true
	}
	return k.steps(s.Steps)
}

func (s Step) hasToolFields() bool {
	return s.Args != nil || s.Query != nil || s.Headers != nil || s.Method != "" || s.Label != "" || s.Capture != nil || s.Expect != nil || s.Background || s.Idempotent
}

// checkWords checks the fields that allow a few words only.
func (s Step) checkWords() error {
	if err := oneOf(s.line, "status", s.Status, "initiated", "queued", "ongoing", "forwarded", "finished", "failed"); err != nil {
		return err
	}
	if err := oneOf(s.line, "ended_by", s.EndedBy, "bot", "user", "system"); err != nil {
		return err
	}
	if err := oneOf(s.line, "is", string(s.Is), "up", "slow", "failing", "down"); err != nil {
		return err
	}
	for name := range s.Headers {
		if name := http.CanonicalHeaderKey(name); name == secretHeader || name == "Authorization" {
			return fmt.Errorf("line %d: the header %s is not a scenario's: the secret is that of the run", s.line, name)
		}
	}
	return oneOf(s.line, "method", strings.ToUpper(s.Method), "GET", "POST", "PUT", "PATCH", "DELETE")
}

// references checks the labels, variables and expressions that a step uses.
func (k scope) references(s Step, bad func(string, ...any) error) error {
	texts := []any{s.Assistant, s.Caller, s.Skipped, s.Args}
	for _, m := range []map[string]string{s.Query, s.Headers} {
		for _, v := range m {
			texts = append(texts, v)
		}
	}
	if s.Report != nil {
		texts = append(texts, s.Report.Summary, s.Report.Data)
	}
	if e := s.Expect; e != nil {
		texts = append(texts, e.Contains, e.NotContains, e.Equals)
		if e.SameAs != "" && !k.labels[e.SameAs] {
			return bad("no earlier step has the label %q", e.SameAs)
		}
		if _, err := regexp.Compile(e.Matches); err != nil {
			return bad("%q is not a regular expression", e.Matches)
		}
	}
	for _, t := range texts {
		if err := k.texts(s.line, t); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(line int, field, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("line %d: %s is one of %s, not %q", line, field, strings.Join(allowed, ", "), value)
}

// texts checks that the variables in all texts of v are set.
func (k scope) texts(line int, v any) error {
	switch v := v.(type) {
	case string:
		for _, m := range variable.FindAllStringSubmatch(v, -1) {
			if !k.vars[m[1]] {
				return fmt.Errorf("line %d: variable {{%s}} is not set; there are %s", line, m[1], strings.Join(slices.Sorted(maps.Keys(k.vars)), ", "))
			}
		}
	case map[string]any:
		for _, of := range v {
			if err := k.texts(line, of); err != nil {
				return err
			}
		}
	case []any:
		for _, of := range v {
			if err := k.texts(line, of); err != nil {
				return err
			}
		}
	}
	return nil
}

// actions returns the names of the actions that s has.
func (s Step) actions() (names []string) {
	for name, is := range map[string]bool{"status": s.Status != "", "assistant": s.Assistant != "", "caller": s.Caller != "", "tool": s.Tool != "",
		"hang": s.Hang, "error": s.Error != nil, "report": s.Report != nil, "wait": s.Wait > 0, "stub": s.Stub != "", "repeat": s.Repeat != 0} {
		if is {
			names = append(names, name)
		}
	}
	return names
}
