package servertest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
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
		o.SettleTimeout = time.Millisecond // it is wrong for good
		simulatetest.Run(t, o, file)
		return
	}
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(file, []byte("steps: [{status: ongoing}]\nexpect:\n  status: failed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, ok := child(t, file)
	if want := file + ":2: final state after "; ok || !strings.Contains(out, want) {
		t.Errorf("the output has no %q:\n%s", want, out)
	}
}

// A handler that fails and everything that panics fails the test, in full; an error
// of a tool is printed.
func TestFailuresFailTheTest(t *testing.T) {
	if which := os.Getenv("SERVERTEST_CHILD"); which != "" {
		which, allow, _ := strings.Cut(which, " ")
		var options []servertest.Option
		if allow != "" {
			options = append(options, servertest.AllowFailures)
		}
		simulatetest.Run(t, servertest.Start(t, failing(which), options...), os.Getenv("SERVERTEST_SCENARIO"))
		return
	}
	scenario := filepath.Join(t.TempDir(), "failing.yaml")
	if err := os.WriteFile(scenario, []byte("steps: [{status: ongoing}, {tool: look, expect: {contains: ' '}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SERVERTEST_SCENARIO", scenario)
	for _, c := range []struct {
		which string
		ok    bool
		want  []string
	}{
		{"tool-error", true, []string{"tool look failed: the calendar is down"}},
		{"tool-panic", false, []string{"servertest_test.go:", "tool look panicked: no calendar", "servertest_test.failing.func1 "}},
		{"handler-error", false, []string{"handler servertest_test.failing.func2 (status-update) failed: the CRM is down"}},
		{"handler-error allow", true, []string{"handler servertest_test.failing.func2 (status-update) failed: the CRM is down"}},
		{"handler-panic", false, []string{"handler servertest_test.failing.func2 (status-update) panicked: no CRM"}},
		{"tool-panic allow", true, []string{"tool look panicked: no calendar"}},
		{"", true, nil},
	} {
		out, ok := child(t, c.which+" ")
		for _, want := range append(c.want, "TestFailuresFailTheTest/failing") {
			if !strings.Contains(out, want) {
				t.Errorf("%q: the output has no %q:\n%s", c.which, want, out)
			}
		}
		if n := strings.Count(out, "the CRM is down"); ok != c.ok || n > 1 {
			t.Errorf("%q: passes: %v; printed %d times:\n%s", c.which, ok, n, out)
		}
	}
}

// A handler that the end of the test cuts off does not fail it.
func TestCutOffIsNoFailure(t *testing.T) {
	p, began, stopped := core.New(), make(chan struct{}), make(chan struct{})
	p.OnStatus(func(context.Context, core.StatusUpdate) error {
		close(began)
		<-stopped
		return context.Canceled
	})
	o := servertest.StartConfig(t, p, server.Config{Background: func(ctx context.Context, _ server.Components) error {
		<-ctx.Done()
		close(stopped)
		return nil
	}})
	s, err := simulate.Parse("cut.yaml", []byte("steps: [{status: ongoing}]"))
	if err != nil {
		t.Fatal(err)
	}
	o.State = nil // which would wait for the handler
	if r, err := simulate.Run(t.Context(), o, s); err != nil || !r.OK() {
		t.Error(r.Failures, err)
	}
	<-began
}

// failing is a backend in which one thing fails.
func failing(which string) *core.Processor {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
		switch which {
		case "tool-error":
			return "", errors.New("the calendar is down")
		case "tool-panic":
			panic("no calendar")
		}
		return "All is free.", nil
	})
	p.OnStatus(func(context.Context, core.StatusUpdate) error {
		switch which {
		case "handler-error":
			return errors.New("the CRM is down")
		case "handler-panic":
			panic("no CRM")
		}
		return nil
	})
	return p
}

// child runs the test in another process, and reports whether it passes there.
func child(t *testing.T, value string) (output string, ok bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "SERVERTEST_CHILD="+value)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}
