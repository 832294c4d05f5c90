package simulate

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed scenarios/*.yaml
var builtin embed.FS

// A Scenario is a call to play. docs/scenarios.md describes the file.
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
	Once       bool              `yaml:"once"`       // with tool: the same request again must get the same bytes
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
	Messages *int   `yaml:"messages"` // default: as many as were said
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

// UnmarshalYAML keeps the line for messages. It is strict: the decoder's own
// strictness does not reach through a method.
func (s *Step) UnmarshalYAML(n *yaml.Node) error {
	type plain Step
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if !slices.Contains(stepFields, n.Content[i].Value) {
				return fmt.Errorf("line %d: a step has no %q; it has %s", n.Content[i].Line, n.Content[i].Value, strings.Join(stepFields, ", "))
			}
		}
	}
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	s.line = n.Line
	return nil
}

var stepFields = strings.Fields("status assistant caller tool hang error report wait repeat steps by skipped method args label background once save expect")

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
			return Scenario{}, fmt.Errorf("simulate: scenario %s cannot be read: %w", name, errors.Unwrap(err))
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

// Parse reads a scenario. Errors name the file and the line.
func Parse(file string, data []byte) (Scenario, error) {
	var s Scenario
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("simulate: %s: %w", file, err)
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	if len(s.Steps) == 0 {
		return s, fmt.Errorf("simulate: %s: a scenario needs steps; see docs/scenarios.md", file)
	}
	if err := check(s.Steps, map[string]bool{}); err != nil {
		return s, fmt.Errorf("simulate: %s: %w", file, err)
	}
	return s, nil
}

// check finds what cannot be played.
func check(steps []Step, labels map[string]bool) error {
	for _, s := range steps {
		if n := s.actions(); n != 1 {
			return fmt.Errorf("line %d: a step does one thing, this one does %d", s.line, n)
		}
		if s.Repeat < 0 || s.Repeat > 10_000 || (s.Repeat > 0) != (len(s.Steps) > 0) {
			return fmt.Errorf("line %d: repeat goes with steps, at most 10000 times", s.line)
		}
		if s.Tool == "" && (s.Args != nil || s.Method != "" || s.Label != "" || s.Save != nil || s.Expect != nil || s.Background || s.Once) {
			return fmt.Errorf("line %d: args, method, label, save, expect, background and once go with tool", s.line)
		}
		for _, pattern := range s.Save {
			if re, err := regexp.Compile(pattern); err != nil || re.NumSubexp() != 1 {
				return fmt.Errorf("line %d: %q is no regular expression with one group", s.line, pattern)
			}
		}
		if e := s.Expect; e != nil {
			if e.SameAs != "" && !labels[e.SameAs] {
				return fmt.Errorf("line %d: no step before has the label %q", s.line, e.SameAs)
			}
			if _, err := regexp.Compile(e.Matches); err != nil {
				return fmt.Errorf("line %d: %q is no regular expression", s.line, e.Matches)
			}
		}
		if s.Label != "" {
			labels[s.Label] = true
		}
		if err := check(s.Steps, labels); err != nil {
			return err
		}
	}
	return nil
}

func (s Step) actions() (n int) {
	for _, is := range []bool{s.Status != "", s.Assistant != "", s.Caller != "", s.Tool != "", s.Hang,
		s.Error != nil, s.Report != nil, s.Wait > 0, s.Repeat != 0} {
		if is {
			n++
		}
	}
	return n
}
