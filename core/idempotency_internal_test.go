package core

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/serverurl/serverurl/internal/callstate"
	"pgregory.net/rapid"
)

// T22: no two requests that differ share a key, however their parts are cut.
func TestKeysOfRequestsDiffer(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune("ab/:|\x00{}\"")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(part, 0, 4).Draw(t, "a")
		b := rapid.SliceOfN(part, 0, 4).Draw(t, "b")
		if (callstate.Digest(a...) == callstate.Digest(b...)) != slices.Equal(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

// The rule of idempotency, state by state.
func TestNext(t *testing.T) {
	reconcilable := &tool{reconcile: func(context.Context, []byte) (any, bool, error) { return nil, false, nil }}
	plain, safe := &tool{}, &tool{Tool: Tool{Effect: Idempotent}}
	const lease = time.Minute
	in := func(s callstate.ToolState) callstate.ToolRecord {
		return callstate.ToolRecord{V: callstate.ToolRecordVersion, State: s}
	}
	later := callstate.ToolRecord{} // what DecodeToolRecord makes of a later version's
	for _, c := range []struct {
		name   string
		t      *tool
		rec    callstate.ToolRecord
		exists bool
		same   bool // the same delivery
		age    time.Duration
		window time.Duration
		want   step
	}{
		{"nothing there", plain, later, false, false, 0, 0, stepClaim},
		{"not applied", plain, in(callstate.ToolNotApplied), true, false, 0, 0, stepClaimAnew},
		{"not applied, the same delivery", plain, in(callstate.ToolNotApplied), true, true, 0, 0, stepReplay},
		{"done", plain, in(callstate.ToolDone), true, false, time.Hour, 0, stepCheck},
		{"done, the same delivery", plain, in(callstate.ToolDone), true, true, time.Hour, 0, stepReplay},
		{"done, within the window", plain, in(callstate.ToolDone), true, false, time.Minute, time.Minute, stepCheck},
		{"done, after the window", plain, in(callstate.ToolDone), true, false, time.Minute + 1, time.Minute, stepClaimAnew},
		{"failed in version 1", plain, in(callstate.ToolFailed), true, false, time.Hour, 0, stepReplay},
		{"failed in version 1, and it may run again", safe, in(callstate.ToolFailed), true, false, time.Hour, 0, stepClaimAnew},
		{"running", plain, in(callstate.ToolRunning), true, false, lease - 1, 0, stepWait},
		{"running, longer than its window", plain, in(callstate.ToolRunning), true, false, lease - 1, time.Second, stepWait},
		{"its owner is gone", plain, in(callstate.ToolRunning), true, false, lease, 0, stepMarkUnknown},
		{"its owner is gone, after the window", plain, in(callstate.ToolRunning), true, false, lease, time.Second, stepMarkUnknown},
		{"its owner is gone, and it may run again", safe, in(callstate.ToolRunning), true, false, lease, 0, stepClaim},
		{"running, and it may run again", safe, in(callstate.ToolRunning), true, false, lease - 1, 0, stepWait},
		{"unknown", plain, in(callstate.ToolIndeterminate), true, false, 0, 0, stepRefuse},
		{"unknown, the same delivery", plain, in(callstate.ToolIndeterminate), true, true, 0, 0, stepRefuse},
		{"unknown, and it can be asked", reconcilable, in(callstate.ToolIndeterminate), true, false, 0, 0, stepReconcile},
		{"unknown, and it may run again", safe, in(callstate.ToolIndeterminate), true, false, 0, 0, stepClaim},
		{"absent", reconcilable, in(callstate.ToolAbsent), true, true, 0, 0, stepClaim},
		{"of a later version", plain, later, true, false, time.Hour, 0, stepWait},
		{"of a later version, and it may run again", safe, later, true, false, time.Hour, time.Second, stepWait},
		{"in a state that this version does not know", plain, in("paused"), true, false, time.Hour, 0, stepRefuse},
	} {
		f := found{rec: c.rec, same: c.same}
		if f.raw.Age = c.age; c.exists {
			f.raw.Version = 1
		}
		if got := next(c.t, f, lease, c.window); got != c.want {
			t.Errorf("%s: step %d, want %d", c.name, got, c.want)
		}
	}
}

// What is done about a request that was done before.
func TestAfterDone(t *testing.T) {
	reconcilable := &tool{reconcile: func(context.Context, []byte) (any, bool, error) { return nil, false, nil }}
	plain, safe := &tool{}, &tool{Tool: Tool{Effect: Idempotent}}
	call, caller, nobody := scope{counted: true}, scope{counted: true, window: callerWindow}, scope{window: anonymousWindow}
	for _, c := range []struct {
		name  string
		t     *tool
		s     scope
		since changes
		want  step
	}{
		{"nothing since", plain, call, changes{}, stepReplay},
		{"nothing since, and it could be asked", reconcilable, call, changes{}, stepReplay},
		{"nothing known since, because the call is not", reconcilable, caller, changes{}, stepAskAgain},
		{"nothing known since, because nobody is", reconcilable, nobody, changes{}, stepAskAgain},
		{"nothing since, by nobody known", plain, nobody, changes{}, stepReplay},
		{"something is being done", safe, call, changes{running: true, any: true}, stepWait},
		{"something was done", plain, call, changes{any: true}, stepDecline},
		{"it was undone", plain, call, changes{any: true, undone: true}, stepClaimAnew},
		{"something was done, and it may run again", safe, call, changes{any: true}, stepClaimAnew},
		{"something was done, and it can be asked", reconcilable, call, changes{any: true}, stepAskAgain},
		{"it was undone, and it can be asked", reconcilable, call, changes{any: true, undone: true}, stepAskAgain},
	} {
		if got := afterDone(c.t, c.s, c.since); got != c.want {
			t.Errorf("%s: step %d, want %d", c.name, got, c.want)
		}
	}
}
