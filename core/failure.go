package core

import "context"

// A Failure is what went wrong in the backend's own code: see
// [Processor.OnFailure]. Err, Panic and Stack may quote a patient.
type Failure struct {
	Kind  FailureKind
	Name  string // the tool's name, or the handler's: "clinic.New.func3"
	Event string // the event's type, "" for a tool

	Err   error  // what was returned; nil after a panic
	Panic any    // the panic's value; nil after an error
	Stack []byte // of the panic, as runtime/debug prints it

	// Place is the file and line of the first frame of a panic in the backend's own
	// code, "desk.go:41"; of an error, where the function that returned it begins.
	Place string

	// Type is the Go type of the error or of the panic's value, and Fingerprint a
	// digest of Type and Place: the same mistake has the same one.
	Type, Fingerprint string

	// CallTag stands for the call in logs.
	CallTag string
}

// A FailureKind is what failed.
type FailureKind string

// The kinds.
const (
	FailureTool    FailureKind = "tool"
	FailureHandler FailureKind = "handler"
	FailureReply   FailureKind = "reply"
)

// OnFailure adds a hook that is called when a tool, a handler or a reply of the
// backend's own has returned an error that is not a sentence, or has panicked.
func (p *Processor) OnFailure(f func(ctx context.Context, f Failure)) {
	p.mustNotBeBound()
	p.onFailure = append(p.onFailure, f)
}

// A HandlerOption changes a handler: see [ForTenants].
type HandlerOption func(*handler)

// ForTenants makes a handler one for events of some tenants only, by the names of
// their secrets.
func ForTenants(names ...string) HandlerOption {
	return func(h *handler) { h.tenants = names }
}
