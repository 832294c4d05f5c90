package simulate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/serverurl/serverurl/simulate"
)

// A backend that takes events, and whose tool says too much.
var backend = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/tools/opening_hours" {
		fmt.Fprint(w, `{"result":"Monday to Friday,\nnine to five."}`)
	}
})

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
	r, err := simulate.Run(context.Background(), simulate.Options{URL: srv.URL, Fast: true}, s)
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
	// line 5: opening_hours: the result has a line break, so the assistant has nothing to say
	// not checked: the final state, because nothing tells it
}

func ExampleOptions_onStep() {
	srv := httptest.NewServer(backend)
	defer srv.Close()
	o := simulate.Options{URL: srv.URL, Fast: true, OnStep: func(h simulate.Happening) {
		fmt.Printf("%s: %s\n", h.Kind, h.Text)
	}}
	s, _ := simulate.Load("report-only")
	_, _ = simulate.Run(context.Background(), o, s)
	// Output:
	// report: The caller asked for the address.
}
