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

// An API is what Interactly knows of the calls that are played, whether or not
// the backend was told: GET /calls/v1/conversations/ID, and the list of a span
// of days at GET /calls/v1/conversations (docs/repair.md#api). It is an
// [http.Handler]; put it into [Options] so that calls are known to it.
//
//	api := simulate.NewAPI("key")
//	srv := httptest.NewServer(api)
//	simulate.Run(ctx, simulate.Options{URL: backend, API: api, Faults: []simulate.Fault{simulate.NoReport}}, s)
type API struct {
	key string

	mu       sync.Mutex
	calls    map[string]listed
	troubles []Trouble
	asked    int
	requests []string
}

// listed is a call with what it is found by.
type listed struct {
	id    string
	start time.Time
	whole object
}

// A Trouble is what happens to one request at the API.
type Trouble string

// The ways in which the API answers a request.
const (
	Fine      Trouble = "ok"        // it is answered
	Unknown   Trouble = "404"       // the call is not known yet
	Busy      Trouble = "429"       // too many requests: Retry-After: 1
	Failing   Trouble = "500"       // the API fails
	Slow      Trouble = "slow"      // the answer takes SlowFor
	Truncated Trouble = "truncated" // the answer breaks off in the middle
)

// SlowFor is how long a slow answer takes.
const SlowFor = 15 * time.Second

// Troubles are all there are.
var Troubles = []Trouble{Fine, Unknown, Busy, Failing, Slow, Truncated}

// ParseTroubles reads a list with commas between.
func ParseTroubles(list string) ([]Trouble, error) {
	var ts []Trouble
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.Contains(Troubles, Trouble(name)) {
			return nil, fmt.Errorf("simulate: no trouble %q; there are %v", name, Troubles)
		}
		ts = append(ts, Trouble(name))
	}
	return ts, nil
}

// NewAPI returns an API that knows no call yet and takes the key. The troubles
// are those of the first requests, in turn; later ones are answered.
func NewAPI(key string, troubles ...Trouble) *API {
	return &API{key: key, calls: map[string]listed{}, troubles: troubles}
}

// Requests returns what was asked for, oldest first: path and query.
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// Know makes a call known as an object of the API's: its id, status, startAt
// and whatever else. One that is known is replaced.
func (a *API) Know(call map[string]any) {
	id, _ := call["id"].(string)
	start, _ := call["startAt"].(string)
	at, _ := time.Parse(time.RFC3339Nano, start)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[id] = listed{id, at, cloned(call)}
}

const conversations = "/calls/v1/conversations"

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	trouble := a.next(r)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+a.key:
		a.answer(w, http.StatusUnauthorized, object{"message": "Unauthorized"})
	case trouble == Unknown:
		a.answer(w, http.StatusNotFound, object{"message": "Conversation not found"})
	case trouble == Busy:
		w.Header().Set("Retry-After", "1")
		a.answer(w, http.StatusTooManyRequests, object{"message": "Too many requests"})
	case trouble == Failing:
		a.answer(w, http.StatusInternalServerError, object{"message": "Internal server error"})
	case r.Method != http.MethodGet:
		a.answer(w, http.StatusMethodNotAllowed, object{"message": "Method not allowed"})
	default:
		if trouble == Slow {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(SlowFor):
			}
		}
		if trouble == Truncated {
			w = &short{w}
		}
		a.serve(w, r)
	}
}

// next is the trouble of the request that comes.
func (a *API) next(r *http.Request) Trouble {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.URL.RequestURI())
	a.asked++
	if a.asked <= len(a.troubles) {
		return a.troubles[a.asked-1]
	}
	return Fine
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
	a.answer(w, http.StatusOK, call.whole)
}

// list is a page of the calls that started in a span. Both ends are required.
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
	var all []listed
	for _, c := range a.calls {
		if !c.start.Before(from) && !c.start.After(to) {
			all = append(all, c)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(all, func(a, b listed) int {
		if d := a.start.Compare(b.start); d != 0 {
			return d
		}
		return strings.Compare(a.id, b.id)
	})
	rows := []object{}
	for i := (page - 1) * size; i < min(page*size, len(all)); i++ {
		row := cloned(all[i].whole)
		delete(row, "messages") // the list is short
		rows = append(rows, row)
	}
	a.answer(w, http.StatusOK, object{"totalCount": len(all), "conversations": rows})
}

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

// short writes half of what it is given; the server then cuts the connection,
// because less came than was announced.
type short struct{ http.ResponseWriter }

func (s *short) Write(b []byte) (int, error) {
	_, err := s.ResponseWriter.Write(b[:len(b)/2])
	return len(b), err
}

// know tells the API how the call is now: an object that is flatter than the
// events', with messages and analysis inside and times as text.
func (c *call) know(a *API, e object) {
	if a == nil {
		return
	}
	m := e["message"].(object)
	o := cloned(m["call"].(object))
	said := make([]object, len(c.messages))
	for i, msg := range c.messages {
		said[i] = object{"messageId": msg["messageId"], "role": msg["role"], "text": msg["text"], "timestamp": iso(time.UnixMilli(msg["timestamp"].(int64)))}
	}
	o["messages"] = said
	if m["type"] == "end-of-call-report" {
		o["analysis"] = m["analysis"]
	} else if c.status == "finished" || c.status == "failed" {
		o["endAt"] = iso(c.over())
	}
	o["createdAt"], o["updatedAt"] = iso(c.start), iso(c.now)
	o["monitor"] = object{"controlUrl": "https://api.example.com" + conversations + "/" + c.id + "/control"}
	o["somethingNew"] = jsontext.Value(`{"since":"2026-11"}`)
	a.Know(o)
}
