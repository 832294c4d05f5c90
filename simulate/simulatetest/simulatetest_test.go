package simulatetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// Run must fail the test that calls it, which only another process can observe.
// So this test runs itself, against a backend that always replies the same.
func TestRunFailsTheTest(t *testing.T) {
	if os.Getenv("SIMULATETEST_CHILD") != "" {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"result":"We are open."}`)
		}))
		defer srv.Close()
		simulatetest.Run(t, simulate.Options{URL: srv.URL, Secret: "a secret of this test only", AllowUnchecked: true}, "hang", "booking")
		simulatetest.Run(t, simulate.Options{URL: srv.URL, Secret: "a secret of this test only"}, "report-only")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunFailsTheTest$", "-test.v")
	cmd.Env = append(os.Environ(), "SIMULATETEST_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("a backend without bookings passes")
	}
	for _, want := range []string{"--- PASS: TestRunFailsTheTest/hang", "--- FAIL: TestRunFailsTheTest/booking", "set Options.Seed to ", "NOT CHECKED:",
		"simulatetest_test.go:26: booking.yaml:", "--- FAIL: TestRunFailsTheTest/report-only", "simulatetest_test.go:27: report-only.yaml:5: NOT CHECKED: the final state"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output has no %q:\n%s", want, out)
		}
	}
}
