package calls

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A ToolRequest is one call of one tool and its answer, as they went over the
// wire. It exists for read-only tools too, which leave no [ToolRun].
type ToolRequest struct {
	ReceivedAt time.Time     `json:"at"`
	Latency    time.Duration `json:"-"`                // from receipt until the reply was ready
	Budget     time.Duration `json:"-"`                // how long the reply might have taken
	Tool       string        `json:"tool"`             // "" if what was sent is not a valid name
	Tenant     string        `json:"tenant,omitempty"` // the name of the secret that the sender knows
	Call       event.CallID  `json:"call,omitempty"`
	ToolCallID string        `json:"toolCallId,omitempty"` // if the dialect has such ids
	Method     string        `json:"method"`               // of HTTP

	// State is the outcome: done, failed, late (the reply deadline came first),
	// released (nothing was changed), unknown (it may have been changed),
	// fenced (a newer owner ran it), refused, or "store down".
	State    string `json:"state"`
	Replayed bool   `json:"replayed,omitempty"` // the stored answer of an earlier request
	DedupKey string `json:"same,omitempty"`     // equal for requests with the same call, tool and arguments

	Args        jsontext.Value `json:"args,omitempty"`   // secrets redacted; nil if they could not be read or are too large
	Result      string         `json:"result,omitempty"` // the line for this tool call
	HTTPStatus  int            `json:"status"`           // of the response
	ContentType string         `json:"type,omitempty"`   // of the response
	Reply       []byte         `json:"reply,omitempty"`  // body of the response, for all tool calls of the request
}

// SentID returns the call's id as it was sent.
func (r ToolRequest) SentID() event.CallID { return callstate.SentID(r.Tenant, r.Call) }

// An EventArrival is one delivery of an event.
type EventArrival struct {
	Call     event.CallID `json:"call"`
	Type     event.Type   `json:"type"`
	Envelope string       `json:"envelope"` // core.Envelope.ID
	Received time.Time    `json:"received"`

	// Duplicate reports that the event changed nothing, because it was sent or
	// delivered before. Only the first one is in the call's log.
	Duplicate bool `json:"repeated,omitempty"`
}

// requestTTL is how long recorded requests and duplicates are stored: they are
// for finding faults, which is done within days.
const requestTTL = 30 * 24 * time.Hour

// A StoredToolRequest is a recorded tool request.
type StoredToolRequest struct {
	ID string `json:"-"` // its name in the list of all requests
	ToolRequest
}

// storedRequest is the stored form. Durations are written in nanoseconds.
type storedRequest struct {
	ToolRequest
	TookNanos   int64 `json:"took"`
	BudgetNanos int64 `json:"budget"`
}

// RecordToolRequest stores a tool request for [ListToolRequests] and, if the
// call is known, for [ToolRequests]. It expires after 30 days, and is deleted
// with the call's content. Of a call that was deleted nothing is stored. A
// Processor does not record by itself, because a reply must not wait for it.
func RecordToolRequest(ctx context.Context, s records.Store, r ToolRequest) error {
	if deleted, err := isDeleted(ctx, s, r.Call); err != nil || deleted {
		return err
	}
	if len(r.Reply) > records.MaxRecordBytes/2 { // base64 makes it a third larger, and Args come with it
		r.Reply = nil
	}
	value, err := json.Marshal(storedRequest{r, int64(r.Latency), int64(r.Budget)})
	if err != nil {
		return errors.New("calls: tool request encoding failed") // the encoder's text quotes it
	}
	expires := r.ReceivedAt.Add(requestTTL)
	name := callstate.RequestName(r.ReceivedAt)
	rs := []records.Record{{Key: callstate.RequestsDir + "/" + name, Value: value, Expires: expires}}
	if r.Call != "" {
		rs = append(rs, records.Record{Key: callstate.CallRequestsDir(r.Call) + "/" + name, Value: []byte{'1'}, Expires: expires})
	}
	return s.Commit(ctx, rs...)
}

// RecordDuplicate stores that an event arrived again, for [Duplicates]. One
// that is recorded already stays as it is. It expires after 30 days.
func RecordDuplicate(ctx context.Context, s records.Store, e EventArrival) error {
	if deleted, err := isDeleted(ctx, s, e.Call); err != nil || deleted {
		return err
	}
	value, err := json.Marshal(e)
	if err != nil {
		return errors.New("calls: event arrival encoding failed")
	}
	err = s.Commit(ctx, records.Record{Key: callstate.DuplicatesDir(e.Call) + "/" + records.KeyName(e.Envelope), Value: value, Expires: e.Received.Add(requestTTL)})
	if errors.Is(err, records.ErrStale) {
		return nil
	}
	return err
}

// isDeleted reports whether a call has a tombstone. What is recorded while the
// call is being deleted is purged by a later sweep.
func isDeleted(ctx context.Context, s records.Store, id event.CallID) (bool, error) {
	if id == "" {
		return false, nil
	}
	recs, err := s.Get(ctx, callstate.CallKey(id))
	if err != nil {
		return false, err
	}
	state, err := callstate.DecodeState(recs[0])
	return state.Deleted, err
}

// ListToolRequests returns up to limit recorded tool requests after an ID, the
// newest first; "" starts with the newest.
func ListToolRequests(ctx context.Context, s records.Store, after string, limit int) ([]StoredToolRequest, error) {
	recs, err := s.Range(ctx, callstate.RequestsDir, after, limit)
	if err != nil {
		return nil, err
	}
	return decodeRequests(recs), nil
}

// ToolRequests returns the recorded tool requests of a call, the oldest first.
func ToolRequests(ctx context.Context, s records.Store, id event.CallID) ([]StoredToolRequest, error) {
	var keys []string
	for after := ""; ; {
		recs, err := s.Range(ctx, callstate.CallRequestsDir(id), after, 200)
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

// ReadToolRequest returns the recorded tool request with the ID. ok is false if
// there is none, or it has expired.
func ReadToolRequest(ctx context.Context, s records.Store, id string) (r StoredToolRequest, ok bool, err error) {
	recs, err := s.Get(ctx, callstate.RequestsDir+"/"+id)
	if err != nil {
		return StoredToolRequest{}, false, err
	}
	for _, r := range decodeRequests(recs) {
		return r, true, nil
	}
	return StoredToolRequest{}, false, nil
}

// maxDuplicates bounds what is read of a call that is repeated all the time.
const maxDuplicates = 1000

// Duplicates returns the recorded duplicates among a call's events, at most
// 1,000.
func Duplicates(ctx context.Context, s records.Store, id event.CallID) ([]EventArrival, error) {
	recs, err := s.Range(ctx, callstate.DuplicatesDir(id), "", maxDuplicates)
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
