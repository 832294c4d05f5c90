//go:build race

package core_test

// raceEnabled reports whether the race detector is on, which makes work on large
// bodies several times slower.
const raceEnabled = true
