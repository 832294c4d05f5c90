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
	text string        // the result as it is sent
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
		// What a panic says may quote a patient, so it goes nowhere.
		defer func() { _ = recover() }()
		v, err := t.run(ctx, args)
		if err == nil {
			r.text, err = resultText(v, t.Effect) // the value's own methods may panic as well
		}
		r.err = err
	})
	return r
}

// answer is what a finished run is answered with.
func (r *run) answer(t *tool) toolAnswer {
	state, otherwise := outcome(r.err), sayFailed
	switch {
	case r.err == nil:
		return toolAnswer{result: r.text, state: string(state)}
	case t.Effect == ReadOnly:
		state = callstate.ToolFailed
	case state == callstate.ToolIndeterminate && t.Effect == Idempotent:
		otherwise = saySafeAgain
	case state == callstate.ToolIndeterminate:
		otherwise = sayUncertain
	}
	return toolAnswer{result: sentence(r.err, otherwise), state: string(state)}
}
