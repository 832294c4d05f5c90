package calls

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A Call is everything that is known of one call, derived from its events.
type Call struct {
	Summary

	// The objects of all events merged: a later event's fields override an
	// earlier one's, but an empty value overrides nothing.
	Info      event.CallInfo
	Assistant event.Assistant
	Phone     event.Phone
	Customer  event.Customer
	Analysis  event.Analysis

	Transcript []event.Message // the latest conversation
	Superseded []event.Message // messages of older ones that are not part of it: cut or changed

	Report jsontext.Value // body of the end-of-call-report, secrets redacted; nil if there is none
	Tools  []ToolRun      // in the order in which they were started
	Events []StoredEvent  // in order of arrival, without bodies: see [Events]
}

// A ToolRun is the record of one request to a tool that changes something.
// There is one for all duplicates of the request.
type ToolRun struct {
	Tool         string         `json:"tool"`
	State        string         `json:"state"` // running, done, failed, released (not applied), unknown (indeterminate)
	FencingToken int64          `json:"fence"` // how often it was started
	Args         jsontext.Value `json:"args,omitempty"`
	Result       string         `json:"result"` // the line that was sent
	Started      time.Time      `json:"started"`
	Finished     time.Time      `json:"finished,omitzero"`
}

// A StoredEvent is an event as it was accepted.
type StoredEvent struct {
	ID           string     `json:"id"` // core.Envelope.ID
	Type         event.Type `json:"type"`
	Received     time.Time  `json:"received"`
	Stale        bool       `json:"late,omitempty"`       // its conversation was older than the stored one
	Backfilled   bool       `json:"backfilled,omitempty"` // read from Interactly's API, never sent
	RedriveCount int        `json:"redriven,omitempty"`   // how often it came back from the dead letters

	// The conversation became its first PrefixLen messages and Added new ones.
	PrefixLen int            `json:"-"`
	Added     int            `json:"-"`
	Body      jsontext.Value `json:"body,omitempty"` // as sent, secrets redacted, with the whole conversation
}

// Read returns everything that is known of a call, or [ErrNotFound]. It reads
// the whole log: for a list use [List].
func Read(ctx context.Context, s records.Store, id event.CallID) (Call, error) {
	recs, err := s.Get(ctx, callstate.CallKey(id))
	if err != nil {
		return Call{}, err
	}
	state, err := callstate.DecodeState(recs[0])
	if err != nil {
		return Call{}, err
	}
	if recs[0].Version == 0 || state.Deleted {
		return Call{}, ErrNotFound
	}
	entries, err := callstate.ReadLog(ctx, s, id)
	if err != nil {
		return Call{}, err
	}
	c := Call{Summary: summarize(&state)}
	v := callstate.NewTranscript()
	for i, e := range entries {
		v.Apply(e)
		if e.EndedBySweep == "" {
			c.Events = append(c.Events, storedEvent(&e))
		}
		if r := state.Report; r != nil && r.Entry == i+1 {
			c.Report = callstate.Rebuild(entries, i, v)
		}
	}
	c.Transcript, c.Superseded = event.DecodeMessages(callstate.RawMessages(v.Current)), event.DecodeMessages(callstate.RawMessages(v.Superseded()))
	mergeObjects(&c, entries)
	c.Tools, err = readTools(ctx, s, id)
	return c, err
}

func storedEvent(e *callstate.Entry) StoredEvent {
	r := StoredEvent{ID: e.ID, Type: e.Type, Received: e.Received, Stale: e.Stale, Backfilled: e.Backfilled, RedriveCount: e.RedriveCount, PrefixLen: e.PrefixLen, Added: len(e.Added)}
	if e.Stale { // it did not change the conversation
		r.Added = 0
	}
	return r
}

// Events yields the events of a call in order of arrival, each with its body.
// It yields one error at most, and nothing after it; an unknown call has no
// events.
func Events(ctx context.Context, s records.Store, id event.CallID) iter.Seq2[StoredEvent, error] {
	return func(yield func(StoredEvent, error) bool) {
		entries, err := callstate.ReadLog(ctx, s, id)
		if err != nil {
			yield(StoredEvent{}, err)
			return
		}
		v := callstate.NewTranscript()
		for i, e := range entries {
			v.Apply(e)
			if e.EndedBySweep != "" {
				continue
			}
			r := storedEvent(&e)
			r.Body = callstate.Rebuild(entries, i, v)
			if !yield(r, nil) {
				return
			}
		}
	}
}

func readTools(ctx context.Context, s records.Store, id event.CallID) ([]ToolRun, error) {
	var runs []ToolRun
	for after := ""; ; {
		recs, err := s.Range(ctx, callstate.ToolsDir(id), after, 100)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			t, ok := callstate.DecodeToolRecord(r)
			if !ok {
				continue // a note about runs, or a record of a later version
			}
			runs = append(runs, ToolRun{Tool: t.Tool, State: string(t.State), FencingToken: t.Fence, Args: t.Args,
				Result: t.Result, Started: t.Started, Finished: t.Finished})
		}
		if len(recs) < 100 {
			slices.SortStableFunc(runs, func(a, b ToolRun) int { return a.Started.Compare(b.Started) })
			return runs, nil
		}
	}
}
