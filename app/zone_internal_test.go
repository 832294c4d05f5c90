package app

import (
	"testing"
	"time"
	_ "time/tzdata"
)

// The rule gives the times of the database, in winter, in summer and around both
// changes.
func TestZone(t *testing.T) {
	want, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	got := zone("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0")
	for at := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC); at.Year() < 2036; at = at.Add(time.Hour) {
		if g, w := at.In(got).Format(time.DateTime), at.In(want).Format(time.DateTime); g != w {
			t.Fatalf("%v: %s, want %s", at, g, w)
		}
	}
}
