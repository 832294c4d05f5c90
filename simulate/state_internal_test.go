package simulate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestStateSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		o := options(d)
		begin := time.Now()
		o.State = func(ctx context.Context, id string) (State, bool, error) {
			if time.Since(begin) < 3*time.Second {
				return State{}, false, nil
			}
			return d.state(ctx, id)
		}
		passes(t, playNamed(t, o, "report-only"))
		o.SettleTimeout = time.Second
		begin = time.Now()
		fails(t, playNamed(t, o, "report-only"), "report-only.yaml:5: final state after 1s: the backend does not know the call")
	})
}

// All differences are in one failure, and nothing is waited for that cannot come.
func TestStateDiffers(t *testing.T) {
	for _, c := range []struct {
		expect string
		change func(*State)
		refuse bool
		want   string
	}{
		{"{status: failed, ended: true, messages: 4}", nil, false, `after 1s: status is "finished", want "failed"; 1 messages, want 4; ended is false, want true`},
		{"{status: finished}", func(s *State) { s.Status = "failed" }, false, `after 1s: status is "failed", want "finished"`},
		{"{status: forwarded}", func(s *State) { s.Working = true }, false, `after 15s: status is "finished", want "forwarded"; handlers of its events have not succeeded`},
		{"{status: finished}", func(s *State) { s.Status = "ongoing" }, false, `after 15s: status is "ongoing", want "finished"`},
		{"{status: finished}", nil, true, "after 0s: the backend does not know the call: it accepted no event"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			o := options(d)
			if c.change != nil {
				o.State = func(ctx context.Context, id string) (State, bool, error) {
					s, known, err := d.state(ctx, id)
					c.change(&s)
					return s, known, err
				}
			}
			if c.refuse {
				o.Secret = ""
			}
			fails(t, playThis(t, o, scenario(t, "steps: [{caller: Hello}, {status: finished}]\nexpect: "+c.expect)), c.want)
		})
	}
}
