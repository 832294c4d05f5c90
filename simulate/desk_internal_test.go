package simulate

import (
	"context"
	"encoding/json" // not the library that encodes the requests
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const secret = "test-secret-0123456789-abcdef"

// A desk is a minimal correct backend. Its fields break it.
type desk struct {
	twice    bool                                          // books at every request
	anyone   bool                                          // answers 401 without the secret, and accepts the event anyway
	say      func(tool string, w http.ResponseWriter) bool // writes the reply if it returns true
	event    func(w http.ResponseWriter) bool
	backward bool // answers an envelope in the wrong order

	mu     sync.Mutex
	events []sent // as accepted
	tools  []sent
	booked map[string][]string // by phone
	said   map[string]string   // once
	status map[string]string   // of calls
	most   map[string]int      // messages
	report map[string]bool
}

// A sent is a received request.
type sent struct {
	Method, Path, Query string
	Header              http.Header
	Body                string
	JSON                map[string]any
	At                  time.Time
}

func newDesk() *desk {
	return &desk{booked: map[string][]string{}, said: map[string]string{}, status: map[string]string{}, most: map[string]int{}, report: map[string]bool{}}
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s := sent{r.Method, r.URL.Path, r.URL.RawQuery, r.Header, string(body), map[string]any{}, time.Now()}
	_ = json.Unmarshal(body, &s.JSON)
	known := r.Header.Get("x-interactly-secret") == secret
	if known || d.anyone {
		d.serve(w, r, s, known)
	}
	if !known {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (d *desk) serve(w http.ResponseWriter, r *http.Request, s sent, known bool) {
	if !known {
		w = httptest.NewRecorder()
	}
	kind, _ := dig(s.JSON, "message.type").(string)
	switch {
	case strings.HasPrefix(r.URL.Path, "/tools/"):
		args := s.JSON
		for k, v := range r.URL.Query() {
			args[k] = v[0]
		}
		d.keepTool(s)
		name := strings.TrimPrefix(r.URL.Path, "/tools/")
		if d.say == nil || !d.say(name, w) {
			writeJSON(w, map[string]any{"result": d.tool(name, args)})
		}
	case kind == "tool-calls":
		d.keepTool(s)
		var results []any
		for _, c := range dig(s.JSON, "message.toolCallList").([]any) {
			args, ok := dig(c, "function.arguments").(map[string]any)
			if !ok {
				_ = json.Unmarshal([]byte(dig(c, "function.arguments").(string)), &args)
			}
			name := dig(c, "function.name").(string)
			results = append(results, map[string]any{"toolCallId": dig(c, "id"), "name": name, "result": d.tool(name, args)})
		}
		if d.backward {
			slices.Reverse(results)
		}
		writeJSON(w, map[string]any{"results": results})
	case kind == "function-call":
		d.keepTool(s)
		writeJSON(w, map[string]any{"result": d.tool(dig(s.JSON, "message.functionCall.name").(string), dig(s.JSON, "message.functionCall.parameters").(map[string]any))})
	default:
		if d.event == nil || !d.event(w) {
			d.keep(s, kind)
		}
	}
}

func (d *desk) keepTool(s sent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tools = append(d.tools, s)
}

var rank = map[string]int{"initiated": 1, "queued": 2, "ongoing": 3, "forwarded": 4, "finished": 5, "failed": 5}

func (d *desk) keep(s sent, kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, s)
	id := dig(s.JSON, "message.call.id").(string)
	if status := dig(s.JSON, "message.call.status").(string); rank[status] > rank[d.status[id]] {
		d.status[id] = status
	}
	for _, at := range []string{"message.messages", "message.call.messages"} {
		if ms, ok := dig(s.JSON, at).([]any); ok {
			d.most[id] = max(d.most[id], len(ms))
		}
	}
	if kind == "end-of-call-report" {
		d.report[id] = true
	}
}

func (d *desk) state(_ context.Context, id string) (State, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status, known := d.status[id]
	return State{Status: status, Messages: d.most[id], Ended: d.report[id], Report: d.report[id]}, known, nil
}

// tool is the dental front desk's tools, as far as scenarios need them.
func (d *desk) tool(name string, args map[string]any) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	arg := func(k string) string { s, _ := args[k].(string); return s }
	switch name {
	case "opening_hours":
		return "We are open Monday to Friday, and closed at weekends."
	case "find_open_slots":
		return arg("date") + " has openings at 09:00, 09:45, 10:30, 11:15, 12:00, 12:45, 13:30, 14:15, 15:00, 15:45, 16:30."
	case "book_appointment":
		key, _ := json.Marshal(args)
		if d.said[string(key)] != "" && !d.twice {
			return d.said[string(key)]
		}
		d.booked[arg("phone")] = append(d.booked[arg("phone")], arg("date")+" at "+arg("time"))
		service := arg("service")
		if service == "" {
			service = "a check-up"
		}
		d.said[string(key)] = fmt.Sprintf("Booked: %s for %s on %s at %s.", service, arg("name"), arg("date"), arg("time"))
		return d.said[string(key)]
	case "my_appointments":
		switch have := d.booked[arg("phone")]; len(have) {
		case 0:
			return "There is no appointment to come of that name and number."
		case 1:
			return "You have 1 appointment: " + have[0] + "."
		default:
			return fmt.Sprintf("You have %d appointments: %s.", len(have), strings.Join(have, "; "))
		}
	case "cancel_appointment":
		delete(d.booked, arg("phone"))
		return "Canceled: " + arg("date") + "."
	}
	return "There is no such tool."
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// dig returns the value at a path, or nil.
func dig(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// memory carries requests to a handler without a network, so that a synctest
// bubble knows when all are waiting.
type memory struct{ http.Handler }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		m.ServeHTTP(w, r)
	}()
	select {
	case <-done:
		return w.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// options play at the desk, without a network.
func options(d *desk) Options {
	return Options{URL: "http://desk.test", Secret: secret, NoDelay: true, State: d.state, Client: &http.Client{Transport: memory{d}}}
}

func playNamed(t *testing.T, o Options, name string) Result {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return playThis(t, o, s)
}

func playThis(t *testing.T, o Options, s Scenario) Result {
	t.Helper()
	r, err := Run(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scenario(t *testing.T, text string) Scenario {
	t.Helper()
	s, err := Parse("mine.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fails checks that a failure says the text.
func fails(t *testing.T, r Result, text string) {
	t.Helper()
	if !strings.Contains(strings.Join(r.Failures, "\n"), text) {
		t.Errorf("failures %q, want one with %q", r.Failures, text)
	}
}

func passes(t *testing.T, r Result) {
	t.Helper()
	for _, f := range r.Failures {
		t.Errorf("%s, seed %d: %s", r.Scenario, r.Seed, f)
	}
}
