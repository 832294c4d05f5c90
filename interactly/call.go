package interactly

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Call is a call in the API: the object of docs/events.md#call including its
// messages and analysis. Only the fields needed to select calls are decoded; Raw
// has everything.
type Call struct {
	ID      string    // opaque
	Status  string    // as in the API
	StartAt time.Time // zero if unknown
	EndAt   time.Time // zero until the call ends

	// Raw is the object, byte for byte. It holds the transcript and, in
	// monitor.controlUrl, a credential to speak in the live call.
	Raw []byte
}

// Call returns the call with the id, including its messages. The error is
// [ErrNotFound] if there is none.
func (c *Client) Call(ctx context.Context, id string) (Call, error) {
	if id == "" || id == "." || id == ".." {
		return Call{}, &Error{kind: ErrNotFound}
	}
	return get(ctx, c, "/calls/v1/conversations/"+url.PathEscape(id), nil, func(body []byte) (Call, error) {
		call, err := readCall(unwrap(body))
		if err == nil && call.ID != id {
			if call.ID != "" {
				return Call{}, &Error{kind: ErrInvalidResponse}
			}
			call.ID = id
		}
		return call, err
	})
}

// pageSize is how many calls a request returns; maxPages bounds a list that does
// not end.
const (
	pageSize = 100
	maxPages = 1000
)

// Calls yields the calls that started between from and to, as the list has them:
// often without messages. Each call is yielded once. An error is yielded last, and
// means that calls are missing.
func (c *Client) Calls(ctx context.Context, from, to time.Time) iter.Seq2[Call, error] {
	return func(yield func(Call, error) bool) {
		seen := map[string]bool{}
		for n, got := 1, 0; n <= maxPages; n++ {
			q := url.Values{"startDate": {formatTime(from)}, "endDate": {formatTime(to)}, "page": {strconv.Itoa(n)}, "size": {strconv.Itoa(pageSize)}, "sort": {"startAt"}}
			l, err := get(ctx, c, "/calls/v1/conversations", q, readList)
			if err != nil {
				yield(Call{}, err)
				return
			}
			for _, call := range l.calls {
				// Calls move to other pages when new ones start.
				if call.ID == "" || seen[call.ID] {
					continue
				}
				seen[call.ID] = true
				if !yield(call, nil) {
					return
				}
			}
			got += len(l.calls)
			if len(l.calls) == 0 || l.total >= 0 && got >= l.total || l.total < 0 && len(l.calls) < pageSize {
				return
			}
		}
		yield(Call{}, &Error{kind: ErrInvalidResponse})
	}
}

// A list is a page of calls. total is -1 if the response has none.
type list struct {
	total int
	calls []Call
}

func readList(body []byte) (list, error) {
	l := list{total: -1}
	var page struct {
		Total         jsontext.Value   `json:"totalCount"`
		Conversations []jsontext.Value `json:"conversations"`
	}
	body = unwrap(body)
	if jsontext.Value(body).Kind() != '{' || json.Unmarshal(body, &page, tolerant) != nil || page.Conversations == nil {
		return l, &Error{kind: ErrInvalidResponse}
	}
	if json.Unmarshal(page.Total, &l.total) != nil || len(page.Total) == 0 {
		l.total = -1
	}
	for _, raw := range page.Conversations {
		call, err := readCall(raw)
		if err != nil {
			return l, err
		}
		l.calls = append(l.calls, call)
	}
	return l, nil
}

var tolerant = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readCall decodes the typed fields; those of another type stay zero.
func readCall(raw []byte) (Call, error) {
	var of map[string]jsontext.Value
	if json.Unmarshal(raw, &of, tolerant) != nil || of == nil {
		return Call{}, &Error{kind: ErrInvalidResponse} // the decoder's error would quote it
	}
	return Call{
		ID:      cmp.Or(text(of["id"]), text(of["conversationId"]), text(of["_id"])),
		Status:  text(of["status"]),
		StartAt: parseTime(of["startAt"]), EndAt: parseTime(of["endAt"]),
		Raw: raw,
	}, nil
}

// unwrap returns the object that a response holds: itself or, as in responses of
// call control, its member data (docs/backfill.md#api).
func unwrap(body []byte) []byte {
	var of struct {
		ID   jsontext.Value `json:"id"`
		Data jsontext.Value `json:"data"`
	}
	if json.Unmarshal(body, &of, tolerant) == nil && len(of.ID) == 0 && of.Data.Kind() == '{' {
		return of.Data
	}
	return body
}

func text(v jsontext.Value) string {
	var s string
	if json.Unmarshal(v, &s, tolerant) != nil {
		return ""
	}
	return s
}

// parseTime parses ISO 8601, or milliseconds since 1970.
func parseTime(v jsontext.Value) time.Time {
	if v.Kind() == '0' {
		var ms float64
		if json.Unmarshal(v, &ms) == nil && ms > 1e11 && ms < 1e15 {
			return time.UnixMilli(int64(ms)).UTC()
		}
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text(v))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
