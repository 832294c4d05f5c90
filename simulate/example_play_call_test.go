package simulate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/serverurl/serverurl/simulate"
)

// backend accepts events, and has a tool whose reply is wrong: two lines.
var backend = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/tools/opening_hours" {
		fmt.Fprint(w, `{"result":"Monday to Friday,\nnine to five."}`)
	}
})

// A call is played against a backend, and the result lists what is wrong with it.
func ExampleRun() {
	srv := httptest.NewServer(backend)
	defer srv.Close()

	s, err := simulate.Parse("hours.yaml", []byte(`
steps:
  - status: ongoing
  - caller: When are you open?
  - tool: opening_hours
  - status: finished
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := simulate.Run(context.Background(), simulate.Options{URL: srv.URL, NoDelay: true}, s)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Events, "events,", r.Tools, "tool")
	for _, f := range r.Failures {
		fmt.Println(f)
	}
	for _, u := range r.Unchecked {
		fmt.Println("not checked:", u)
	}
	// Output:
	// 3 events, 1 tool
	// hours.yaml:5: opening_hours: the result has a line break, so the assistant has nothing to say
	// not checked: the final state, because Options.State is not set
}

// OnStep reports the progress of a call.
func ExampleOptions_onStep() {
	srv := httptest.NewServer(backend)
	defer srv.Close()
	o := simulate.Options{URL: srv.URL, NoDelay: true, OnStep: func(p simulate.Progress) {
		fmt.Printf("%s: %s\n", p.Kind, p.Text)
	}}
	s, _ := simulate.Load("report-only")
	_, _ = simulate.Run(context.Background(), o, s)
	// Output:
	// report: The caller asked for the address.
}
