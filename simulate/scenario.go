package simulate

import (
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
		Metadata  map[string]any `yaml:"metadata"`
	} `yaml:"call"`
	Steps  []Step `yaml:"steps"`
	Expect Final  `yaml:"expect"`
}

// A Step is one thing that happens. Just one of its actions is set.
type Step struct {
	Status    string      `yaml:"status"`    // the call's status changes: a status-update
	Assistant string      `yaml:"assistant"` // the assistant says this: a conversation-update
	Caller    string      `yaml:"caller"`    // the caller says this: a conversation-update
	Tool      string      `yaml:"tool"`      // the assistant calls this tool
	Hang      bool        `yaml:"hang"`      // the assistant is silent for 5 s
	Error     *ErrorStep  `yaml:"error"`     // a model or a voice fails
	Report    *ReportStep `yaml:"report"`    // the end-of-call-report
	Wait      Duration    `yaml:"wait"`      // nothing happens
	Repeat    int         `yaml:"repeat"`    // Steps so many times; {{n}} counts from 1
	Steps     []Step      `yaml:"steps"`

	By         string            `yaml:"by"`         // with status finished: who ended it: bot, user or system
	Skipped    string            `yaml:"skipped"`    // with caller: what the assistant was kept from saying
	Method     string            `yaml:"method"`     // with tool: default POST
	Args       map[string]any    `yaml:"args"`       // with tool
	Label      string            `yaml:"label"`      // with tool: a name for same_as
	Background bool              `yaml:"background"` // with tool: go on before the reply is there
	Once       bool              `yaml:"once"`       // with tool: it changes something, so the same request again must get the same bytes
	Save       map[string]string `yaml:"save"`       // with tool: variable: regular expression with one group
	Expect     *Reply            `yaml:"expect"`     // with tool

	line int
}

// An ErrorStep is a failure of a model or a voice.
type ErrorStep struct {
	Type     string `yaml:"type"`
	Code     string `yaml:"code"`
	Message  string `yaml:"message"`
	Provider string `yaml:"provider"`
}

// A ReportStep is what the analysis made of the call.
type ReportStep struct {
	Summary string         `yaml:"summary"`
	Success string         `yaml:"success"`
	Outcome string         `yaml:"outcome"`
	Data    map[string]any `yaml:"data"`
}

// A Reply is what is expected of a tool's result.
type Reply struct {
	Contains string   `yaml:"contains"`
	Lacks    string   `yaml:"lacks"`
	Equals   string   `yaml:"equals"`
	Matches  string   `yaml:"matches"` // a regular expression
	SameAs   string   `yaml:"same_as"` // the label of another step
	Within   Duration `yaml:"within"`
}

// Final is what is expected of the call in the backend's store when everything
// has arrived. It is checked through Options.State.
type Final struct {
	Status   string `yaml:"status"`
	Messages *int   `yaml:"messages"` // default: as many as the backend was told of
	Ended    *bool  `yaml:"ended"`
	Report   *bool  `yaml:"report"`
}

// A Duration is a time span in a file: 300ms, 2s.
type Duration time.Duration

// UnmarshalYAML reads a span.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is no time span, such as 300ms or 2s", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML keeps the line for messages.
func (s *Step) UnmarshalYAML(n *yaml.Node) error {
	type plain Step
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	s.line = n.Line
	return nil
}

// List returns the built-in scenarios, by name.
func List() []Scenario {
	files, err := builtin.ReadDir("scenarios")
	if err != nil {
		panic(err) // they are part of the program
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

// Load returns a built-in scenario by its name, or reads one from a file whose
// path ends in .yaml or .yml.
func Load(name string) (Scenario, error) {
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		data, err := os.ReadFile(name)
		if err != nil {
			var at *fs.PathError // the name is said already
			if errors.As(err, &at) {
				err = at.Err
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
		return Scenario{}, fmt.Errorf("simulate: no scenario %q; there are %s, or give the path of a .yaml file", name, strings.Join(names, ", "))
	}
	return Parse(name, data)
}
