package simulate_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// A front asks the system behind it, as the tools of a backend do.
func front(behind string, client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/tools/") {
			return
		}
		said := "It is covered."
		resp, err := client.Post(behind+"/check", "text/plain", r.Body)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			said = "It is refused."
		case err != nil:
			said = "It is gone."
		case resp.StatusCode != http.StatusOK:
			said = "It fails."
		}
		if err == nil {
			resp.Body.Close()
		}
		_, _ = io.WriteString(w, `{"result":"`+said+`"}`)
	})
}

const insurance = `
steps:
  - {tool: check, args: {plan: A}, expect: {equals: It is covered.}}
  - {stub: insurance, is: down}
  - {tool: check, expect: {equals: It is refused.}}
  - {stub: insurance, is: failing}
  - {tool: check, expect: {equals: It fails.}}
  - {stub: insurance, is: up}
  - {tool: check, expect: {equals: It is covered.}}
`

// The states of a stub are those of its scenario, as often as it is played, and
// with connections that are kept open.
func TestStub(t *testing.T) {
	stub := simulatetest.NewStub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	o := simulate.Options{
		URL: "http://desk.test", NoDelay: true, Client: &http.Client{Transport: inProcess{front(stub.URL(), client)}},
		Stubs: map[string]*simulate.Stub{"insurance": stub},
	}
	const rounds = 20
	for range rounds {
		r, err := simulate.Run(t.Context(), o, scenario(t, insurance))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Failures {
			t.Error(f)
		}
	}
	got := stub.Requests()
	if len(got) != 3*rounds {
		t.Fatalf("%d requests, want %d", len(got), 3*rounds)
	}
	if r := got[0]; r.Method != "POST" || r.URL != "/check" || string(r.Body) != `{"plan":"A"}` || r.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("recorded %+v", r)
	}
}

// A request that waits for a slow stub gets the answer of the state that follows.
func TestSlowStubAnswersLater(t *testing.T) {
	stub := simulatetest.NewStub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "late") }))
	for state, want := range map[simulate.StubState]int{simulate.StubUp: 200, simulate.StubFailing: 500, simulate.StubDown: 0} {
		if err := stub.Set(simulate.StubSlow); err != nil {
			t.Fatal(err)
		}
		before, status := len(stub.Requests()), make(chan int)
		go func() {
			resp, err := http.Get(stub.URL())
			if err != nil {
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
		for len(stub.Requests()) == before {
			time.Sleep(time.Millisecond)
		}
		if err := stub.Set(state); err != nil {
			t.Fatal(err)
		}
		if got := <-status; got != want {
			t.Errorf("%s after slow: status %d, want %d", state, got, want)
		}
	}
	if err := stub.Set("gone"); err == nil {
		t.Error("an unknown state is accepted")
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestStubMustBeThere(t *testing.T) {
	_, err := simulate.Run(t.Context(), simulate.Options{URL: "http://desk.test"}, scenario(t, "steps: [{repeat: 2, steps: [{stub: insurance, is: down}]}]"))
	if err == nil || !strings.Contains(err.Error(), `simulate: test.yaml:1: no stub "insurance"`) {
		t.Error(err)
	}
}
