package simulatetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// A Go test plays scenarios against a backend, here any handler, while events
// are duplicated and reordered.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestFrontDesk(t *testing.T)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"result":"We are open."}`)
		}))
		defer srv.Close()
		simulatetest.Run(t, simulate.Options{
			URL:    srv.URL,
			Secret: "the backend's secret",
			Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder},

			// This backend stores nothing. With servertest.Start it is checked.
			AllowUnchecked: true,
		}, "hang", "testdata/mine.yaml")
	}
}
