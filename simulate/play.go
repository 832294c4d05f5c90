package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A player plays one call.
type player struct {
	o    Options
	s    Scenario
	c    *call
	rand *rand.Rand // used by the call's own goroutine, as are c, held and replies

	held    []heldEvent
	replies map[string]chan string // by label, also of background tools

	accepted     atomic.Int64 // events that were answered 2xx
	sentMessages int          // in the longest conversation that was sent

	running sync.WaitGroup // requests in the background
	mu      sync.Mutex     // guards result and calls of OnStep
	result  Result
}

// play plays the call of a seed. When it returns, every request has ended.
func play(ctx context.Context, o Options, s Scenario, seed uint64) Result {
	r := rand.New(rand.NewPCG(seed, 7))
	start := time.Now()
	if o.NoDelay {
		start = start.Add(-length(s.Steps)) // so that it does not end in the future
	}
	p := &player{o: o, s: s, c: newCall(s, o, seed, r, start), rand: r, replies: map[string]chan string{}}
	p.result = Result{Scenario: s.Name, Call: p.c.id, Seed: seed, Failures: []string{}, Unchecked: []string{}, Steps: []StepResult{}}
	p.steps(ctx, s.Steps)
	p.running.Wait()
	p.flush(ctx)
	p.running.Wait()
	if ctx.Err() == nil {
		p.checkState(ctx)
	}
	return p.result
}

func (p *player) steps(ctx context.Context, steps []Step) {
	for _, s := range steps {
		if ctx.Err() != nil {
			return
		}
		p.step(ctx, s)
	}
}

// step plays a step: it advances the clock, changes the state of the call, and
// sends what Interactly sends.
func (p *player) step(ctx context.Context, s Step) {
	c := p.c
	before, after := delays(s)
	p.advance(ctx, before)
	switch {
	case s.Repeat > 0:
		for n := range s.Repeat {
			c.vars["n"] = fmt.Sprint(n + 1)
			p.steps(ctx, s.Steps)
		}
	case s.Status != "":
		p.notify(Progress{Line: s.line, Kind: "status", Text: s.Status})
		p.event(ctx, s.line, "status-update", c.statusUpdate(s.Status, s.EndedBy))
	case s.Assistant != "":
		text := c.expand(s.Assistant)
		p.notify(Progress{Line: s.line, Kind: "assistant", Text: text})
		p.event(ctx, s.line, "conversation-update", c.assistantSays(text))
	case s.Caller != "":
		text, skipped := c.expand(s.Caller), c.expand(s.Skipped)
		if skipped != "" {
			p.notify(Progress{Line: s.line, Kind: "skipped", Text: skipped})
		}
		p.notify(Progress{Line: s.line, Kind: "caller", Text: text})
		p.event(ctx, s.line, "conversation-update", c.callerSays(text, skipped))
	case s.Hang:
		p.hang(ctx, s.line)
	case s.Error != nil:
		p.notify(Progress{Line: s.line, Kind: "error", Text: s.Error.Type + ": " + s.Error.Code})
		p.event(ctx, s.line, "error", c.failure(*s.Error))
	case s.Report != nil:
		r := *s.Report
		r.Summary, r.Data = c.expand(r.Summary), c.expandAll(r.Data)
		p.notify(Progress{Line: s.line, Kind: "report", Text: r.Summary})
		p.event(ctx, s.line, "end-of-call-report", c.report(r))
	case s.Stub != "":
		p.notify(Progress{Line: s.line, Kind: "note", Text: s.Stub + " is " + string(s.Is)})
		if err := p.o.Stubs[s.Stub].Set(s.Is); err != nil {
			p.fail(s.line, "%s: %v", s.Stub, err)
		}
	case s.Tool != "":
		p.tool(ctx, s)
	}
	p.advance(ctx, after)
}

func (p *player) hang(ctx context.Context, line int) {
	p.notify(Progress{Line: line, Kind: "hang", Text: "the assistant has been silent for 5 s"})
	p.event(ctx, line, "hang", p.c.hang())
}

// delays returns the pauses of a real call before and after a step: people speak
// some 15 characters a second, and the report is made after the call
// (docs/events.md#end-of-call-report).
func delays(s Step) (before, after time.Duration) {
	switch {
	case s.Wait > 0:
		return time.Duration(s.Wait), 0
	case s.Status != "":
		return 200 * time.Millisecond, 0
	case s.Assistant != "":
		return time.Second, time.Duration(len(s.Assistant)) * 60 * time.Millisecond
	case s.Caller != "":
		return time.Second + time.Duration(len(s.Caller))*60*time.Millisecond, 0
	case s.Hang:
		return hangAfter, 0
	case s.Report != nil:
		return 2 * time.Second, 0
	case s.Tool != "":
		return 500 * time.Millisecond, 0
	}
	return 0, 0
}

// length returns how long steps take on the clock of the call.
func length(steps []Step) (all time.Duration) {
	for _, s := range steps {
		before, after := delays(s)
		all += before + after + time.Duration(s.Repeat)*length(s.Steps)
	}
	return all
}

// advance advances the clock of the call by d, and waits for d unless NoDelay is
// set.
func (p *player) advance(ctx context.Context, d time.Duration) {
	p.c.now = p.c.now.Add(d)
	if d > 0 && !p.o.NoDelay {
		sleep(ctx, time.Duration(float64(d)/p.o.Speed))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// fail adds a failure of the step at a line of the scenario.
func (p *player) fail(line int, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Failures = append(p.result.Failures, p.s.where(line)+": "+fmt.Sprintf(format, args...))
}

// failTool adds a failure of a step that calls a tool.
func (p *player) failTool(s Step, format string, args ...any) {
	p.fail(s.line, "%s: "+format, append([]any{s.Tool}, args...)...)
}

// notify calls OnStep.
func (p *player) notify(h Progress) {
	if p.o.OnStep == nil {
		return
	}
	h.Call, h.Scenario = p.c.id, p.s.Name
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.OnStep(h)
}
