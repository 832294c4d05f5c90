package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A player plays one call.
type player struct {
	o    Options
	s    Scenario
	c    *call
	rand *rand.Rand // of the call's own goroutine, as are c, held and replies

	held    []heldEvent
	replies map[string]chan string // by label, of tools in the background too
	told    int                    // messages in the longest conversation that was delivered

	running sync.WaitGroup // requests that the call does not wait for
	mu      sync.Mutex     // of result, and of OnStep
	result  Result
}

// play plays the call of a seed to its end. When it returns, every request has
// been answered.
func play(ctx context.Context, o Options, s Scenario, seed uint64) Result {
	r := rand.New(rand.NewPCG(seed, 7))
	start := time.Now()
	if o.Fast {
		start = start.Add(-length(s.Steps)) // so that it ends now, and not in the future
	}
	p := &player{o: o, s: s, c: newCall(s, o, seed, r, start), rand: r, replies: map[string]chan string{}}
	p.result = Result{Scenario: s.Name, Call: p.c.id, Seed: seed, Failures: []string{}, Unchecked: []string{}, Steps: []Played{}}
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

// step plays a step: time goes by, the call's own state changes, and whoever
// is to know is told.
func (p *player) step(ctx context.Context, s Step) {
	c := p.c
	before, after := gaps(s)
	p.pass(ctx, before)
	switch {
	case s.Repeat > 0:
		for n := range s.Repeat {
			c.vars["n"] = fmt.Sprint(n + 1)
			p.steps(ctx, s.Steps)
		}
	case s.Status != "":
		p.tell(Happening{Line: s.line, Kind: "status", Text: s.Status})
		p.event(ctx, s.line, "status-update", c.statusUpdate(s.Status, s.By))
	case s.Assistant != "":
		text := c.fill(s.Assistant)
		p.tell(Happening{Line: s.line, Kind: "assistant", Text: text})
		p.event(ctx, s.line, "conversation-update", c.say(text))
	case s.Caller != "":
		text, skipped := c.fill(s.Caller), c.fill(s.Skipped)
		if skipped != "" {
			p.tell(Happening{Line: s.line, Kind: "skipped", Text: skipped})
		}
		p.tell(Happening{Line: s.line, Kind: "caller", Text: text})
		p.event(ctx, s.line, "conversation-update", c.hear(text, skipped))
	case s.Hang:
		p.hang(ctx, s.line)
	case s.Error != nil:
		p.tell(Happening{Line: s.line, Kind: "error", Text: s.Error.Type + ": " + s.Error.Code})
		p.event(ctx, s.line, "error", c.failure(*s.Error))
	case s.Report != nil:
		r := *s.Report
		r.Summary, r.Data = c.fill(r.Summary), c.fillAll(r.Data)
		p.tell(Happening{Line: s.line, Kind: "report", Text: r.Summary})
		p.event(ctx, s.line, "end-of-call-report", c.report(r))
	case s.Tool != "":
		p.tool(ctx, s)
	}
	p.pass(ctx, after)
}

func (p *player) hang(ctx context.Context, line int) {
	p.tell(Happening{Line: line, Kind: "hang", Text: "the assistant has been silent for 5 s"})
	p.event(ctx, line, "hang", p.c.hang())
}

// gaps are the pauses that a call has around a step: people speak some 15
// characters a second, and a report takes its time (docs/events.md#end-of-call-report).
func gaps(s Step) (before, after time.Duration) {
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

// length is how long steps take on the call's own clock.
func length(steps []Step) (all time.Duration) {
	for _, s := range steps {
		before, after := gaps(s)
		all += before + after + time.Duration(s.Repeat)*length(s.Steps)
	}
	return all
}

// pass lets time go by: the call's own always, real time unless it is fast.
func (p *player) pass(ctx context.Context, d time.Duration) {
	p.c.now = p.c.now.Add(d)
	if d > 0 && !p.o.Fast {
		sleep(ctx, time.Duration(float64(d)/p.o.Speed))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *player) fail(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Failures = append(p.result.Failures, fmt.Sprintf(format, args...))
}

func (p *player) tell(h Happening) {
	if p.o.OnStep == nil {
		return
	}
	h.Call, h.Scenario = p.c.id, p.s.Name
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.OnStep(h)
}
