package simulate

import (
	"context"
	"fmt"
	"time"
)

// State is what a backend knows of a call in the end.
type State struct {
	Status   string
	Messages int
	Ended    bool
	Report   bool
}

// statePoll is how often the state is read until it is as it should be.
const statePoll = 50 * time.Millisecond

// checkState waits until the backend knows of the call what it should.
func (p *player) checkState(ctx context.Context) {
	if p.o.State == nil {
		p.result.Unchecked = append(p.result.Unchecked, "the final state, because nothing tells it")
		return
	}
	if p.o.has(NoReport) || p.o.has(Silent) {
		p.result.Unchecked = append(p.result.Unchecked, "the final state, because the backend can only ask for it later")
		return
	}
	for deadline := time.Now().Add(p.o.Settle); ; sleep(ctx, statePoll) {
		got, known, err := p.o.State(ctx, p.c.id)
		if ctx.Err() != nil {
			return
		}
		wrong := ""
		switch {
		case err != nil:
			wrong = "it cannot be read: " + err.Error()
		case !known:
			wrong = "the backend does not know the call"
		default:
			wrong = p.s.Expect.differs(got, p.messages())
		}
		if wrong == "" {
			return
		}
		if !time.Now().Before(deadline) {
			p.fail("final state after %v: %s", p.o.Settle, wrong)
			return
		}
	}
}

// messages is how many the backend can know: those of the longest conversation
// that it was sent. Where the longest was lost, a shorter one is right.
func (p *player) messages() int {
	if want := p.s.Expect.Messages; want != nil && p.told == len(p.c.messages) {
		return *want
	}
	return p.told
}

// differs says how a state is not what is expected, or "".
func (want Final) differs(got State, messages int) string {
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
