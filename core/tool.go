package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/arguments"
)

// An Effect is what a tool does to the world, and so what happens if the same
// request is received twice.
type Effect int

const (
	// SideEffect is the default: the tool changes something. The same request
	// runs at most once, and its duplicates get the same bytes while nothing else
	// was changed in that call. If the outcome of a run is not known, because of
	// an error, a panic or a crash, it is reconciled or refused, never run again.
	SideEffect Effect = iota

	// ReadOnly means that the tool changes nothing. It runs for every request,
	// even if the store is down.
	ReadOnly

	// Idempotent means that the tool changes something, and running it again is
	// harmless, because it passes on the key of its [Invocation] or sets an
	// absolute value. It runs again after any error, after a crash, and if
	// something else was changed in that call since.
	Idempotent
)

// A Tool describes a function that the assistant may call.
type Tool struct {
	// Name identifies the tool to the assistant, and is the last part of its URL:
	// up to 64 letters, digits, "_" and "-".
	Name string

	// Description explains to the model what the tool does and when to call it.
	Description string

	// Effect is what the tool changes. Default: [SideEffect].
	Effect Effect

	// IdempotencyArgs are the JSON names of the arguments that identify a request.
	// Default: all of them. Only for tools that change something.
	IdempotencyArgs []string

	// CallerArgs are the JSON names of the arguments that identify the caller,
	// such as a phone number. They matter only for requests that do not name their
	// call (docs/tools.md#which-call): without them two callers who ask for the
	// same within 20 seconds are taken for one; with them the same caller is
	// recognized for 15 minutes.
	CallerArgs []string

	// Undoes are the names of the tools whose effect this one takes back, as a
	// cancellation does with a booking. After its success the same booking in the
	// same call is a new one; otherwise the assistant says that it was done before,
	// and not again. The identifying arguments that both tools have must be the
	// same, and there must be one: otherwise it may have undone another booking.
	Undoes []string

	// Tenants are the names of the secrets whose senders may call the tool; for
	// others there is none of this name. Default: everybody.
	Tenants []string

	// Headers and Query are the names of the header fields and query parameters
	// of the request that the tool reads with [Call.Header] and [Call.Query].
	Headers, Query []string

	// Budget is how long the caller may wait for the reply. After that the
	// assistant says that it is still being worked on. Default: [DefaultBudget];
	// never more than the platform allows.
	Budget time.Duration

	// Location is the time zone of the tool: an argument of type [time.Time] that
	// comes without a zone is in it, and every one arrives in it. Default: UTC.
	Location *time.Location

	// Language is what is said in place of this tool's results, such as "es", also
	// about its arguments: see [Sentences]. Default: what [Processor.SpeakLanguage]
	// chooses for the call, or else English.
	Language string

	// StartMessage is what the assistant says while the tool runs: one line that can
	// be spoken, variables of the assistant in it ({{name}}) allowed. Default: what
	// the model comes up with.
	StartMessage string

	// Async, Strict and Method are settings of the platform, for the tool's
	// [ToolDefinition]. Async means that the assistant neither waits nor reads the
	// result. Strict holds the model to the schema, for which all arguments must be
	// required. Method is GET, POST, PUT, PATCH or DELETE; default: the platform's,
	// which is POST. Here the tool is reached by each of them.
	Async, Strict bool
	Method        string
}

// A ToolFunc does the work of a tool. Its context ends when the work must stop:
// some time after the reply deadline, or at it on platforms that freeze the
// process after a reply. It does not end if the sender disconnects. The context
// carries the [Invocation]. The result is sent as one line: a string or a
// fmt.Stringer as it is, anything else as JSON, and an empty string or nil as a
// sentence that says so. After an error of a tool that
// changes something the caller hears that it is not certain whether that went
// through. [Say] chooses the sentence, and means that nothing was changed, as
// does [NotApplied]; [Uncertain] means that something may have been.
type ToolFunc[In, Out any] func(ctx context.Context, in In) (Out, error)

// AddTool adds a tool to p. The struct In is what the model is given as the schema
// of the arguments: `json` tags name the fields, and those that are pointers or
// have omitempty or omitzero are optional. Other tags say what a value must be:
//
//	type Booking struct {
//		Service string        `json:"service" jsonschema:"what the visit is for" enum:"cleaning|checkup|filling"`
//		Day     time.Time     `json:"day" format:"date"`
//		Length  time.Duration `json:"length,omitzero" examples:"PT30M"`
//		Guests  int           `json:"guests,omitzero" minimum:"1" maximum:"4"`
//		Zip     string        `json:"zip" pattern:"^[0-9]{5}$" examples:"94110"`
//	}
//
// A field with a from tag is hidden: it is filled from the request and not in the
// schema, and the model cannot set it. Without a value the tool does not run, unless
// the field is optional.
//
//	Clinic string `from:"query=clinic"`      // of the tool's URL
//	Region string `from:"header=X-Region"`
//	Number string `from:"call=user_number"`  // a field of Call, or metadata.NAME
//	Tenant string `from:"tenant"`
//
// The formats are date, date-time, duration, email and uuid. The tags of a list are
// about its items. What is text, a number or a boolean is converted to what the
// field is, integers keep all of their digits, and arguments that do not match never
// reach f: the model is given a sentence that names the argument and what it must be.
//
// It panics if the name is taken or invalid, if In is not a struct or has a field
// that no argument can fill, if a tag is wrong, or if IdempotencyArgs names an
// unknown argument: these are mistakes in the program, found at its start.
func AddTool[In, Out any](p *Processor, t Tool, f ToolFunc[In, Out]) RegisteredTool[In, Out] {
	mustBeFunction("AddTool("+t.Name+")", f)
	added := p.addTool(t, reflect.TypeFor[In]())
	added.place = placeOf(f)
	added.run = func(ctx context.Context, args []byte) (any, error) {
		var in In
		if err := added.shape.Decode(args, &in); err != nil {
			return nil, NotApplied(errBadArguments) // the decoder's text quotes the value
		}
		return f(ctx, in)
	}
	return RegisteredTool[In, Out]{added}
}

