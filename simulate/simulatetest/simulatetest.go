// Package simulatetest plays scenarios at a backend in a test.
//
//	func TestDesk(t *testing.T) {
//		url, secret := servertest.Start(t, mine.New())
//		simulatetest.Run(t, simulate.Options{URL: url, Secret: secret}, "booking", "testdata/mine.yaml")
//	}
//
// It stands apart from package simulate so that programs do not link testing.
package simulatetest

import (
	"testing"

	"github.com/serverurl/serverurl/simulate"
)

// Run plays scenarios, by name or by the path of a .yaml file, at a backend
// under test, one call of each and as fast as they go, and fails t for what the
// backend did wrong. What could not be checked is logged.
func Run(t *testing.T, o simulate.Options, scenarios ...string) {
	t.Helper()
	o.Fast = true
	seed := o.Seed
	for i, name := range scenarios {
		s, err := simulate.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if seed != 0 {
			o.Seed = seed + uint64(i) // two callers want two times
		}
		t.Run(s.Name, func(t *testing.T) {
			r, err := simulate.Run(t.Context(), o, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Failures {
				t.Error(f)
			}
			if !r.OK() {
				t.Logf("call %s; to play it again, set Options.Seed to %d and name this scenario first", r.Call, r.Seed)
			}
			for _, u := range r.Unchecked {
				t.Log("NOT CHECKED:", u)
			}
		})
	}
}
