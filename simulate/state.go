package simulate

import (
	"context"
	"fmt"
	"time"
)

// State is the state of a call in the backend's store.
type State struct {
	Status   string
	Messages int
	Ended    bool
	Report   bool
}

// statePoll is the interval at which the state is read.
const statePoll = 50 * time.Millisecond

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
	for deadline := time.Now().Add(p.o.SettleTimeout); ; sleep(ctx, statePoll) {
		got, known, err := p.o.State(ctx, p.c.id)
		if ctx.Err() != nil {
			return
		}
		wrong := ""
		switch {
		case err != nil:
			wrong = "reading it failed: " + err.Error()
		case !known:
			wrong = "the backend does not know the call"
		default:
			wrong = p.s.Expect.differs(got, p.messages())
		}
		if wrong == "" {
			return
		}
		if !time.Now().Before(deadline) {
			p.fail(p.s.expectLine, "final state after %v: %s", p.o.SettleTimeout, wrong)
			return
		}
	}
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

// differs describes how got differs from what is expected; "" if it does not.
func (want ExpectedState) differs(got State, messages int) string {
	switch {
	case want.Status != "" && got.Status != want.Status:
		return fmt.Sprintf("status is %q, want %q", got.Status, want.Status)
	case got.Messages != messages:
		return fmt.Sprintf("%d messages, want %d", got.Messages, messages)
	case want.Ended != nil && got.Ended != *want.Ended:
		return fmt.Sprintf("ended is %v, want %v", got.Ended, *want.Ended)
	case want.Report != nil && got.Report != *want.Report:
		return fmt.Sprintf("report is %v, want %v", got.Report, *want.Report)
	}
	return ""
}
