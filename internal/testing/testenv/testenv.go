// Package testenv finds the programs that tests need. It installs none.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of the first of names that is installed, given by name or
// by path. Without one the test is skipped with the reason; if CI is "true", .ci/run
// should have installed it, and the test fails.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, names[0])
	return ""
}

// Missing skips or fails a test that needs something that is missing, likewise.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s should be here", what)
	}
	t.Skipf("NOT RUN: %s is not here", what)
}
