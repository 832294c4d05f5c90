package core

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrNoCall reports a call that was never heard of.
var ErrNoCall = errors.New("core: no such call")

// A CallSummary is what a list shows of a call.
type CallSummary struct {
	ID        CallID    `json:"id"`
	Status    Status    `json:"status"`
	Messages  int       `json:"messages"` // said so far
	Ended     bool      `json:"ended"`    // OnCallEnded is due or done
	EndReason EndReason `json:"endReason,omitempty"`
	First     time.Time `json:"first"` // when it was first heard of
	Last      time.Time `json:"last"`  // when it was last heard of

	Hangs   int `json:"hangs"`
	Errors  int `json:"errors"`
	Pending int `json:"pending"` // changes whose handlers are not done

	// Which assistant it was and the call's metadata, as far as they were sent
	// and are small.
	AssistantID string         `json:"assistantId,omitempty"`
	Assistant   string         `json:"assistant,omitempty"` // its name
	Metadata    jsontext.Value `json:"metadata,omitempty"`
}

// A Call is all that is known of one call, put together from its events.
type Call struct {
	CallSummary

	// The objects of its events laid over each other: a later event's fields
	// win over an earlier one's, and something over nothing.
	Info      CallInfo
	Assistant Assistant
	Phone     Phone
	Customer  Customer
	Analysis  Analysis

	Transcript []Message // as it stands
	Dropped    []Message // said or cut once, and not part of it

	Report jsontext.Value // the report's body, masked; nil without one
	Tools  []ToolRun      // of those that the call is known of
	Events []Recorded     // in order of arrival, without bodies: see [ReadEvents]
}

