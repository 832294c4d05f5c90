package core

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// T22: no two requests that differ share a key, however their parts are cut.
func TestKeysOfRequestsDiffer(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune("ab/:|\x00{}\"")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(part, 0, 4).Draw(t, "a")
		b := rapid.SliceOfN(part, 0, 4).Draw(t, "b")
		if (digest(a...) == digest(b...)) != slices.Equal(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

// The rule of once, state by state.
func TestNext(t *testing.T) {
	reconcilable := &tool{reconcile: func(context.Context, []byte) (any, bool, error) { return nil, false, nil }}
	plain, safe := &tool{}, &tool{Tool: Tool{Effect: RetrySafe}}
	const lease = time.Minute
	record := func(s toolState) toolRecord { return toolRecord{V: recordVersion, State: s} }
	for _, c := range []struct {
		name  string
		t     *tool
		rec   toolRecord
		found bool
		age   time.Duration
		want  step
	}{
		{"nothing there", plain, toolRecord{}, false, 0, stepClaim},
		{"released", plain, record(stateReleased), true, 0, stepClaim},
		{"done", plain, record(stateDone), true, time.Hour, stepReplay},
		{"failed", plain, record(stateFailed), true, time.Hour, stepReplay},
		{"running", plain, record(stateRunning), true, lease - 1, stepWait},
		{"its owner is gone", plain, record(stateRunning), true, lease, stepDoubt},
		{"its owner is gone, and it may run again", safe, record(stateRunning), true, lease, stepClaim},
		{"running, and it may run again", safe, record(stateRunning), true, lease - 1, stepWait},
		{"unknown", plain, record(stateUnknown), true, 0, stepRefuse},
		{"unknown, and it can be asked", reconcilable, record(stateUnknown), true, 0, stepReconcile},
		{"unknown, and it may run again", safe, record(stateUnknown), true, 0, stepClaim},
		{"of another version", plain, toolRecord{V: 2, State: stateReleased}, true, time.Hour, stepWait},
		{"of another version, unreadable", safe, toolRecord{}, true, time.Hour, stepWait},
		{"in a state that this version does not know", plain, record("paused"), true, time.Hour, stepRefuse},
	} {
		if got := next(c.t, c.rec, c.found, c.age, lease); got != c.want {
			t.Errorf("%s: step %d, want %d", c.name, got, c.want)
		}
	}
}
