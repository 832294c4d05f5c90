package runtimeapi

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/serverurl/serverurl/internal/proc"
)

// FunctionOptions describe a function. Zero fields mean their defaults.
type FunctionOptions struct {
	// Bootstrap is the path of the built program. Required.
	Bootstrap string

	// Name is the function's. Default: "function".
	Name string

	// Env is all that the function sees of the environment, besides what
	// Lambda itself sets, as KEY=value.
	Env []string

	// Timeout is how long an invocation may take. Default: 3 s, as Lambda's.
	Timeout time.Duration

	// MaxConcurrency is how many run at the same time; one more invocation is
	// throttled. Default: 10.
	MaxConcurrency int

	// Freeze stops the process on the last byte of its reply (SIGSTOP) until
	// the next invocation.
	Freeze bool

	// MaxInvocations ends an environment after that many invocations. Default: never.
	MaxInvocations int

	// Log gets what the processes write. Default: nowhere.
	Log io.Writer

	// Trace is called after each invocation, with what is in the REPORT lines of Lambda's
	// logs. It may be called concurrently.
	Trace func(Report)
}

// A Report is what an invocation took.
type Report struct {
	RequestID string
	Init      time.Duration // from exec to the first request for work; 0 in a warm environment
	Duration  time.Duration
	Err       error
}

// maxInit is how long Lambda lets the init of a function take.
const maxInit = 10 * time.Second

// A Function is one Lambda function: a program in as many execution
// environments as are needed at a time.
type Function struct {
	o FunctionOptions

	mu     sync.Mutex
	warm   []*environment // waiting, the one used last at the end
	all    map[*environment]bool
	closed bool
	work   sync.WaitGroup // invocations that run
}

// NewFunction returns a function. Nothing runs until it is invoked; Close ends
// what runs.
func NewFunction(o FunctionOptions) *Function {
	o.Name = cmp.Or(o.Name, "function")
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.MaxConcurrency = cmp.Or(o.MaxConcurrency, 10)
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = proc.Shared(o.Log)
	if path, err := filepath.Abs(o.Bootstrap); err == nil {
		o.Bootstrap = path
	}
	return &Function{o: o, all: map[*environment]bool{}}
}

// Invoke runs the function on an event and returns its reply. Errors are
// [ErrThrottled], [ErrTooLarge], [ErrClosed] or a [*FunctionError]. A caller
// who gives up does not stop the function, as on Lambda.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return nil, ErrTooLarge
	}
	e, err := f.take()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		out []byte
		err error
	}
	done := make(chan outcome, 1)
	go func() { // ends with the invocation, which its deadline ends
		defer f.work.Done()
		out, err := e.invoke(payload)
		for range 3 { // it may have ended after its last reply, as after a panic
			if !errors.Is(err, errGone) {
				break
			}
			e = f.replace(e)
			out, err = e.invoke(payload)
		}
		f.give(e)
		done <- outcome{out, err}
	}()
	select {
	case o := <-done:
		return o.out, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// take returns a warm environment, or a new one, for one invocation.
func (f *Function) take() (e *environment, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch n := len(f.warm); {
	case f.closed:
		return nil, ErrClosed
	case n > 0:
		e, f.warm = f.warm[n-1], f.warm[:n-1]
	case len(f.all) >= f.o.MaxConcurrency:
		return nil, ErrThrottled
	default:
		e = &environment{o: &f.o}
		f.all[e] = true
	}
	f.work.Add(1)
	return e, nil
}

// give takes an environment back, or throws it away.
func (f *Function) give(e *environment) {
	f.mu.Lock()
	keep := !f.closed && e.usable() && (f.o.MaxInvocations == 0 || e.uses < f.o.MaxInvocations)
	if keep {
		f.warm = append(f.warm, e)
	}
	f.mu.Unlock()
	if keep {
		return
	}
	e.close()
	f.mu.Lock()
	delete(f.all, e)
	f.mu.Unlock()
}

// replace throws an environment away and returns a new one in its place.
func (f *Function) replace(old *environment) *environment {
	_ = old.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, old)
	e := &environment{o: &f.o, closed: f.closed}
	f.all[e] = true
	return e
}

// Kill ends every waiting environment with SIGKILL, as Lambda does with what it no
// longer needs, and says how many those were. The next invocation is a cold start.
func (f *Function) Kill() int {
	f.mu.Lock()
	warm := f.warm
	f.warm = nil
	f.mu.Unlock()
	for _, e := range warm {
		e.close()
		f.mu.Lock()
		delete(f.all, e)
		f.mu.Unlock()
	}
	return len(warm)
}

// Crash ends every environment with SIGKILL in the middle of whatever it does,
// as when a host dies, and says how many those were. Invocations that run fail.
func (f *Function) Crash() int {
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.all))
	f.mu.Unlock()
	for _, e := range all {
		_ = e.signal(proc.End)
	}
	return len(all)
}

// Close ends all environments and waits for them. Invocations that run fail.
func (f *Function) Close() error {
	f.mu.Lock()
	f.closed = true
	all := slices.Collect(maps.Keys(f.all))
	f.mu.Unlock()
	var errs []error
	for _, e := range all {
		errs = append(errs, e.close())
	}
	f.work.Wait()
	return errors.Join(errs...)
}
