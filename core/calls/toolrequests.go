package calls

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An EventArrival is an event on its way through Deliver.
type EventArrival struct {
	Call     event.CallID `json:"call"`
	Type     event.Type   `json:"type"`
	Envelope string       `json:"envelope"`
	Received time.Time    `json:"received"`

	// Duplicate tells an event that said nothing new: it was sent twice, or
	// delivered twice. It is in no log of its call.
	Duplicate bool `json:"repeated,omitempty"`
}

// A ToolRequest is one call of one tool and what was answered, as it went over
// the wire. It is made for tools that only look as well, which leave no
// [ToolRun].
type ToolRequest struct {
	ReceivedAt time.Time     `json:"at"` // when it came
	Latency    time.Duration `json:"-"`  // until the reply was there
	Budget     time.Duration `json:"-"`
	Tool       string        `json:"tool"` // "" when what was sent is not a name
	Call       event.CallID  `json:"call,omitempty"`
	ToolCallID string        `json:"toolCallId,omitempty"` // of a dialect that has ids
	Method     string        `json:"method"`

	// State is what came of it: done, failed, late (the reply was due before
	// the tool was done), released, unknown, fenced, refused, "store down".
	State    string `json:"state"`
	Replayed bool   `json:"replayed,omitempty"` // the bytes of an earlier request
	DedupKey string `json:"same,omitempty"`     // equal for requests with the same call, tool and arguments

	Args        jsontext.Value `json:"args,omitempty"`   // secrets are masked; nil where they could not be read
	Result      string         `json:"result,omitempty"` // the line for this call
	HTTPStatus  int            `json:"status"`           // of the response
	ContentType string         `json:"type,omitempty"`   // its content type
	Reply       []byte         `json:"reply,omitempty"`  // its body as sent, for all calls of the request
}

// requestAge is how long tool requests are kept.
const requestAge = 30 * 24 * time.Hour

// A StoredToolRequest is a tool request in a store.
type StoredToolRequest struct {
	ID string `json:"-"` // its name in the list of all requests
	ToolRequest
}

// storedRequest is a tool request as it is stored.
type storedRequest struct {
	ToolRequest
	TookNanos   int64 `json:"took"`
	BudgetNanos int64 `json:"budget"`
}

// RecordToolRequest writes a tool request down for [ListToolRequests] and, where
// the call is known, for [ToolRequests]. It ends after 30 days. The
// Processor does not call it: answering must not wait for it.
func RecordToolRequest(ctx context.Context, s records.Store, r ToolRequest) error {
	if len(r.Reply) > records.MaxRecordBytes/2 {
		r.Reply = nil
	}
	value, err := json.Marshal(storedRequest{r, int64(r.Latency), int64(r.Budget)})
	if err != nil {
		return errors.New("core: a tool request cannot be encoded")
	}
	expires := r.ReceivedAt.Add(requestAge)
	name := fmt.Sprintf("%016d-%s", max(0, 9_999_999_999_999_999-r.ReceivedAt.UnixMicro()), rand.Text()[:10])
	rs := []records.Record{{Key: callstate.RequestsDir + "/" + name, Value: value, Expires: expires}}
	if r.Call != "" {
		rs = append(rs, records.Record{Key: callstate.CallDir(r.Call) + "/requests/" + name, Value: []byte{'1'}, Expires: expires})
	}
	return s.Commit(ctx, rs...)
}

// RecordDuplicate writes down that an event came again, for [Duplicates].
func RecordDuplicate(ctx context.Context, s records.Store, e EventArrival) error {
	value, err := json.Marshal(e)
	if err != nil {
		return errors.New("core: an event's arrival cannot be encoded")
	}
	err = s.Commit(ctx, records.Record{Key: callstate.CallDir(e.Call) + "/repeats/" + callstate.KeyName(e.Envelope), Value: value, Expires: e.Received.Add(requestAge)})
	if errors.Is(err, records.ErrStale) {
		return nil // this delivery of it was written down before
	}
	return err
}

// ListToolRequests returns up to limit tool requests that were kept, newest
// first, after the ID given.
func ListToolRequests(ctx context.Context, s records.Store, after string, limit int) ([]StoredToolRequest, error) {
	recs, err := s.Range(ctx, callstate.RequestsDir, after, limit)
	if err != nil {
		return nil, err
	}
	return decodeRequests(recs), nil
}

// ToolRequests returns the tool requests of a call that were kept, the
// oldest first.
func ToolRequests(ctx context.Context, s records.Store, id event.CallID) ([]StoredToolRequest, error) {
	var keys []string
	for after := ""; ; {
		recs, err := s.Range(ctx, callstate.CallDir(id)+"/requests", after, 200)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			keys = append(keys, callstate.RequestsDir+"/"+after)
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
	slices.SortStableFunc(all, func(a, b StoredToolRequest) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return all, nil
}

// ReadToolRequest returns the tool request with the ID, or false.
func ReadToolRequest(ctx context.Context, s records.Store, id string) (StoredToolRequest, bool, error) {
	recs, err := s.Get(ctx, callstate.RequestsDir+"/"+id)
	if err != nil {
		return StoredToolRequest{}, false, err
	}
	for _, r := range decodeRequests(recs) {
		return r, true, nil
	}
	return StoredToolRequest{}, false, nil
}

// Duplicates returns the events of a call that came again.
func Duplicates(ctx context.Context, s records.Store, id event.CallID) ([]EventArrival, error) {
	recs, err := s.Range(ctx, callstate.CallDir(id)+"/repeats", "", 1000)
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

func decodeRequests(recs []records.Record) []StoredToolRequest {
	all := make([]StoredToolRequest, 0, len(recs))
	for _, r := range recs {
		var in storedRequest
		if r.Version == 0 || json.Unmarshal(r.Value, &in) != nil {
			continue // expired, or of another version
		}
		k := StoredToolRequest{ToolRequest: in.ToolRequest}
		k.Latency, k.Budget = time.Duration(in.TookNanos), time.Duration(in.BudgetNanos)
		_, k.ID, _ = records.SplitKey(r.Key)
		all = append(all, k)
	}
	return all
}
