package servertest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/server/servertest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

func TestCalls(t *testing.T) {
	simulatetest.Run(t, servertest.Start(t, app.New()), "booking", "barge-in")
}

func TestConfig(t *testing.T) {
	const secret = "servertest-secret-4f1c9b7ad2e86035"
	database := filepath.Join(t.TempDir(), "mine.db")
	o := servertest.StartConfig(t, app.New(), server.Config{Database: database, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(secret)}})
	o.Secret = secret
	o.Faults = []simulate.Fault{simulate.FaultWrongSecret}
	simulatetest.Run(t, o, "booking")
	if _, err := os.Stat(database); err != nil {
		t.Error(err)
	}
}

// A final state that differs fails the test, which only another process can
// observe: it has the file and the line.
func TestFinalStateIsChecked(t *testing.T) {
	if file := os.Getenv("SERVERTEST_CHILD"); file != "" {
		o := servertest.Start(t, app.New())
		o.SettleTimeout = 1 // nanosecond: it is wrong for good
		simulatetest.Run(t, o, file)
		return
	}
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(file, []byte("steps: [{status: ongoing}]\nexpect:\n  status: failed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFinalStateIsChecked$", "-test.v")
	cmd.Env = append(os.Environ(), "SERVERTEST_CHILD="+file)
	out, err := cmd.CombinedOutput()
	if want := file + ":2: final state after 1ns: "; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: the output has no %q:\n%s", err, want, out)
	}
}
