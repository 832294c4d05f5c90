package interactly

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Call is what the API knows of a call: the object of docs/events.md#call
// with the messages and the analysis in it. Typed is only what is needed to
// choose; everything is in Raw.
type Call struct {
	ID      string    // opaque
	Status  string    // as the API has it
	StartAt time.Time // zero where it does not say
	EndAt   time.Time // zero until the end

	// Raw is the object, byte for byte. It holds what people said and, in
	// monitor.controlUrl, a way to speak in the live call.
	Raw []byte
}

// Call returns the call with the id, with its messages. Where there is none,
// the error is [ErrNotFound].
func (c *Client) Call(ctx context.Context, id string) (Call, error) {
	if id == "" || id == "." || id == ".." {
		return Call{}, &Error{kind: ErrNotFound}
	}
	return get(ctx, c, "/calls/v1/conversations/"+url.PathEscape(id), nil, func(body []byte) (Call, error) {
		call, err := readCall(unwrap(body))
		if err == nil && call.ID != id {
			if call.ID != "" {
				return Call{}, &Error{kind: ErrBadAnswer}
			}
			call.ID = id
		}
		return call, err
	})
}

// pageSize is how many calls are asked for at once, and maxPages where a list
// that has no end is left.
const (
	pageSize = 100
	maxPages = 1000
)

// Calls yields the calls that started from a time up to another, as the list
// has them: often without messages. Each call comes once. After an error,
// which comes last, calls are missing.
func (c *Client) Calls(ctx context.Context, from, to time.Time) iter.Seq2[Call, error] {
	return func(yield func(Call, error) bool) {
		seen := map[string]bool{}
		for n, got := 1, 0; n <= maxPages; n++ {
			q := url.Values{"startDate": {day(from)}, "endDate": {day(to)}, "page": {page(n)}, "size": {page(pageSize)}, "sort": {"startAt"}}
			l, err := get(ctx, c, "/calls/v1/conversations", q, readList)
			if err != nil {
				yield(Call{}, err)
				return
			}
			for _, call := range l.calls {
				// Calls move from page to page while others begin.
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
		yield(Call{}, &Error{kind: ErrBadAnswer})
	}
}

// A list is a page of calls. total is -1 where the API does not say.
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
		return l, &Error{kind: ErrBadAnswer}
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

// readCall reads the fields that are typed, whatever kind they are of.
func readCall(raw []byte) (Call, error) {
	var of map[string]jsontext.Value
	if json.Unmarshal(raw, &of, tolerant) != nil || of == nil {
		return Call{}, &Error{kind: ErrBadAnswer} // the decoder's own words would quote it
	}
	return Call{
		ID:      cmp.Or(text(of["id"]), text(of["conversationId"]), text(of["_id"])),
		Status:  text(of["status"]),
		StartAt: when(of["startAt"]), EndAt: when(of["endAt"]),
		Raw: raw,
	}, nil
}

// unwrap returns the object that an answer is about: itself, or what it has
// under data, as answers of call control do (docs/backfill.md#api).
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

// when reads ISO 8601, or ms since 1970.
func when(v jsontext.Value) time.Time {
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
