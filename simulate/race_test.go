//go:build race

package simulate_test

// underRace reports the race detector, which makes everything ten times slower.
const underRace = true
