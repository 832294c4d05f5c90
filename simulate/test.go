package simulate

import "testing"

// Test plays scenarios, by name or by the path of a .yaml file, at a backend
// under test, one call of each and as fast as they go, and fails t for what the
// backend did wrong. What could not be checked is logged.
func Test(t *testing.T, o Options, scenarios ...string) {
	t.Helper()
	o.Fast = true
	seed := o.Seed
	for i, name := range scenarios {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if seed != 0 {
			o.Seed = seed + uint64(i) // two callers want two times
		}
		t.Run(s.Name, func(t *testing.T) {
			r, err := Run(t.Context(), o, s)
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