// A RegisteredTool is a tool that was added to a Processor. Its methods are what
// not every tool needs.
type RegisteredTool[In, Out any] struct{ t *tool }

// Reconcile sets the function that finds out whether the effect of a request
// holds: after a crash or an error left it open, and if something else was changed
// in that call since. f returns the result and true if it does, false if it
// certainly does not (then the tool runs), and an error if that is unknown for now.
// It is called only when the run has certainly ended.
func (h RegisteredTool[In, Out]) Reconcile(f func(ctx context.Context, in In) (out Out, done bool, err error)) {
	mustBeFunction("Reconcile("+h.t.Name+")", f)
	h.t.reconcile = func(ctx context.Context, args []byte) (any, bool, error) {
		var in In
		if err := h.t.shape.Decode(args, &in); err != nil {
			return nil, false, errBadArguments
		}
		return f(ctx, in)
	}
}

// A tool is a Tool with its types erased.
type tool struct {
	Tool
	place
	shape     *arguments.Shape
	run       func(ctx context.Context, args []byte) (any, error)
	reconcile func(ctx context.Context, args []byte) (any, bool, error) // may be nil
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
	}
	shape, err := arguments.Of(in, cmp.Or(t.Location, time.UTC))
	if err != nil {
		fail("%v", err)
	}
	if err := t.checkDefinition(shape); err != nil {
		fail("%v", err)
	}
	added := &tool{Tool: t, shape: shape}
	added.Budget = cmp.Or(t.Budget, DefaultBudget)
	if err := added.checkHidden(); err != nil {
		fail("%v", err)
	}
	hidden := added.hiddenNames(func(string) bool { return true })
	for _, k := range slices.Concat(t.IdempotencyArgs, t.CallerArgs) {
		if !shape.Has(k) && !slices.Contains(hidden, k) {
			fail("key %q is not an argument", k)
		}
	}
	p.tools[t.Name] = added
	p.order = append(p.order, t.Name)
	return added
}

// checkTools checks what can be checked when all tools are there: it returns an
// error if one undoes a tool that there is not, and warns about those that may
// take two callers for one.
func (p *Processor) checkTools() error {
	for _, name := range p.order {
		t := p.tools[name]
		if err := p.checkTenants("tool "+name, t.Tenants); err != nil {
			return err
		}
		if err := errors.Join(p.checkHiddenTenant(t), p.checkSecretHeaders(t)); err != nil {
			return err
		}
		for _, other := range t.Undoes {
			if u := p.tools[other]; u == nil || u.Effect == ReadOnly || t.Effect == ReadOnly {
				return fmt.Errorf("core: tool %q undoes %q: both must be tools that change something", name, other)
			}
		}
		if t.Language != "" && p.spoken(t.Language) == nil {
			return fmt.Errorf("core: tool %q speaks %q, which has no sentences: add them with AddSentences; there are %s", name, t.Language, p.languages())
		}
		for _, w := range t.warnings() {
			p.log.Warn("not every model takes this tool's definition (docs/tools.md#definition)", "tool", name, "reason", w.reason)
		}
		if t.Effect == SideEffect && len(t.CallerArgs) == 0 {
			p.log.Warn("without a call's id, two callers who ask this tool for the same within 20 s are taken for one: send the id (docs/tools.md#which-call), or set Tool.CallerArgs", "tool", name)
		}
	}
	return nil
}

// Tools returns the tools in the order in which they were added.
func (p *Processor) Tools() []Tool {
	ts := make([]Tool, len(p.order))
	for i, name := range p.order {
		ts[i] = p.tools[name].Tool
	}
	return ts
}

// An Invocation identifies one run of a tool, for the systems that the tool calls.
type Invocation struct {
	Tool string
	Call event.CallID // empty if the request does not name it

	// IdempotencyKey is the same for every run that makes up for one whose outcome
	// is not known, and different for any other request: also for the same one
	// that is made again after it was refused or undone. Empty for ReadOnly.
	IdempotencyKey string

	// FencingToken grows with every run for the same arguments, so that the system
	// behind the tool can refuse a run that was superseded.
	FencingToken int64
}

type invocationKey struct{}

// InvocationFromContext returns the invocation of a tool's context. ok is false
// for other contexts.
func InvocationFromContext(ctx context.Context) (inv Invocation, ok bool) {
	inv, ok = ctx.Value(invocationKey{}).(Invocation)
	return inv, ok
}
