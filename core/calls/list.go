package calls

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A Summary is what a list shows of a call.
type Summary struct {
	ID           event.CallID    `json:"id"`
	Status       event.Status    `json:"status"`
	MessageCount int             `json:"messages"` // said so far
	Ended        bool            `json:"ended"`    // OnCallEnded is due or done
	EndReason    event.EndReason `json:"endReason,omitempty"`
	FirstSeen    time.Time       `json:"first"` // when it was first heard of
	LastSeen     time.Time       `json:"last"`  // when it was last heard of

	HangCount       int `json:"hangs"`
	ErrorCount      int `json:"errors"`
	PendingHandlers int `json:"pending"` // changes whose handlers are not done

	// Which assistant it was and the call's metadata, as far as they were sent
	// and are small.
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"` // its name
	Metadata    jsontext.Value `json:"metadata,omitempty"`
}

// List returns up to limit calls, newest first, that come after the
// position given, and the position to go on from: "" at the start, and "" when
// there are no more.
func List(ctx context.Context, s records.Store, after string, limit int) (calls []Summary, next string, err error) {
	recs, err := s.Range(ctx, callstate.RecentDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	ids := make([]event.CallID, len(recs))
	for i, r := range recs {
		ids[i] = event.CallID(r.Value)
		_, next, _ = records.SplitKey(r.Key)
	}
	if len(recs) < limit {
		next = ""
	}
	calls, err = Summaries(ctx, s, ids...)
	return calls, next, err
}

func summarize(s *callstate.State) Summary {
	c := Summary{
		ID: s.ID, Status: s.Status, MessageCount: s.Messages, Ended: s.Ended != nil, FirstSeen: s.FirstSeen, LastSeen: s.LastSeen,
		HangCount: s.Hangs.Count, ErrorCount: s.Errors.Count, PendingHandlers: len(s.Pending),
		AssistantID: s.About.AssistantID, Assistant: s.About.Assistant, Metadata: s.About.Metadata,
	}
	if s.Ended != nil {
		c.EndReason = s.Ended.Reason
	}
	return c
}

// Summaries returns what a list shows of the calls with the ids, in their
// order. Calls that were never heard of are left out.
func Summaries(ctx context.Context, s records.Store, ids ...event.CallID) ([]Summary, error) {
	calls := make([]Summary, 0, len(ids))
	for some := range slices.Chunk(ids, 100) {
		keys := make([]string, len(some))
		for i, id := range some {
			keys[i] = callstate.CallKey(id)
		}
		recs, err := s.Get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			state, err := callstate.DecodeState(r)
			if err != nil {
				return nil, err
			}
			if r.Version != 0 && !state.Deleted { // nor deleted meanwhile
				calls = append(calls, summarize(&state))
			}
		}
	}
	return calls, nil
}

// ListUnfinished returns up to limit calls that are not over, or whose handlers are
// not done, whose names come after the one given, and the name to go on from,
// "" when there are no more.
func ListUnfinished(ctx context.Context, s records.Store, after string, limit int) (ids []event.CallID, next string, err error) {
	recs, err := s.Range(ctx, callstate.OpenDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, r := range recs {
		ids = append(ids, event.CallID(r.Value))
		_, next, _ = records.SplitKey(r.Key)
	}
	if len(recs) < limit {
		next = ""
	}
	return ids, next, nil
}
