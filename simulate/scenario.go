package simulate

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed scenarios/*.yaml
var builtin embed.FS

// A Scenario is a call to play. docs/scenarios.md#fields describes the file.
type Scenario struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	Call  struct {
		Type      string         `yaml:"type"`      // phone (default) or web
		Direction string         `yaml:"direction"` // inbound (default) or outbound
		Assistant AssistantField `yaml:"assistant"`
		Numbers   NumbersField   `yaml:"numbers"`
		Metadata  map[string]any `yaml:"metadata"`
		Variables map[string]any `yaml:"variables"` // the assistant's dynamic variables
	} `yaml:"call"`
	Steps  []Step        `yaml:"steps"`
	Expect ExpectedState `yaml:"expect"`

	file       string // that it was read from, for messages
	expectLine int    // of expect in the file, 0 if it is not written
}

// An AssistantField is the assistant that takes the call. Empty fields have the
// values of the simulator's own.
type AssistantField struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

// A NumbersField has the phone numbers of a call, in E.164. An empty one is
// invented.
type NumbersField struct {
	Caller    string `yaml:"caller"`
	Assistant string `yaml:"assistant"`
}

// where names a line of the scenario's file as editors read it.
func (s Scenario) where(line int) string { return fmt.Sprintf("%s:%d", cmp.Or(s.file, s.Name), line) }

// expectsState reports whether the scenario says what the final state is.
func (s Scenario) expectsState() bool { return s.expectLine > 0 || s.Expect != ExpectedState{} }

// A Step is one thing that happens in a call. Exactly one of its actions is set.
type Step struct {
	Status    string      `yaml:"status"`    // the call's status changes: status-update
	Assistant string      `yaml:"assistant"` // the assistant says this: conversation-update
	Caller    string      `yaml:"caller"`    // the caller says this: conversation-update
	Tool      string      `yaml:"tool"`      // the assistant calls this tool
	Hang      bool        `yaml:"hang"`      // the assistant is silent for 5 s
	Error     *ErrorStep  `yaml:"error"`     // a model or voice vendor fails: error
	Report    *ReportStep `yaml:"report"`    // the call is analyzed: end-of-call-report
	Wait      Duration    `yaml:"wait"`      // nothing is sent
	Stub      string      `yaml:"stub"`      // the system of this name in Options.Stubs changes its state
	Repeat    int         `yaml:"repeat"`    // how often Steps are played; {{n}} counts from 1
	Steps     []Step      `yaml:"steps"`

	EndedBy    string            `yaml:"ended_by"`   // with status finished or failed: bot, user or system
	Skipped    string            `yaml:"skipped"`    // with caller: the assistant's message that the caller interrupted
	Method     string            `yaml:"method"`     // with tool: default POST
	Args       map[string]any    `yaml:"args"`       // with tool
	Query      map[string]string `yaml:"query"`      // with tool: added to its URL
	Headers    map[string]string `yaml:"headers"`    // with tool: header fields of the request
	Label      string            `yaml:"label"`      // with tool: the name that same_as refers to
	Background bool              `yaml:"background"` // with tool: continue before the reply arrives
	Idempotent bool              `yaml:"idempotent"` // with tool: a repeated request must get the same bytes
	Capture    map[string]string `yaml:"capture"`    // with tool: regular expressions with one group, by variable
	Expect     *Reply            `yaml:"expect"`     // with tool
	Is         StubState         `yaml:"is"`         // with stub: up, slow, failing or down

	line int
}

// An ErrorStep is a failure of a model or voice vendor.
type ErrorStep struct {
	Type     string `yaml:"type"`
	Code     string `yaml:"code"`
	Message  string `yaml:"message"`
	Provider string `yaml:"provider"`
}

// A ReportStep is the analysis of the call.
type ReportStep struct {
	Summary string         `yaml:"summary"`
	Success string         `yaml:"success"`
	Outcome string         `yaml:"outcome"`
	Data    map[string]any `yaml:"data"`
}

// A Reply is what a step expects of the tool's result.
type Reply struct {
	Contains    string   `yaml:"contains"`
	NotContains string   `yaml:"not_contains"`
	Equals      string   `yaml:"equals"`
	Matches     string   `yaml:"matches"` // a regular expression
	SameAs      string   `yaml:"same_as"` // the label of another step
	Within      Duration `yaml:"within"`  // and [WithinMargin]
}

// An ExpectedState is what a scenario expects in the backend's store when
// everything has arrived. It is compared with Options.State.
type ExpectedState struct {
	Status   string `yaml:"status"`
	Messages *int   `yaml:"messages"` // default: those of the longest conversation sent
	Ended    *bool  `yaml:"ended"`
	Report   *bool  `yaml:"report"`
}

// A Duration is a duration in a file, such as 300ms or 2s.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is not a duration, such as 300ms or 2s", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler. It records the line for messages.
func (s *Step) UnmarshalYAML(n *yaml.Node) error {
	type plain Step
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	s.line = n.Line
	return nil
}

// List returns the built-in scenarios, ordered by name.
func List() []Scenario {
	files, err := builtin.ReadDir("scenarios")
	if err != nil {
		panic(err) // they are embedded
	}
	var all []Scenario
	for _, f := range files {
		s, err := Load(strings.TrimSuffix(f.Name(), ".yaml"))
		if err != nil {
			panic(err)
		}
		all = append(all, s)
	}
	return all
}

// Load returns the built-in scenario of the name, or reads one from a file if the
// name ends in .yaml or .yml.
func Load(name string) (Scenario, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		data, err := os.ReadFile(name)
		if err != nil {
			var pathErr *fs.PathError // repeats the name
			if errors.As(err, &pathErr) {
				err = pathErr.Err
			}
			return Scenario{}, fmt.Errorf("simulate: scenario %s cannot be read: %w", name, err)
		}
		return Parse(name, data)
	}
	data, err := builtin.ReadFile("scenarios/" + name + ".yaml")
	if err != nil {
		var names []string
		files, _ := builtin.ReadDir("scenarios")
		for _, f := range files {
			names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
		}
		return Scenario{}, fmt.Errorf("simulate: no scenario %q; the built-in ones are %s; or give the path of a .yaml file", name, strings.Join(names, ", "))
	}
	return Parse(name+".yaml", data)
}
