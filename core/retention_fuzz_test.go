package core_test

import (
	"testing"

	"github.com/serverurl/serverurl/core/calls"
)

// What an operator writes is refused with a reason, or keeps nothing for less
// than an hour.
func FuzzParseRetention(f *testing.F) {
	for _, seed := range []string{"", "content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y", "content=0d", "calls=-1h", "audit=99999999999999999999y", "content=2y,calls=1y", "dead"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := calls.ParseRetention(text)
		if err != nil {
			return
		}
		for _, long := range []int64{int64(r.Content), int64(r.Calls), int64(r.Quarantine), int64(r.DeadLetters), int64(r.Audit)} {
			if long < 0 || long > 0 && long < 3600e9 {
				t.Errorf("%q keeps something for %d ns", text, long)
			}
		}
		if again, err := calls.ParseRetention(r.String()); err != nil || again != r {
			t.Errorf("%q is written as %q, which is read as %+v, %v", text, r, again, err)
		}
	})
}
