package core

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

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

	// Type is the Go type of the error or of the panic's value, and Fingerprint a
	// digest of Name, Type and Place: the same mistake has the same one. Neither
	// quotes anybody.
	Type, Fingerprint string

	// CallTag stands for the call in logs; "" if it is not known.
	CallTag string
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
// An error of [Say] is a decision and no failure, unless its Err is set. Hooks are
// called while the sender waits, so they must return at once. Production logs have
// everything of a Failure that quotes nobody; a hook has the rest:
//
//	p.OnFailure(func(ctx context.Context, f core.Failure) { page(f.Name, f.Place, f.Fingerprint) })
func (p *Processor) OnFailure(f func(ctx context.Context, f Failure)) {
	p.mustNotBeBound()
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
			f.Place = stack.Place(frame.File, frame.Line)
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

// reportFailure logs what quotes nobody, and calls the hooks. A panic is a mistake
// in the program that somebody has to fix; an error may be an outage that passes.
func (p *Processor) reportFailure(ctx context.Context, f Failure) {
	f.CallTag = p.tag(callIn(ctx))
	f.Fingerprint = callstate.Digest("failure", f.Name, f.Effect, f.Type, f.Place)[:12]
	log, what := p.log.Warn, "tool failed"
	if f.Kind == FailureHandler {
		what = "handler failed"
	}
	if f.Panic != nil {
		log, what = p.log.Error, f.panicMessage()
	}
	var tool, handler string
	if f.Kind == FailureTool {
		tool = f.Name
	} else {
		handler = f.Name
	}
	log(what, "tool", tool, "handler", handler, "effect", f.Effect, "type", string(f.Event), "call", f.CallTag,
		"go_type", f.Type, "place", f.Place, "fingerprint", f.Fingerprint)
	for _, hook := range p.onFailure {
		func() {
			defer func() { _ = recover() }() // of a hook: the failure is logged already
			hook(ctx, f)
		}()
	}
}

func (f Failure) panicMessage() string {
	if f.Kind == FailureTool {
		return "tool panicked"
	}
	return "handler panicked"
}

// callIn returns the id of the call of a context, "" if there is none.
func callIn(ctx context.Context) event.CallID {
	if k, _ := ctx.Value(callKey{}).(*callContext); k != nil {
		return k.call.ID
	}
	return ""
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
