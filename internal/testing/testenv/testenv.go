// Package testenv finds the programs that tests use.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of the first of names that is on this machine, by
// name or by path. Without one the test is skipped aloud; where CI is "true",
// .ci/run has to have installed it, and the test fails.
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

// Missing ends a test that needs what is not here, by the same rule.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s should be here", what)
	}
	t.Skipf("NOT RUN: %s is not here", what)
}
