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

// FunctionOptions configure a function. The zero value of a field means its default.
type FunctionOptions struct {
	// Bootstrap is the path of the built program. Required.
	Bootstrap string

	// Name of the function. Default: "function".
	Name string

	// Env is the environment of the function as KEY=value, in addition to what
	// Lambda itself sets. It inherits nothing.
	Env []string

	// Timeout is how long an invocation may take. Default: 3 s, as on Lambda.
	Timeout time.Duration

	// MaxConcurrency is how many run at the same time; one more invocation is
	// throttled. Default: 10.
	MaxConcurrency int

	// Freeze suspends the process (SIGSTOP) after the last byte of its reply until
	// the next invocation.
	Freeze bool

	// MaxInvocations ends an environment after that many invocations. Default: never.
	MaxInvocations int

	// Log receives the output of the processes. Default: discarded.
	Log io.Writer

	// Trace, if not nil, is called after each invocation with what Lambda's REPORT
	// lines have. It may be called concurrently.
	Trace func(Report)
}

// A Report has the durations of an invocation.
type Report struct {
	RequestID string
	Init      time.Duration // from exec until it requests work; 0 in a warm environment
	Duration  time.Duration
	Err       error
}

// maxInit is Lambda's timeout of the init phase.
const maxInit = 10 * time.Second

// A Function is a Lambda function: a program in as many execution environments as
// its concurrent invocations need.
type Function struct {
	o FunctionOptions

	mu     sync.Mutex
	warm   []*environment // idle, the most recently used last
	all    map[*environment]bool
	closed bool
	work   sync.WaitGroup // running invocations
}

// NewFunction returns a function. No process runs until it is invoked; Close ends
// them.
func NewFunction(o FunctionOptions) *Function {
	o.Name = cmp.Or(o.Name, "function")
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.MaxConcurrency = cmp.Or(o.MaxConcurrency, 10)
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = proc.SyncWriter(o.Log)
	if path, err := filepath.Abs(o.Bootstrap); err == nil {
		o.Bootstrap = path
	}
	return &Function{o: o, all: map[*environment]bool{}}
}

// Invoke runs the function on an event and returns its reply. Errors are
// [ErrThrottled], [ErrTooLarge], [ErrClosed] or a [*FunctionError]. When ctx ends
// the function continues, as on Lambda.
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
	go func() { // ends with the invocation, which has a deadline
		defer f.work.Done()
		out, err := e.invoke(payload)
		for range 3 { // the process may have ended after its last reply, as after a panic
			if !errors.Is(err, errGone) {
				break
			}
			e = f.replace(e)
			out, err = e.invoke(payload)
		}
		f.release(e)
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

// release returns an environment to the warm ones, or closes it.
func (f *Function) release(e *environment) {
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

// replace closes an environment and returns a new one.
func (f *Function) replace(old *environment) *environment {
	_ = old.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, old)
	e := &environment{o: &f.o, closed: f.closed}
	f.all[e] = true
	return e
}

// Kill ends every idle environment with SIGKILL, as Lambda does when it no longer
// needs them, and returns their number. The next invocation is a cold start.
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

// Crash ends every environment with SIGKILL, as when a host fails, and returns their
// number. Running invocations fail.
func (f *Function) Crash() int {
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.all))
	f.mu.Unlock()
	for _, e := range all {
		_ = e.signal(proc.Kill)
	}
	return len(all)
}

// Close ends all environments and waits for them. Running invocations fail.
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
