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

// A Summary is one line of a list of calls. It is read from the call's state
// alone, without its events.
type Summary struct {
	ID           event.CallID    `json:"id"`               // with named secrets "north/WC-1": see core.Call
	Tenant       string          `json:"tenant,omitempty"` // the name of the secret that its sender knows
	Status       event.Status    `json:"status"`
	MessageCount int             `json:"messages"` // in the latest conversation
	Ended        bool            `json:"ended"`    // core.Processor.OnCallEnded has run, or will
	EndReason    event.EndReason `json:"endReason,omitempty"`
	FirstSeen    time.Time       `json:"first"` // when its first event was received
	LastSeen     time.Time       `json:"last"`  // when its latest event was received, or (to the minute) its latest tool call

	HangCount       int `json:"hangs"`
	ErrorCount      int `json:"errors"`
	PendingHandlers int `json:"pending"` // events whose handlers have not all succeeded

	// The assistant and the call's metadata, if they were sent. Names and ids
	// over 256 bytes and metadata over 1 KiB are left out; the events have them.
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"` // its name
	Metadata    jsontext.Value `json:"metadata,omitempty"`
}

// SentID returns the call's id as it was sent, which Interactly's API knows.
func (s Summary) SentID() event.CallID { return callstate.SentID(s.Tenant, s.ID) }

// NeedsAttention reports whether an operator should look at the call: it
// failed, the assistant was silent, a model or a voice failed, or the call was
// ended without a report.
func (s Summary) NeedsAttention() bool {
	return s.HangCount > 0 || s.ErrorCount > 0 || s.Status == event.StatusFailed || s.Ended && !s.EndReason.HasReport()
}

func summarize(s *callstate.State) Summary {
	c := Summary{
		ID: s.ID, Tenant: s.Tenant, Status: s.Status, MessageCount: s.Messages, Ended: s.Ended != nil, FirstSeen: s.FirstSeen, LastSeen: s.LastSeen,
		HangCount: s.Hangs.Count, ErrorCount: s.Errors.Count, PendingHandlers: len(s.Pending),
		AssistantID: s.About.AssistantID, Assistant: s.About.Assistant, Metadata: s.About.Metadata,
	}
	if s.Ended != nil {
		c.EndReason = s.Ended.Reason
	}
	return c
}

// List returns up to limit calls after a position, the newest first by
// FirstSeen, and the position after them. Both positions are "": the first to
// start with the newest call, the second when there are no more.
func List(ctx context.Context, s records.Store, after string, limit int) (calls []Summary, next string, err error) {
	ids, next, err := ListIDs(ctx, s, after, limit)
	if err != nil {
		return nil, "", err
	}
	calls, err = Summaries(ctx, s, ids...)
	return calls, next, err
}

// ListIDs is [List] with the ids only, for a search in all calls: it reads no
// states. Calls that were deleted may be among them.
func ListIDs(ctx context.Context, s records.Store, after string, limit int) (ids []event.CallID, next string, err error) {
	return list(ctx, s, callstate.RecentDir, after, limit)
}

// ListUnfinished returns up to limit calls that are in progress, or that have
// handlers left to run. They are in no useful order; positions are as in
// [List].
func ListUnfinished(ctx context.Context, s records.Store, after string, limit int) (ids []event.CallID, next string, err error) {
	return list(ctx, s, callstate.OpenDir, after, limit)
}

// list reads a directory whose values are the ids of calls.
func list(ctx context.Context, s records.Store, dir, after string, limit int) (ids []event.CallID, next string, err error) {
	recs, err := s.Range(ctx, dir, after, limit)
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

// summariesAtOnce is how many states are read in one Get: as many as the
// engine with the smallest batch takes (DynamoDB).
const summariesAtOnce = 100

// Summaries returns the summaries of the calls with the ids, in their order.
// Unknown and deleted calls are left out.
func Summaries(ctx context.Context, s records.Store, ids ...event.CallID) ([]Summary, error) {
	calls := make([]Summary, 0, len(ids))
	for some := range slices.Chunk(ids, summariesAtOnce) {
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
			if r.Version != 0 && !state.Deleted {
				calls = append(calls, summarize(&state))
			}
		}
	}
	return calls, nil
}
