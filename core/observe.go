package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An Observation is something that the Processor has just done, for whoever
// looks on: see [Platform].Observe. Just one of its fields is set.
type Observation struct {
	Tool  *ToolRequest  // a tool request was answered
	Event *EventArrival // an event was merged into its call, or found to be known
}

// An EventArrival is an event on its way through Deliver.
type EventArrival struct {
	Call     CallID    `json:"call"`
	Type     EventType `json:"type"`
	Envelope string    `json:"envelope"`
	Received time.Time `json:"received"`

	// Repeated tells an event that said nothing new: it was sent twice, or
	// delivered twice. It is in no log of its call.
	Repeated bool `json:"repeated,omitempty"`
}

// A ToolRequest is one call of one tool and what was answered, as it went over
// the wire. It is made for tools that only look as well, which leave no
// [ToolRun].
type ToolRequest struct {
	At         time.Time     `json:"at"` // when it came
	Took       time.Duration `json:"-"`  // until the reply was there
	Budget     time.Duration `json:"-"`
	Tool       string        `json:"tool"` // "" when what was sent is not a name
	Call       CallID        `json:"call,omitempty"`
	ToolCallID string        `json:"toolCallId,omitempty"` // of a dialect that has ids
	Method     string        `json:"method"`

	// State is what came of it: done, failed, late (the reply was due before
	// the tool was done), released, unknown, fenced, refused, "store down".
	State    string `json:"state"`
	Replayed bool   `json:"replayed,omitempty"` // the bytes of an earlier request
	Same     string `json:"same,omitempty"`     // equal for requests with the same call, tool and arguments

	Args   jsontext.Value `json:"args,omitempty"`   // secrets are masked; nil where they could not be read
	Result string         `json:"result,omitempty"` // the line for this call
	Status int            `json:"status"`           // of the response
	Type   string         `json:"type,omitempty"`   // its content type
	Reply  []byte         `json:"reply,omitempty"`  // its body as sent, for all calls of the request
}

// maxKeptArgs is the most bytes of arguments that are kept for the eye.
const maxKeptArgs = 32 << 10

// toolWatch gathers the calls of one request.
type toolWatch struct {
	mu    sync.Mutex
	calls []ToolRequest
}

type toolWatchKey struct{}

// watch returns a context that gathers, where somebody looks on.
func (p *Processor) watch(ctx context.Context) (context.Context, *toolWatch) {
	if p.on.Observe == nil {
		return ctx, nil
	}
	w := new(toolWatch)
	return context.WithValue(ctx, toolWatchKey{}, w), w
}

// saw adds a call that was answered.
func (p *Processor) saw(ctx context.Context, q toolRequest, a toolAnswer, at time.Time) {
	w, _ := ctx.Value(toolWatchKey{}).(*toolWatch)
	if w == nil {
		return
	}
	r := ToolRequest{At: at.UTC(), Took: p.on.Now().Sub(at), ToolCallID: q.id, State: a.state, Replayed: a.replayed, Result: a.result, Call: q.call}
	if toolName.MatchString(q.name) {
		r.Tool = q.name
	}
	if !validID(string(r.Call)) {
		r.Call = ""
	}
	if t := p.tools[q.name]; t != nil {
		if r.Budget = t.Budget; p.on.Reply > 0 {
			r.Budget = min(r.Budget, p.on.Reply-replyMargin)
		}
		sent := q.args
		if args, err := arguments(q.args); err == nil {
			if canon, err := t.validate(t.fromQuery(args, q.query)); err == nil {
				sent = canon
				r.Same = digest("same", string(r.Call), r.Tool, string(canon))[:16]
			}
		}
		r.Args = maskedArgs(sent, &p.on.Sender)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, r)
}

func maskedArgs(args jsontext.Value, sender *Sender) jsontext.Value {
	masked := jsontext.Value(sender.Redact(nil, args)).Clone()
	if len(masked) > maxKeptArgs || !masked.IsValid() {
		return nil
	}
	return masked
}

// told hands what a request came to to the observer. A request to a tool's URL
// that was refused before it reached the tool is one too.
func (p *Processor) told(w *toolWatch, r *Request, tool string, isTool bool, resp Response, received time.Time) {
	if w == nil {
		return
	}
	if len(w.calls) == 0 {
		if !isTool {
			return
		}
		one := ToolRequest{At: received.UTC(), Took: p.on.Now().Sub(received), State: "refused"}
		if toolName.MatchString(tool) {
			one.Tool = tool
		}
		if id := CallID(r.Header.Get(callHeader)); resp.Status != unauthorized.Status && validID(string(id)) {
			one.Call = id
		}
		if id := CallID(queryCall(r.Query)); resp.Status != unauthorized.Status && validID(string(id)) {
			one.Call = id
		}
		w.calls = append(w.calls, one)
	}
	for _, c := range w.calls {
		c.Method, c.Status, c.Reply = r.Method, resp.Status, resp.Body
		for _, f := range resp.Header {
			if f.Name == "Content-Type" {
				c.Type = f.Value
			}
		}
		p.on.Observe(Observation{Tool: &c})
	}
}

