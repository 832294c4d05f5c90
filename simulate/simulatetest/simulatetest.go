// Package simulatetest runs scenarios of package simulate in Go tests. It is a
// separate package so that programs do not link testing.
//
//	func TestFrontDesk(t *testing.T) {
//		simulatetest.Run(t, servertest.Start(t, frontdesk.New()), "booking", "testdata/mine.yaml")
//	}
package simulatetest

import (
	"net/http"
	"testing"

	"github.com/serverurl/serverurl/simulate"
)

// Run plays one call of each scenario, given by name or by the path of a .yaml
// file, without delay and each in a subtest. Whatever the backend did wrong fails
// the subtest, with the file and line of the scenario. So does a final state that
// the scenario expects and that cannot be checked, unless o.AllowUnchecked is set.
func Run(t *testing.T, o simulate.Options, scenarios ...string) {
	t.Helper()
	o.NoDelay = true
	seed := o.Seed
	for i, name := range scenarios {
		s, err := simulate.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if seed != 0 {
			o.Seed = seed + uint64(i) // another caller, who wants another time
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Helper()
			r, err := simulate.Run(t.Context(), o, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Failures {
				t.Error(f)
			}
			if !r.OK() {
				t.Logf("call %s; to replay it, set Options.Seed to %d and name this scenario first", r.Call, r.Seed)
			}
			for _, u := range r.Unchecked {
				t.Log("NOT CHECKED:", u)
			}
		})
	}
}

// NewStub returns a stub that is up and answers with h, until the test ends.
func NewStub(t testing.TB, h http.Handler) *simulate.Stub {
	t.Helper()
	s, err := simulate.NewStub(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