// A ToolRun is the record of a tool that changes something.
type ToolRun struct {
	Tool     string         `json:"tool"`
	State    string         `json:"state"` // running, done, failed, released, unknown
	Fence    int64          `json:"fence"` // how many times it was begun
	Args     jsontext.Value `json:"args,omitempty"`
	Result   string         `json:"result"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
}

// A Recorded is an event as it was accepted.
type Recorded struct {
	ID       string    `json:"id"`
	Type     EventType `json:"type"`
	Received time.Time `json:"received"`
	Late     bool      `json:"late,omitempty"`     // an older snapshot than what was known
	Repaired bool      `json:"repaired,omitempty"` // never sent: the API was asked
	Replayed int       `json:"replayed,omitempty"` // how often it came back from the dead letters

	// The conversation became its first Keep messages and New more.
	Keep int            `json:"-"`
	New  int            `json:"-"`
	Body jsontext.Value `json:"body,omitempty"` // masked, with the whole conversation
}

// ListCalls returns up to limit calls, newest first, that come after the
// position given, and the position to go on from: "" at the start, and "" when
// there are no more.
func ListCalls(ctx context.Context, s Store, after string, limit int) (calls []CallSummary, next string, err error) {
	recs, err := s.Range(ctx, recentDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	ids := make([]CallID, len(recs))
	for i, r := range recs {
		ids[i] = CallID(r.Value)
		_, next, _ = SplitKey(r.Key)
	}
	if len(recs) < limit {
		next = ""
	}
	calls, err = ReadSummaries(ctx, s, ids...)
	return calls, next, err
}

func summarize(s *callState) CallSummary {
	c := CallSummary{
		ID: s.ID, Status: s.Status, Messages: s.Messages, Ended: s.Ended != nil, First: s.First, Last: s.Last,
		Hangs: s.Hangs.Count, Errors: s.Errors.Count, Pending: len(s.Pending),
		AssistantID: s.About.AssistantID, Assistant: s.About.Assistant, Metadata: s.About.Metadata,
	}
	if s.Ended != nil {
		c.EndReason = s.Ended.Reason
	}
	return c
}

// ReadSummaries returns what a list shows of the calls with the ids, in their
// order. Calls that were never heard of are left out.
func ReadSummaries(ctx context.Context, s Store, ids ...CallID) ([]CallSummary, error) {
	calls := make([]CallSummary, 0, len(ids))
	for some := range slices.Chunk(ids, 100) {
		keys := make([]string, len(some))
		for i, id := range some {
			keys[i] = callKey(id)
		}
		recs, err := s.Get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			state, err := decodeState(r)
			if err != nil {
				return nil, err
			}
			if r.Version != 0 && !state.Gone { // nor deleted meanwhile
				calls = append(calls, summarize(&state))
			}
		}
	}
	return calls, nil
}

// ListOpen returns up to limit calls that are not over, or whose handlers are
// not done, whose names come after the one given, and the name to go on from,
// "" when there are no more.
func ListOpen(ctx context.Context, s Store, after string, limit int) (ids []CallID, next string, err error) {
	recs, err := s.Range(ctx, openDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, r := range recs {
		ids = append(ids, CallID(r.Value))
		_, next, _ = SplitKey(r.Key)
	}
	if len(recs) < limit {
		next = ""
	}
	return ids, next, nil
}

// ReadCall returns all that is known of a call, or [ErrNoCall].
func ReadCall(ctx context.Context, s Store, id CallID) (Call, error) {
	recs, err := s.Get(ctx, callKey(id))
	if err != nil {
		return Call{}, err
	}
	if recs[0].Version == 0 {
		return Call{}, ErrNoCall
	}
	state, err := decodeState(recs[0])
	if err != nil {
		return Call{}, err
	}
	if state.Gone {
		return Call{}, ErrNoCall
	}
	entries, err := readLog(ctx, s, id)
	if err != nil {
		return Call{}, err
	}
	c := Call{CallSummary: summarize(&state)}
	v := new(view)
	for i, e := range entries {
		v.apply(e)
		if e.Sweep == "" {
			c.Events = append(c.Events, storedEvent(&e))
		}
		if r := state.Report; r != nil && r.Entry == i+1 {
			c.Report = rebuild(entries, i, v)
		}
	}
	c.Transcript, c.Dropped = decodeMessages(raws(v.now)), decodeMessages(raws(v.dropped))
	overlay(&c, entries)
	c.Tools, err = readTools(ctx, s, id)
	return c, err
}

func storedEvent(e *entry) Recorded {
	r := Recorded{ID: e.ID, Type: e.Type, Received: e.Received, Late: e.Late, Repaired: e.Repaired, Replayed: e.Replayed, Keep: e.Keep, New: len(e.New)}
	if e.Late { // it changed nothing of the conversation as it stands
		r.New = 0
	}
	return r
}

// ReadEvents yields the events of a call in order of arrival, each as it was
// accepted.
func ReadEvents(ctx context.Context, s Store, id CallID) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		entries, err := readLog(ctx, s, id)
		if err != nil {
			yield(Recorded{}, err)
			return
		}
		v := new(view)
		for i, e := range entries {
			v.apply(e)
			if e.Sweep != "" {
				continue
			}
			r := storedEvent(&e)
			r.Body = rebuild(entries, i, v)
			if !yield(r, nil) {
				return
			}
		}
	}
}

// overlay lays the objects of the events over each other: reports last, then
// by how far the call had come, then by their own time. Arrival has no say, so
// that every instance comes to the same.
func overlay(c *Call, entries []entry) {
	type layer struct {
		e      Event
		bodies map[string]jsontext.Value
	}
	var layers []layer
	for _, r := range entries {
		if len(r.Body) == 0 { // says what an earlier one says
			continue
		}
		if e, err := decodeEvent(r.Body, r.Received); err == nil {
			layers = append(layers, layer{e, object(object(r.Body)["message"])})
		}
	}
	slices.SortStableFunc(layers, func(a, b layer) int {
		last := func(e Event) int {
			if e.Type == EventReport {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(last(a.e), last(b.e)), cmp.Compare(a.e.Status.rank(), b.e.Status.rank()), a.e.Time.Compare(b.e.Time))
	})
	whole := map[string]jsontext.Value{}
	for _, l := range layers {
		for _, name := range []string{"call", "assistant", "phone", "customer", "analysis"} {
			whole[name] = over(whole[name], l.bodies[name])
		}
	}
	whole["type"] = jsontext.Value(`"` + EventReport + `"`)
	message, err := json.Marshal(map[string]any{"message": whole})
	if err != nil {
		return
	}
	if e, err := decodeEvent(message, c.Last); err == nil {
		c.Info, c.Assistant, c.Phone, c.Customer, c.Analysis = e.Call, e.Assistant, e.Phone, e.Customer, e.Analysis
	}
}

// over lays the members of the object top over those of under. What is empty
// covers nothing.
func over(under, top jsontext.Value) jsontext.Value {
	members := object(under)
	for name, v := range object(top) {
		if name == "messages" {
			continue
		}
		if members == nil {
			members = map[string]jsontext.Value{}
		}
		if _, there := members[name]; !there || !emptyValue(v) {
			members[name] = v
		}
	}
	if members == nil {
		return under
	}
	b, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return under
	}
	return b
}

// emptyValue is what the sender writes for something that it does not know
// (docs/events.md#traps).
func emptyValue(v jsontext.Value) bool {
	switch string(v) {
	case "", "null", `""`, "{}", "[]", "0":
		return true
	}
	return false
}

func readTools(ctx context.Context, s Store, id CallID) ([]ToolRun, error) {
	var runs []ToolRun
	for after := ""; ; {
		recs, err := s.Range(ctx, callDir(id)+"/tools", after, 100)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			_, after, _ = SplitKey(r.Key)
			var t toolRecord
			if json.Unmarshal(r.Value, &t) != nil || t.V != recordVersion {
				continue // a note of an id, or of another version
			}
			runs = append(runs, ToolRun{Tool: t.Tool, State: string(t.State), Fence: t.Fence, Args: t.Args,
				Result: t.Result, Started: t.Started, Finished: t.Finished})
		}
		if len(recs) < 100 {
			slices.SortStableFunc(runs, func(a, b ToolRun) int { return a.Started.Compare(b.Started) })
			return runs, nil
		}
	}
}

// ListQuarantine returns up to limit bodies that were authenticated and could
// not be understood, after the ID given.
func ListQuarantine(ctx context.Context, s Store, after string, limit int) ([]Quarantined, error) {
	recs, err := s.Range(ctx, quarantineDir, after, limit)
	if err != nil {
		return nil, err
	}
	var qs []Quarantined
	for _, r := range recs {
		b, err := getBytes(ctx, s, quarantineDir+"/blobs", r.Value)
		if err != nil {
			return nil, err
		}
		var q Quarantined
		if json.Unmarshal(b, &q) != nil {
			return nil, errBadRecord
		}
		qs = append(qs, q)
	}
	return qs, nil
}
