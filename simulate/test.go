package simulate

import "context"

// A T is a *testing.T, of which Test uses this much.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test plays scenarios, named or as paths of files, at a backend under test,
// as fast as they go, and fails t for what the backend did wrong.
func Test(t T, o Options, scenarios ...string) {
	t.Helper()
	o.Fast = true
	for _, name := range scenarios {
		s, err := Load(name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		r, err := Run(t.Context(), o, s)
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, f := range r.Failures {
			t.Errorf("%s: %s", s.Name, f)
		}
		if !r.OK() {
			t.Logf("%s: call %s; to play it again set Options.Seed to %d", s.Name, r.Call, r.Seed)
		}
		for _, u := range r.Unchecked {
			t.Logf("%s: NOT CHECKED: %s", s.Name, u)
		}
	}
}
