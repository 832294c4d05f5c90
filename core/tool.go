package core

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/serverurl/serverurl/core/event"
)

// An Effect says what a tool does to the world, and so what happens when the
// same request comes twice.
type Effect int

const (
	// SideEffect is the default: the tool changes something. The same request
	// runs at most once; its duplicates get the same bytes. After a crash in
	// the middle it is reconciled or refused, never run again.
	SideEffect Effect = iota

	// ReadOnly means that the tool changes nothing. It runs for every request, also when the
	// store is down.
	ReadOnly

	// Idempotent means that the tool changes something, and running it again is harmless
	// because it passes on the key of its [Invocation] or sets an absolute
	// value. After a crash the next request runs it again.
	Idempotent
)

// Tool describes a function that the assistant may call.
type Tool struct {
	// Name is how the assistant knows the tool, and the last part of its URL:
	// letters, digits, "_" and "-", at most 64.
	Name string

	// Description tells the model what the tool does and when to call it.
	Description string

	Effect Effect

	// IdempotencyArgs names the arguments that make two requests the same, by their JSON
	// names. Default: all of them. Only for tools that change something.
	IdempotencyArgs []string

	// Budget is how long the caller may wait for the reply before being told
	// that it is still being worked on. Default: [DefaultBudget]; never more
	// than the platform allows.
	Budget time.Duration
}

// A ToolFunc does the work of a tool. Its context ends when the work may no
// longer go on, which on a platform that freezes is when the reply is due; it
// does not end when the caller's side hangs up. The context knows the
// [Invocation]. What it returns is sent as one line: a string or a
// fmt.Stringer as they are, anything else as JSON. An error becomes a sentence
// of ours; see [Say] to choose it and [NotApplied] to allow another try.
type ToolFunc[In, Out any] func(ctx context.Context, in In) (Out, error)

// AddTool adds a tool to p. The schema of its arguments comes from the struct
// In: `json` tags name the fields, those with omitempty or omitzero are
// optional, `jsonschema` tags describe them to the model. Arguments that do
// not match never reach f.
//
// It panics when the name is taken or not a name, when In is not a struct, or
// when Key names no field: mistakes of the program, seen at its start.
func AddTool[In, Out any](p *Processor, t Tool, f ToolFunc[In, Out]) RegisteredTool[In, Out] {
	added := p.addTool(t, reflect.TypeFor[In]())
	added.run = func(ctx context.Context, args []byte) (any, error) {
		var in In
		if err := json.Unmarshal(args, &in); err != nil {
			// The schema lets through what the type refuses, such as a date
			// that is not one. The decoder's text quotes the value.
			return nil, NotApplied(Say(sayArguments))
		}
		return f(ctx, in)
	}
	return RegisteredTool[In, Out]{added}
}

// A RegisteredTool is a tool that was added, for what not every tool needs.
type RegisteredTool[In, Out any] struct{ t *tool }

// Reconcile sets how to find out whether a request took effect, after a crash
// or an error left it open. f returns the result and true when it did, false
// when it certainly did not (the tool then runs), and an error when that
// cannot be told now. It is only asked when the first run can no longer be
// under way.
func (h RegisteredTool[In, Out]) Reconcile(f func(ctx context.Context, in In) (out Out, done bool, err error)) {
	h.t.reconcile = func(ctx context.Context, args []byte) (any, bool, error) {
		var in In
		if err := json.Unmarshal(args, &in); err != nil {
			return nil, false, errBadArguments
		}
		return f(ctx, in)
	}
}

// tool is a Tool with its types erased.
type tool struct {
	Tool
	schema     *jsonschema.Schema
	properties map[string]property
	run        func(ctx context.Context, args []byte) (any, error)
	reconcile  func(ctx context.Context, args []byte) (any, bool, error) // may be nil
}

