package simulate

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// An API serves the calls that were played as Interactly's API does, including
// what the backend did not receive: GET /calls/v1/conversations/ID, and the calls
// of a range of days at GET /calls/v1/conversations (docs/backfill.md#api). It is
// an [http.Handler]; set it in [Options] so that it receives the calls.
//
//	api := simulate.NewAPI("key")
//	srv := httptest.NewServer(api)
//	simulate.Run(ctx, simulate.Options{URL: backend, API: api, Faults: []simulate.Fault{simulate.FaultNoReport}}, s)
type API struct {
	key string

	mu       sync.Mutex
	calls    map[string]apiCall
	faults   []APIFault // of the first requests
	requests []string
}

// An apiCall is a call with its sort keys.
type apiCall struct {
	id    string
	start time.Time
	json  object
}

// An APIFault is how the API handles one request.
type APIFault string

// The ways in which the API handles a request.
const (
	APIOK              APIFault = "ok"        // it answers
	APINotFound        APIFault = "404"       // the call is not known yet
	APITooManyRequests APIFault = "429"       // with Retry-After: 1
	APIServerError     APIFault = "500"       // the API fails
	APISlow            APIFault = "slow"      // the response takes SlowDelay
	APITruncated       APIFault = "truncated" // the connection closes in the middle of the response
)

// SlowDelay is how long a slow response takes.
const SlowDelay = 15 * time.Second

// APIFaults are all of them.
var APIFaults = []APIFault{APIOK, APINotFound, APITooManyRequests, APIServerError, APISlow, APITruncated}

// ParseAPIFaults parses a comma-separated list.
func ParseAPIFaults(list string) ([]APIFault, error) {
	var fs []APIFault
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.Contains(APIFaults, APIFault(name)) {
			return nil, fmt.Errorf("simulate: unknown API fault %q; there are %v", name, APIFaults)
		}
		fs = append(fs, APIFault(name))
	}
	return fs, nil
}

// NewAPI returns an API without calls that accepts the key. The faults are
// those of the first requests, in order; later ones are answered.
func NewAPI(key string, faults ...APIFault) *API {
	return &API{key: key, calls: map[string]apiCall{}, faults: faults}
}

// Requests returns path and query of all requests, oldest first.
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// AddCall adds or replaces a call, given as the API's JSON object: id, status,
// startAt and any other fields.
func (a *API) AddCall(call map[string]any) {
	id, _ := call["id"].(string)
	start, _ := call["startAt"].(string)
	at, _ := time.Parse(time.RFC3339Nano, start)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[id] = apiCall{id, at, cloned(call)}
}

const conversations = "/calls/v1/conversations"

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := a.next(r)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+a.key:
		a.answer(w, http.StatusUnauthorized, object{"message": "Unauthorized"})
	case fault == APINotFound:
		a.answer(w, http.StatusNotFound, object{"message": "Conversation not found"})
	case fault == APITooManyRequests:
		w.Header().Set("Retry-After", "1")
		a.answer(w, http.StatusTooManyRequests, object{"message": "Too many requests"})
	case fault == APIServerError:
		a.answer(w, http.StatusInternalServerError, object{"message": "Internal server error"})
	case r.Method != http.MethodGet:
		a.answer(w, http.StatusMethodNotAllowed, object{"message": "Method not allowed"})
	default:
		if fault == APISlow {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(SlowDelay):
			}
		}
		if fault == APITruncated {
			w = &truncatedWriter{w}
		}
		a.serve(w, r)
	}
}

// next records the request and returns its fault.
func (a *API) next(r *http.Request) APIFault {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.URL.RequestURI())
	if n := len(a.requests); n <= len(a.faults) {
		return a.faults[n-1]
	}
	return APIOK
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == conversations {
		a.list(w, r)
		return
	}
	id, one := strings.CutPrefix(r.URL.Path, conversations+"/")
	a.mu.Lock()
	call, ok := a.calls[id]
	a.mu.Unlock()
	if !one || !ok {
		a.answer(w, http.StatusNotFound, object{"message": "Conversation not found"})
		return
	}
	a.answer(w, http.StatusOK, call.json)
}

// list answers with a page of the calls that started in a range, whose ends are
// both required.
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, bad1 := time.Parse(time.RFC3339Nano, q.Get("startDate"))
	to, bad2 := time.Parse(time.RFC3339Nano, q.Get("endDate"))
	if bad1 != nil || bad2 != nil {
		a.answer(w, http.StatusBadRequest, object{"message": "startDate and endDate are required"})
		return
	}
	page, size := positive(q.Get("page"), 1), positive(q.Get("size"), 10)
	a.mu.Lock()
	var all []apiCall
	for _, c := range a.calls {
		if !c.start.Before(from) && !c.start.After(to) {
			all = append(all, c)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(all, func(a, b apiCall) int {
		if d := a.start.Compare(b.start); d != 0 {
			return d
		}
		return strings.Compare(a.id, b.id)
	})
	rows := []object{}
	for i := (page - 1) * size; i < min(page*size, len(all)); i++ {
		row := cloned(all[i].json)
		delete(row, "messages") // the list has no messages
		rows = append(rows, row)
	}
	a.answer(w, http.StatusOK, object{"totalCount": len(all), "conversations": rows})
}

// positive parses a positive number; otherwise it returns or.
func positive(s string, or int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return or
}

func (a *API) answer(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// A truncatedWriter writes half of each slice. The server then closes the
// connection, because the body is shorter than its Content-Length.
type truncatedWriter struct{ http.ResponseWriter }

func (s *truncatedWriter) Write(b []byte) (int, error) {
	_, err := s.ResponseWriter.Write(b[:len(b)/2])
	return len(b), err
}

// updateAPI adds the current call to the API, as an object that is flatter than
// those of events, with messages and analysis inside and times as text.
func (c *call) updateAPI(a *API, e object) {
	if a == nil {
		return
	}
	m := e["message"].(object)
	o := cloned(m["call"].(object))
	messages := make([]object, len(c.messages))
	for i, msg := range c.messages {
		messages[i] = object{"messageId": msg["messageId"], "role": msg["role"], "text": msg["text"], "timestamp": iso(time.UnixMilli(msg["timestamp"].(int64)))}
	}
	o["messages"] = messages
	if m["type"] == "end-of-call-report" {
		o["analysis"] = m["analysis"]
	} else if c.status == "finished" || c.status == "failed" {
		o["endAt"] = iso(c.endedAt())
	}
	o["createdAt"], o["updatedAt"] = iso(c.start), iso(c.now)
	o["monitor"] = object{"controlUrl": "https://api.example.com" + conversations + "/" + c.id + "/control"}
	o["somethingNew"] = jsontext.Value(`{"since":"2026-11"}`)
	a.AddCall(o)
}
