package simulate

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// State is the state of a call in the backend's store.
type State struct {
	Status   string
	Messages int
	Ended    bool
	Report   bool

	// Working is true while handlers of the call's events have not succeeded. The
	// state is not final until then.
	Working bool
}

// The state is read every statePoll. One that cannot become the expected one is
// final when it has not changed for stateQuiet.
const (
	statePoll  = 50 * time.Millisecond
	stateQuiet = time.Second
)

// checkState waits until the state of the call is the expected one.
func (p *player) checkState(ctx context.Context) {
	switch {
	case p.o.State == nil:
		p.unchecked("the final state, because Options.State is not set")
		return
	case p.o.has(FaultNoReport) || p.o.has(FaultSilent):
		p.unchecked("the final state, because the backend can only recover it later")
		return
	}
	start := time.Now()
	var last State
	for changed := start; ; sleep(ctx, statePoll) {
		got, known, err := p.o.State(ctx, p.c.id)
		if ctx.Err() != nil {
			return
		}
		wrong := p.wrong(got, known, err)
		if wrong == "" {
			return
		}
		now := time.Now()
		if got != last {
			last, changed = got, now
		}
		hopeless := p.accepted.Load() == 0 || p.isOver(got) && now.Sub(changed) >= stateQuiet
		if took := now.Sub(start); hopeless || took >= p.o.SettleTimeout {
			p.fail(p.s.expectLine, "final state after %v: %s", took.Round(time.Millisecond), wrong)
			return
		}
	}
}

// wrong says how a state that was read is not the expected one; "" if it is.
func (p *player) wrong(got State, known bool, err error) string {
	switch {
	case err != nil:
		return "reading it failed: " + err.Error()
	case !known && p.accepted.Load() == 0:
		return "the backend does not know the call: it accepted no event"
	case !known:
		return "the backend does not know the call"
	}
	return strings.Join(p.s.Expect.differs(got, p.messages()), "; ")
}

// isOver reports whether the call has ended with another status than the expected
// one, which no event that was sent can still change.
func (p *player) isOver(got State) bool {
	want := p.s.Expect.Status
	if want == "" || got.Status == want || got.Working {
		return false
	}
	return got.Status == "failed" || got.Status == "finished" && p.c.status != want
}

// unchecked notes what could not be checked. That is a failure if the scenario has
// an expectation of it: a check that did not run must not look like one that passed.
func (p *player) unchecked(what string) {
	p.result.Unchecked = append(p.result.Unchecked, what)
	if p.s.expectsState() && !p.o.AllowUnchecked {
		p.fail(p.s.expectLine, "NOT CHECKED: %s", what)
	}
}

// messages returns how many messages the backend should have: those of the
// longest conversation that was sent. If that was lost, a shorter one is right.
func (p *player) messages() int {
	if want := p.s.Expect.Messages; want != nil && p.sentMessages == len(p.c.messages) {
		return *want
	}
	return p.sentMessages
}

// differs describes all differences of got from what is expected.
func (want ExpectedState) differs(got State, messages int) (all []string) {
	differ := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	differ(want.Status != "" && got.Status != want.Status, "status is %q, want %q", got.Status, want.Status)
	differ(got.Messages != messages, "%d messages, want %d", got.Messages, messages)
	differ(want.Ended != nil && got.Ended != *cmp.Or(want.Ended, new(bool)), "ended is %v, want %v", got.Ended, !got.Ended)
	differ(want.Report != nil && got.Report != *cmp.Or(want.Report, new(bool)), "report is %v, want %v", got.Report, !got.Report)
	differ(got.Working, "handlers of its events have not succeeded")
	return all
}
