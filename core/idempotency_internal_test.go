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

// The rule of once, state by state.
func TestNext(t *testing.T) {
	reconcilable := &tool{reconcile: func(context.Context, []byte) (any, bool, error) { return nil, false, nil }}
	plain, safe := &tool{}, &tool{Tool: Tool{Effect: Idempotent}}
	const lease = time.Minute
	record := func(s callstate.ToolState) callstate.ToolRecord {
		return callstate.ToolRecord{V: callstate.ToolRecordVersion, State: s}
	}
	for _, c := range []struct {
		name  string
		t     *tool
		rec   callstate.ToolRecord
		found bool
		age   time.Duration
		want  step
	}{
		{"nothing there", plain, callstate.ToolRecord{}, false, 0, stepClaim},
		{"released", plain, record(callstate.ToolNotApplied), true, 0, stepClaim},
		{"done", plain, record(callstate.ToolDone), true, time.Hour, stepReplay},
		{"failed", plain, record(callstate.ToolFailed), true, time.Hour, stepReplay},
		{"running", plain, record(callstate.ToolRunning), true, lease - 1, stepWait},
		{"its owner is gone", plain, record(callstate.ToolRunning), true, lease, stepMarkUnknown},
		{"its owner is gone, and it may run again", safe, record(callstate.ToolRunning), true, lease, stepClaim},
		{"running, and it may run again", safe, record(callstate.ToolRunning), true, lease - 1, stepWait},
		{"unknown", plain, record(callstate.ToolIndeterminate), true, 0, stepRefuse},
		{"unknown, and it can be asked", reconcilable, record(callstate.ToolIndeterminate), true, 0, stepReconcile},
		{"unknown, and it may run again", safe, record(callstate.ToolIndeterminate), true, 0, stepClaim},
		{"of another version", plain, callstate.ToolRecord{V: 2, State: callstate.ToolNotApplied}, true, time.Hour, stepWait},
		{"of another version, unreadable", safe, callstate.ToolRecord{}, true, time.Hour, stepWait},
		{"in a state that this version does not know", plain, record("paused"), true, time.Hour, stepRefuse},
	} {
		if got := next(c.t, c.rec, c.found, c.age, lease); got != c.want {
			t.Errorf("%s: step %d, want %d", c.name, got, c.want)
		}
	}
}