func (p *Processor) arrived(env Envelope, repeated bool) {
	if p.on.Observe != nil {
		p.on.Observe(Observation{Event: &EventArrival{Call: env.Call, Type: env.Type, Envelope: env.ID, Received: env.Received, Repeated: repeated}})
	}
}

// Where observations are that were kept.
const requestsDir = "requests"

// requestAge is how long tool requests are kept.
const requestAge = 30 * 24 * time.Hour

// A KeptRequest is a tool request in a store.
type KeptRequest struct {
	ID string `json:"-"` // its name in the list of all requests
	ToolRequest
}

// keptRequest is a tool request as it is stored.
type keptRequest struct {
	ToolRequest
	TookNanos   int64 `json:"took"`
	BudgetNanos int64 `json:"budget"`
}

// KeepToolRequest writes a tool request down for [ListToolRequests] and, where
// the call is known, for [ReadToolRequests]. It ends after 30 days. The
// Processor does not call it: answering must not wait for it.
func KeepToolRequest(ctx context.Context, s Store, r ToolRequest) error {
	if len(r.Reply) > MaxRecord/2 {
		r.Reply = nil
	}
	value, err := json.Marshal(keptRequest{r, int64(r.Took), int64(r.Budget)})
	if err != nil {
		return errors.New("core: a tool request cannot be encoded")
	}
	expires := r.At.Add(requestAge)
	name := fmt.Sprintf("%016d-%s", max(0, 9_999_999_999_999_999-r.At.UnixMicro()), rand.Text()[:10])
	rs := []Record{{Key: requestsDir + "/" + name, Value: value, Expires: expires}}
	if r.Call != "" {
		rs = append(rs, Record{Key: callDir(r.Call) + "/requests/" + name, Value: []byte{'1'}, Expires: expires})
	}
	return s.Commit(ctx, rs...)
}

// KeepRepeat writes down that an event came again, for [ReadRepeats].
func KeepRepeat(ctx context.Context, s Store, e EventArrival) error {
	value, err := json.Marshal(e)
	if err != nil {
		return errors.New("core: an event's arrival cannot be encoded")
	}
	err = s.Commit(ctx, Record{Key: callDir(e.Call) + "/repeats/" + Name(e.Envelope), Value: value, Expires: e.Received.Add(requestAge)})
	if errors.Is(err, ErrStale) {
		return nil // this delivery of it was written down before
	}
	return err
}

// ListToolRequests returns up to limit tool requests that were kept, newest
// first, after the ID given.
func ListToolRequests(ctx context.Context, s Store, after string, limit int) ([]KeptRequest, error) {
	recs, err := s.Range(ctx, requestsDir, after, limit)
	if err != nil {
		return nil, err
	}
	return decodeRequests(recs), nil
}

// ReadToolRequests returns the tool requests of a call that were kept, the
// oldest first.
func ReadToolRequests(ctx context.Context, s Store, id CallID) ([]KeptRequest, error) {
	var keys []string
	for after := ""; ; {
		recs, err := s.Range(ctx, callDir(id)+"/requests", after, 200)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			_, after, _ = SplitKey(r.Key)
			keys = append(keys, requestsDir+"/"+after)
		}
		if len(recs) < 200 {
			break
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	recs, err := s.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	all := decodeRequests(recs)
	slices.SortStableFunc(all, func(a, b KeptRequest) int { return a.At.Compare(b.At) })
	return all, nil
}

// ReadToolRequest returns the tool request with the ID, or false.
func ReadToolRequest(ctx context.Context, s Store, id string) (KeptRequest, bool, error) {
	recs, err := s.Get(ctx, requestsDir+"/"+id)
	if err != nil {
		return KeptRequest{}, false, err
	}
	for _, r := range decodeRequests(recs) {
		return r, true, nil
	}
	return KeptRequest{}, false, nil
}

// ReadRepeats returns the events of a call that came again.
func ReadRepeats(ctx context.Context, s Store, id CallID) ([]EventArrival, error) {
	recs, err := s.Range(ctx, callDir(id)+"/repeats", "", 1000)
	if err != nil {
		return nil, err
	}
	var all []EventArrival
	for _, r := range recs {
		var e EventArrival
		if json.Unmarshal(r.Value, &e) == nil {
			all = append(all, e)
		}
	}
	return all, nil
}

func decodeRequests(recs []Record) []KeptRequest {
	all := make([]KeptRequest, 0, len(recs))
	for _, r := range recs {
		var in keptRequest
		if r.Version == 0 || json.Unmarshal(r.Value, &in) != nil {
			continue // expired, or of another version
		}
		k := KeptRequest{ToolRequest: in.ToolRequest}
		k.Took, k.Budget = time.Duration(in.TookNanos), time.Duration(in.BudgetNanos)
		_, k.ID, _ = SplitKey(r.Key)
		all = append(all, k)
	}
	return all
}
