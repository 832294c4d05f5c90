//go:build !mutations

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each promise of the gate and the spool, broken on purpose, is noticed by the
// tests that are there for it.
func TestABrokenPromiseIsNoticed(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "server.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "mutations", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct{ rule, test string }{
		{"unbounded-admission", "TestAdmission"},
		{"unbounded-admission", "TestAdmissionIsBounded"},
		{"slow-body-allowed", "TestAdmissionCutsOffASlowBody"},
		{"spool-discards", "TestSpool"},
		{"spool-discards", "TestSpoolRefuses"},
		{"unauthenticated-body-read", "TestUnauthenticatedBodiesAreNotRead"},
	} {
		for _, rule := range []string{"", c.rule} {
			cmd := exec.Command(binary, "-test.run", "^"+c.test+"$", "-test.v", "-test.timeout", "2m")
			cmd.Env = append(os.Environ(), "SERVERURL_MUTATION="+rule)
			out, err := cmd.CombinedOutput()
			if noticed := err != nil; noticed != (rule != "") || !strings.Contains(string(out), "RUN   "+c.test) {
				t.Errorf("%s with rule broken %q: %v\n%s", c.test, rule, err, out[max(0, len(out)-2000):])
			}
		}
	}
}
