package core

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/stack"
)

// A Failure is what went wrong in the backend's own code: see
// [Processor.OnFailure]. Err, Panic and Stack may quote a patient.
type Failure struct {
	Kind   FailureKind
	Name   string     // the tool's name, or the handler's function: "clinic.New.func3"
	Effect string     // what the handler is for: "status", "report", "ended" and so on; "" for a tool
	Event  event.Type // the event's type; "" for a tool, and for a call that the sweep has ended

	Err   error  // what was returned; nil after a panic
	Panic any    // the panic's value; nil after an error
	Stack []byte // of the panic, as runtime/debug prints it; nil after an error

	// Place is the file and line of a panic, of the first frame in the backend's own
	// code: "clinic/desk.go:41". Of an error it is where the function begins that
	// returned it.
	Place string

	// Type is the Go type of the panic's value, or of the first error in the chain
	// that does more than wrap another one.
	Type string

	// Fingerprint is a digest of the tool or the effect, the Type, and the function
	// in which it happened. The same mistake has the same one in the next build too,
	// unless the function was moved or renamed.
	Fingerprint string

	// Tenant and CallTag are of the call for which it happened: the name of its
	// sender's secret, and what stands for its id in logs. "" if they are not known.
	Tenant, CallTag string

	function string // in which it happened
}

// A FailureKind is what failed.
type FailureKind string

// The kinds.
const (
	FailureTool    FailureKind = "tool"
	FailureHandler FailureKind = "handler"
)

// OnFailure adds a hook that is called when the backend's own code has failed: a
// tool, its Reconcile, or a handler of events that returned an error or panicked.
// An error of [Say] is a decision and not a failure, unless its Err is set. The
// sender waits for hooks for a tenth of a second; one that takes longer goes on by
// itself, for ten seconds at most. Production logs have everything of a Failure that
// quotes nobody; a hook has the rest:
//
//	p.OnFailure(func(ctx context.Context, f core.Failure) { page(f.Name, f.Place, f.Fingerprint) })
func (p *Processor) OnFailure(f func(ctx context.Context, f Failure)) {
	p.mustNotBeBound()
	mustBeFunction("OnFailure", f)
	p.onFailure = append(p.onFailure, f)
}

// panicked returns f with what a panic says. It is called by the deferred function
// that recovered it, while the frames of the panic are still there.
func (f Failure) panicked(v any) Failure {
	f.Panic, f.Stack, f.Type = v, debug.Stack(), fmt.Sprintf("%T", v)
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for inside := false; ; {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			inside = true
		case inside && stack.IsBackend(frame.Function, frame.File):
			f.Place, f.function = stack.Place(frame.File, frame.Line), frame.Function
			return f
		}
		if !more {
			return f
		}
	}
}

// returned returns f with an error.
func (f Failure) returned(err error) Failure {
	f.Err, f.Type = err, fmt.Sprintf("%T", unwrapped(err))
	return f
}

// unwrapped returns the first error in a chain that does more than to wrap another.
func unwrapped(err error) error {
	for {
		switch t := fmt.Sprintf("%T", err); t {
		case "*fmt.wrapError", "*core.notApplied", "*core.uncertain", "*core.SayError":
		default:
			return err
		}
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// closure is what the compiler adds to the name of a function for one inside it. It
// changes when another one is added before.
var closure = regexp.MustCompile(`\.func\d.*|-range\d+.*`)

const (
	// hookPatience is how long the sender waits for the hooks of a failure, and
	// hookTimeout how long they may take.
	hookPatience = 100 * time.Millisecond
	hookTimeout  = 10 * time.Second
)

// reportFailure logs what quotes nobody, and calls the hooks. A panic is a mistake
// in the program that somebody has to fix; an error may be an outage that passes.
func (p *Processor) reportFailure(ctx context.Context, f Failure) {
	if k, _ := ctx.Value(callKey{}).(*callContext); k != nil {
		f.Tenant, f.CallTag = k.call.Tenant, p.tag(k.call.ID)
	}
	what := f.Effect
	if f.Kind == FailureTool {
		what = f.Name
	}
	f.Fingerprint = callstate.Digest("failure", string(f.Kind), what, f.Type, closure.ReplaceAllString(f.function, ""))[:12]
	p.logFailure(f)
	if len(p.onFailure) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookTimeout)
	called := make(chan struct{})
	p.work.Go(func() {
		defer close(called)
		defer cancel()
		for _, hook := range p.onFailure {
			p.callHook(ctx, hook, f)
		}
	})
	select {
	case <-called:
	case <-time.After(hookPatience):
	}
}

func (p *Processor) logFailure(f Failure) {
	log, verb, name := p.log.Warn, " failed", "handler"
	if f.Panic != nil {
		log, verb = p.log.Error, " panicked"
	}
	if f.Kind == FailureTool {
		name = "tool"
	}
	log(string(f.Kind)+verb, name, f.Name, "effect", f.Effect, "type", string(f.Event), "tenant", f.Tenant, "call", f.CallTag,
		"go_type", f.Type, "place", f.Place, "fingerprint", f.Fingerprint)
}

// callHook calls a hook. One that panics is a failure too, and no hook is called for it.
func (p *Processor) callHook(ctx context.Context, hook func(context.Context, Failure), f Failure) {
	defer func() {
		if v := recover(); v != nil {
			of := placeOf(hook)
			bad := Failure{Kind: FailureHandler, Name: of.function, Effect: "failure", Place: of.line, function: of.function}.panicked(v)
			bad.Tenant, bad.CallTag = f.Tenant, f.CallTag
			p.logFailure(bad)
		}
	}()
	hook(ctx, f)
}

// A place is where a function of the backend's is in its program.
type place struct {
	function string // "clinic.New.func3"
	line     string // of its beginning: "clinic/desk.go:41"
}

// placeOf returns the place of a function.
func placeOf(f any) place {
	fn := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	if fn == nil {
		return place{}
	}
	file, line := fn.FileLine(fn.Entry())
	return place{function: path.Base(strings.TrimSuffix(fn.Name(), "-fm")), line: stack.Place(file, line)}
}

// mustBeFunction panics if f is nil: it would be called much later.
func mustBeFunction(where string, f any) {
	if reflect.ValueOf(f).IsNil() {
		panic("core: " + where + ": the function is nil")
	}
}