// property is one argument of a tool.
type property struct {
	types    []string // JSON types that it may have
	resolved *jsonschema.Resolved
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (p *Processor) addTool(t Tool, in reflect.Type) *tool {
	fail := func(format string, args ...any) {
		panic(fmt.Sprintf("core: AddTool(%q): ", t.Name) + fmt.Sprintf(format, args...))
	}
	switch {
	case p.bound:
		fail("the processor is bound already")
	case !toolName.MatchString(t.Name):
		fail("not a name of letters, digits, _ and -")
	case p.tools[t.Name] != nil:
		fail("the name is taken")
	case in.Kind() != reflect.Struct:
		fail("arguments of type %v, want a struct", in)
	}
	schema, err := jsonschema.ForType(in, &jsonschema.ForOptions{})
	if err != nil {
		fail("no schema for %v: %v", in, err)
	}
	added := &tool{Tool: t, schema: schema, properties: map[string]property{}}
	added.Budget = cmp.Or(t.Budget, DefaultBudget)
	for name, s := range schema.Properties {
		resolved, err := s.CloneSchemas().Resolve(nil)
		if err != nil {
			fail("schema of %q: %v", name, err)
		}
		types := s.Types
		if s.Type != "" {
			types = []string{s.Type}
		}
		added.properties[name] = property{types: types, resolved: resolved}
	}
	for _, k := range t.IdempotencyArgs {
		if _, ok := added.properties[k]; !ok {
			fail("key %q is not an argument", k)
		}
	}
	p.tools[t.Name] = added
	p.order = append(p.order, t.Name)
	return added
}

// A ToolDefinition is a tool in the form of Interactly's API
// (docs/tools.md#definition): what is posted to create it there.
type ToolDefinition struct {
	Type     string `json:"type"` // "function"
	Async    bool   `json:"async"`
	Function struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Parameters  jsontext.Value `json:"parameters"` // JSON Schema of an object
		Strict      bool           `json:"strict"`
	} `json:"function"`
	Server struct {
		URL            string `json:"url"`
		TimeoutSeconds int    `json:"timeoutSeconds"`
	} `json:"server"`
}

// ToolDefinitions returns the tools in the order they were added, with their URLs
// below the base given ("https://example.com"). Secrets are not part of it.
func (p *Processor) ToolDefinitions(base string) []ToolDefinition {
	ds := make([]ToolDefinition, 0, len(p.order))
	for _, name := range p.order {
		t := p.tools[name]
		d := ToolDefinition{Type: "function"}
		d.Function.Name = t.Name
		d.Function.Description = t.Description
		d.Function.Parameters = t.parameters()
		d.Server.URL = base + "/tools/" + t.Name
		// Interactly's default. The tool answers well before it.
		d.Server.TimeoutSeconds = max(20, int(t.Budget/time.Second)+5)
		ds = append(ds, d)
	}
	return slices.Clip(ds)
}

// Tools returns the tools in the order they were added.
func (p *Processor) Tools() []Tool {
	ts := make([]Tool, len(p.order))
	for i, name := range p.order {
		ts[i] = p.tools[name].Tool
	}
	return ts
}

// parameters is the schema as models take it: they want properties even where
// there are none.
func (t *tool) parameters() jsontext.Value {
	if len(t.schema.Properties) == 0 {
		return jsontext.Value(`{"type":"object","properties":{},"additionalProperties":false}`)
	}
	b, err := json.Marshal(t.schema)
	if err != nil {
		panic("core: a schema that was made here cannot be encoded")
	}
	return b
}

// An Invocation is one run of a tool, for the tool to pass on.
type Invocation struct {
	Tool string
	Call event.CallID // empty where the request does not tell

	// IdempotencyKey is the same for every run of the same request, and no other: an
	// idempotency key for the system behind the tool. Empty for ReadOnly.
	IdempotencyKey string

	// FencingToken grows with every run of the same request, so that a system behind
	// the tool can refuse one that was overtaken.
	FencingToken int64
}

type invocationKey struct{}

// InvocationFromContext returns the invocation that a tool's context belongs to.
func InvocationFromContext(ctx context.Context) (Invocation, bool) {
	inv, ok := ctx.Value(invocationKey{}).(Invocation)
	return inv, ok
}
