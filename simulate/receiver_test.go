package simulate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/simulate"
)

const testSecret = "test-secret-0123456789-abcdef"

// A request is one that a receiver got, decoded by another JSON library than the
// one that encoded it.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
	at           time.Time
	json         any // the body; nil if there is none
}

// tool returns the tool that the URL names, "" for an event.
func (r request) tool() string {
	name, ok := strings.CutPrefix(r.path, "/tools/")
	if !ok {
		return ""
	}
	return name
}

// kind returns message.type.
func (r request) kind() string { s, _ := at(r.json, "message.type").(string); return s }

// A receiver records requests and replies with answer.
type receiver struct {
	t      testing.TB
	answer func(w http.ResponseWriter, r request) // default: done

	mu  sync.Mutex
	got []request
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(hr.Body)
	if err != nil {
		v.t.Errorf("a request was cut off: %v", err)
	}
	r := request{method: hr.Method, path: hr.URL.Path, query: hr.URL.Query(), header: hr.Header, body: body, at: time.Now()}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &r.json); err != nil {
			v.t.Errorf("%s %s: not JSON: %v", r.method, r.path, err)
		}
	}
	v.mu.Lock()
	v.got = append(v.got, r)
	v.mu.Unlock()
	if v.answer != nil {
		v.answer(w, r)
		return
	}
	done(w, r)
}

// done answers in every dialect as a correct backend does, with result "Done.".
func done(w http.ResponseWriter, r request) { say(w, r, "Done.") }

// say answers a tool with a result, and an event with an empty body.
func say(w http.ResponseWriter, r request, result string) {
	text, _ := json.Marshal(result)
	switch {
	case r.tool() != "" || r.kind() == "function-call":
		fmt.Fprintf(w, `{"result":%s}`, text)
	case r.kind() == "tool-calls":
		var all []string
		for _, c := range list(r.json, "message.toolCallList") {
			all = append(all, fmt.Sprintf(`{"toolCallId":%q,"name":%q,"result":%s}`, at(c, "id"), at(c, "function.name"), text))
		}
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(all, ","))
	}
}

// requests returns those received so far.
func (v *receiver) requests() []request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.got)
}

// events returns the requests that are events, only those of kind if it is given.
func (v *receiver) events(kind ...string) []request {
	return slices.DeleteFunc(v.requests(), func(r request) bool {
		return r.path != "/events" || len(kind) > 0 && r.kind() != kind[0]
	})
}

// inProcess passes requests to a handler without a network, so that calls can be
// played in a testing/synctest bubble, where time is exact and free.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	done := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		done <- w.Result()
	}()
	select {
	case resp := <-done:
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// options plays at v without delay and without a network.
func (v *receiver) options(faults ...simulate.Fault) simulate.Options {
	return simulate.Options{
		URL: "http://desk.test", Secret: testSecret, NoDelay: true, Faults: faults, Seed: 1,
		Client: &http.Client{Transport: inProcess{v}},
	}
}

// scenario parses the text of a file.
func scenario(t testing.TB, text string) simulate.Scenario {
	t.Helper()
	s, err := simulate.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play plays a scenario at v with fake time.
func play(t *testing.T, v *receiver, o simulate.Options, s simulate.Scenario) (r simulate.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = simulate.Run(t.Context(), o, s); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// playAll plays a call that must pass, and returns the receiver.
func playAll(t *testing.T, o func(*simulate.Options), text string) *receiver {
	t.Helper()
	v := &receiver{t: t}
	opts := v.options()
	if o != nil {
		o(&opts)
	}
	if r := play(t, v, opts, scenario(t, text)); !r.OK() {
		t.Fatalf("failures: %q", r.Failures)
	}
	return v
}

// at returns the value at a path of names and indexes, or errMissing.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			of, ok := in[name]
			if !ok {
				return errMissing
			}
			v = of
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(in) {
				return errMissing
			}
			v = in[i]
		default:
			return errMissing
		}
	}
	return v
}

var errMissing = errors.New("missing")

func list(v any, path string) []any  { l, _ := at(v, path).([]any); return l }
func text(v any, path string) string { s, _ := at(v, path).(string); return s }
func num(v any, path string) float64 { n, _ := at(v, path).(float64); return n }
func same(a, b any) bool             { return reflect.DeepEqual(a, b) }
