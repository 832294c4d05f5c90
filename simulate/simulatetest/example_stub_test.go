package simulatetest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/server/servertest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// newDesk is a backend of one's own, which asks another system.
func newDesk(insurance string) *core.Processor { return core.New() }

// A system behind the backend fails and comes back while a call is played, by
// steps of the scenario such as {stub: insurance, is: down}.
func ExampleNewStub() {
	_ = func(t *testing.T) { // func TestInsurance(t *testing.T)
		insurance := simulatetest.NewStub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"covered":true}`)
		}))
		o := servertest.Start(t, newDesk(insurance.URL()))
		o.Stubs = map[string]*simulate.Stub{"insurance": insurance}
		simulatetest.Run(t, o, "testdata/insurance.yaml")
		if n := len(insurance.Requests()); n != 2 {
			t.Errorf("the insurance was asked %d times, want 2", n)
		}
	}
}
