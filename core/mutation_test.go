//go:build !mutations

package core_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Each rule of once and merge, broken on purpose, is noticed by the schedules,
// and as what it is. A test that cannot fail proves nothing.
func TestSchedulesNoticeBrokenRules(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "core.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "mutations", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(rule, test string) (string, error) {
		cmd := exec.Command(binary, "-test.run", "^"+test+"$", "-rapid.checks", "50000", "-rapid.nofailfile", "-rapid.shrinktime", "0s")
		if rule == "" {
			cmd.Args = append(cmd.Args, "-rapid.checks", "50")
		}
		cmd.Env = append(os.Environ(), "SERVERURL_MUTATION="+rule)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, c := range []struct{ rule, test, notices string }{
		{"no-claim-condition", "TestSchedulesOfOnce", "duplicated: |inconsistent: "},
		{"no-fencing", "TestSchedulesOfOnce", "duplicated: |inconsistent: "},
		{"rerun-unconfirmed", "TestSchedulesOfOnce", "duplicated: "},
		{"no-budget", "TestSchedulesOfOnce", "late: "},
		{"replay-stale", "TestSchedulesOfTruth", "false: "},
		{"rerun-unconfirmed", "TestSchedulesOfTruth", "duplicated: |false: "},
		{"unordered", "TestOrderOfOneMessage", "said "},
		{"no-dedup", "TestSchedulesOfMerge", "duplicated: "},
		{"status-regresses", "TestSchedulesOfMerge", "regressed: "},
		{"last-snapshot-wins", "TestSchedulesOfMerge", "regressed: |lost: |duplicated: "},
		{"ack-before-handlers", "TestSchedulesOfMerge", "lost: "},
		{"report-is-an-update", "TestSchedulesOfMerge", "lost: transcript"},
		{"earlier-word-wins", "TestSchedulesOfMerge", "lost: transcript"},
		{"assumed-end-stays", "TestSchedulesOfMerge", "lost: "},
	} {
		t.Run(c.rule+"/"+c.test, func(t *testing.T) {
			t.Parallel()
			if out, err := run(c.rule, c.test); err == nil || !regexp.MustCompile(c.notices).MatchString(out) {
				t.Errorf("not noticed as %q: %v\n%s", c.notices, err, tail(out))
			}
		})
	}
	t.Run("unbroken", func(t *testing.T) {
		t.Parallel()
		if out, err := run("", "TestSchedulesOf.*"); err != nil {
			t.Errorf("%v\n%s", err, tail(out))
		}
	})
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
