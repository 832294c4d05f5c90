//go:build race

package simulate_test

// underRace is set where the race detector makes everything ten times slower.
const underRace = true
