package simulate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/serverurl/serverurl/simulate"
)

// ask sends one request with the key.
func ask(t *testing.T, a *simulate.API, path, key string) (int, any) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "https://api.test"+path, nil)
	r.Header.Set("Authorization", "Bearer "+key)
	a.ServeHTTP(w, r)
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return w.Code, v
}

// The API has the calls whose events were never sent.
func TestAPIHasLostCalls(t *testing.T) {
	for _, c := range []struct {
		fault   simulate.Fault
		reports int
		events  bool
	}{{"", 1, true}, {simulate.FaultNoReport, 0, true}, {simulate.FaultSilent, 0, false}} {
		t.Run(string(c.fault), func(t *testing.T) {
			v, api := &receiver{t: t}, simulate.NewAPI("k")
			o := v.options(c.fault)
			o.API = api
			s, err := simulate.Load("booking")
			if err != nil {
				t.Fatal(err)
			}
			r := play(t, v, o, s)
			if n := len(v.events("end-of-call-report")); n != c.reports {
				t.Errorf("%d reports were sent, want %d", n, c.reports)
			}
			if got := len(v.events()) > 0; got != c.events {
				t.Errorf("events were sent: %v, want %v", got, c.events)
			}
			status, call := ask(t, api, "/calls/v1/conversations/"+r.Call, "k")
			if status != 200 || at(call, "status") != "finished" || at(call, "endAt") == nil || at(call, "analysis.summary") == "" || len(list(call, "messages")) == 0 {
				t.Errorf("the API replied %d %v", status, call)
			}
			status, page := ask(t, api, "/calls/v1/conversations?startDate=1999-01-01T00:00:00Z&endDate=2036-01-01T00:00:00Z", "k")
			if status != 200 || at(page, "totalCount") != 1.0 || at(list(page, "conversations")[0], "id") != r.Call {
				t.Errorf("the list replied %d %v", status, page)
			}
		})
	}
}

func TestAPIErrors(t *testing.T) {
	a := simulate.NewAPI("k", simulate.APITooManyRequests, simulate.APIServerError)
	for _, c := range []struct {
		path, key string
		want      int
	}{
		{"/calls/v1/conversations/x", "k", http.StatusTooManyRequests},
		{"/calls/v1/conversations/x", "k", http.StatusInternalServerError},
		{"/calls/v1/conversations/x", "k", http.StatusNotFound},
		{"/calls/v1/conversations/x", "another", http.StatusUnauthorized},
		{"/calls/v1/conversations?startDate=2026-01-01T00:00:00Z", "k", http.StatusBadRequest},
	} {
		if got, _ := ask(t, a, c.path, c.key); got != c.want {
			t.Errorf("%s: status %d, want %d", c.path, got, c.want)
		}
	}
}

func TestParseAPIFaults(t *testing.T) {
	if ts, err := simulate.ParseAPIFaults("ok, 429,slow"); err != nil || len(ts) != 3 {
		t.Errorf("%v %v", ts, err)
	}
	if _, err := simulate.ParseAPIFaults("ok,rain"); err == nil {
		t.Error("rain is accepted")
	}
}
