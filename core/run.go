package core

import (
	"context"
	"errors"
	"time"

	"github.com/serverurl/serverurl/internal/callstate"
)

// A run is one execution of a tool's function.
type run struct {
	done chan struct{} // closed when the other fields are set
	text string        // the result as it is sent, "" for nothing
	err  error

	ended     time.Time
	outOfTime bool // it failed after its context had ended
}

var errPanicked = errors.New("core: tool panicked")

// start runs t on a context that outlives ctx by linger. Drain waits for it.
func (p *Processor) start(ctx context.Context, t *tool, args []byte, inv Invocation, linger time.Duration) *run {
	due, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), due.Add(linger), errWorkOver)
	ctx = withRunKeys(context.WithValue(ctx, invocationKey{}, inv))
	r := &run{done: make(chan struct{}), err: errPanicked}
	p.work.Go(func() {
		defer close(r.done)
		defer cancel()
		defer func() { r.ended, r.outOfTime = time.Now(), r.err != nil && ctx.Err() != nil }()
		r.text, r.err = p.runSafely(ctx, t, args)
	})
	return r
}

// result is what a run has returned. Nothing at all is a sentence: the platform
// ignores an empty result, and a model makes up what null means.
func (r *run) result(t *tool, say func() *Sentences) string {
	switch {
	case r.text != "":
		return r.text
	case t.Effect == ReadOnly:
		return say().Nothing
	}
	return say().Done
}

// runSafely runs the function of a tool, recovers its panic, and reports its
// failure.
func (p *Processor) runSafely(ctx context.Context, t *tool, args []byte) (text string, err error) {
	f := Failure{Kind: FailureTool, Name: t.Name, Place: t.line, function: t.function}
	defer func() {
		if v := recover(); v != nil {
			text, err = "", errPanicked // the panic's text may quote a patient
			p.reportFailure(ctx, f.panicked(v))
		}
	}()
	v, err := t.run(ctx, args)
	if err == nil {
		text, err = resultText(v) // the value's own methods may panic as well
	}
	if cause := causeOf(err); cause != nil {
		p.reportFailure(ctx, f.returned(cause))
	}
	return text, err
}

// causeOf returns the part of an error that is for the operator: nil, if it is a sentence
// of the tool's own and no more.
func causeOf(err error) error {
	if say, ok := errors.AsType[*SayError](err); ok {
		return say.Err
	}
	return err
}

// answer is what a finished run is answered with.
func (r *run) answer(t *tool, say func() *Sentences) toolAnswer {
	state := outcome(r.err)
	if r.err == nil {
		return toolAnswer{result: r.result(t, say), state: string(state)}
	}
	otherwise := say().Failed
	if errors.Is(r.err, errBadArguments) {
		otherwise = say().Unreadable
	}
	switch {
	case t.Effect == ReadOnly && isSaid(r.err) && causeOf(r.err) == nil:
		state = callstate.ToolDeclined
	case t.Effect == ReadOnly:
		state = callstate.ToolFailed
	case state == callstate.ToolIndeterminate && t.Effect == Idempotent:
		otherwise = say().SafeAgain
	case state == callstate.ToolIndeterminate:
		otherwise = say().Uncertain
	}
	return toolAnswer{result: sentence(r.err, otherwise), state: string(state)}
}
