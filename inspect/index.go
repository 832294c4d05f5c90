package inspect

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/replylint"
)

const (
	newestCalls = 100  // that each poll reads
	openCalls   = 1000 // further calls that have not ended, that each poll reads
	maxRequests = 20_000
)

// An index holds the newest calls and tool requests in memory, and follows the
// store. Calls are filtered and counted here, so that it works on every store.
type index struct {
	store records.Store
	max   int // calls

	mu       sync.RWMutex
	rows     []*row // newest first
	byID     map[event.CallID]*row
	requests []request       // newest first
	known    map[string]bool // ids of requests
	toolUse  map[event.CallID]*toolUse
	loaded   bool   // the store was read to the end, or max calls of it
	cursor   string // from where load has to read on
	polled   time.Time
	pollErr  error // of the last poll

	subscribersMu sync.Mutex
	subscribers   map[*subscriber]bool

	notified chan event.CallID
}

// A row is a call in the list. It is replaced, never changed.
type row struct {
	calls.Summary
	haystack string // what a search looks in, in lower case
}

// toolUse is what the list says about the tools of a call.
type toolUse struct {
	tools         []string
	slow, ignored int
}

// A request is a tool request, as charts and statistics need it.
type request struct {
	id      string
	call    event.CallID
	tool    string
	at      time.Time
	took    time.Duration
	state   string
	status  int
	slow    bool
	ignored bool
}

func newIndex(s records.Store, limit int) *index {
	return &index{store: s, max: limit, byID: map[event.CallID]*row{}, known: map[string]bool{},
		toolUse: map[event.CallID]*toolUse{}, subscribers: map[*subscriber]bool{}, notified: make(chan event.CallID, 1024)}
}

// notify makes the index read a call again; "" is something without a call.
func (x *index) notify(id event.CallID) {
	select {
	case x.notified <- id:
	default: // the next poll finds it
	}
}

// run follows the store until ctx ends.
func (x *index) run(ctx context.Context, every time.Duration, log *slog.Logger) {
	x.poll(ctx, log)
	x.load(ctx, log)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-x.notified:
			ids := []event.CallID{id}
			for len(x.notified) > 0 {
				ids = append(ids, <-x.notified)
			}
			slices.Sort(ids)
			if err := x.refresh(ctx, slices.Compact(ids)); err == nil {
				_ = x.pollRequests(ctx)
			}
		case <-tick.C:
			x.poll(ctx, log)
		}
	}
}

// load reads the older calls, a page at a time.
func (x *index) load(ctx context.Context, log *slog.Logger) {
	x.mu.RLock()
	after := x.cursor
	x.mu.RUnlock()
	for after != "" && ctx.Err() == nil {
		some, next, err := calls.List(ctx, x.store, after, 500)
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("inspector failed to list calls")
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		x.put(some, false)
		x.mu.Lock()
		if len(x.rows) >= x.max {
			next = ""
		}
		x.cursor = next
		x.mu.Unlock()
		after = next
	}
	x.mu.Lock()
	x.loaded = ctx.Err() == nil
	x.mu.Unlock()
	x.publish("")
}

// poll reads what may have changed: the newest calls, and older ones that had
// not ended at the last poll.
func (x *index) poll(ctx context.Context, log *slog.Logger) {
	err := x.pollCalls(ctx)
	if err == nil {
		err = x.pollRequests(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	x.mu.Lock()
	was := x.pollErr
	x.polled, x.pollErr = time.Now(), err
	x.mu.Unlock()
	if (err != nil) != (was != nil) {
		if err != nil {
			log.Warn("inspector failed to read the store")
		}
		x.publish("")
	}
}

func (x *index) pollCalls(ctx context.Context) error {
	for after := ""; ; {
		some, next, err := calls.List(ctx, x.store, after, newestCalls)
		if err != nil {
			return err
		}
		x.mu.Lock()
		first := len(x.rows) == 0
		seen := len(some) == 0
		for _, s := range some {
			seen = seen || x.byID[s.ID] != nil
		}
		if first {
			x.cursor = next
		}
		x.mu.Unlock()
		x.put(some, true)
		if first || seen || next == "" {
			break
		}
		after = next // there are more new calls than a page
	}
	var open []event.CallID
	x.mu.RLock()
	for _, r := range x.rows[min(newestCalls, len(x.rows)):] {
		if (!r.Ended || r.PendingHandlers > 0) && len(open) < openCalls {
			open = append(open, r.ID)
		}
	}
	x.mu.RUnlock()
	return x.refresh(ctx, open)
}

// refresh reads the calls with the ids again.
func (x *index) refresh(ctx context.Context, ids []event.CallID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id event.CallID) bool { return id == "" })
	if len(ids) == 0 {
		return nil
	}
	some, err := calls.Summaries(ctx, x.store, ids...)
	if err != nil {
		return err
	}
	x.put(some, true)
	return nil
}

// put stores calls as they are now, and notifies the subscribers if publish is
// set.
func (x *index) put(some []calls.Summary, publish bool) {
	var changed []event.CallID
	x.mu.Lock()
	for _, s := range some {
		old := x.byID[s.ID]
		if old != nil && sameSummary(old.Summary, s) {
			continue
		}
		r := &row{Summary: s, haystack: strings.ToLower(string(s.ID) + " " + s.Assistant + " " + s.AssistantID + " " + string(s.Metadata))}
		x.byID[s.ID] = r
		changed = append(changed, s.ID)
		at, found := x.search(r)
		switch {
		case found:
			x.rows[at] = r
		case at == len(x.rows) && len(x.rows) >= x.max:
			delete(x.byID, s.ID)
		default:
			x.rows = slices.Insert(x.rows, at, r)
		}
		if len(x.rows) > x.max {
			delete(x.byID, x.rows[x.max].ID)
			x.rows = x.rows[:x.max]
		}
	}
	x.mu.Unlock()
	if publish {
		for _, id := range changed {
			x.publish(id)
		}
	}
}

// search returns the position of a call among the rows, and whether it is there.
func (x *index) search(r *row) (int, bool) {
	return slices.BinarySearchFunc(x.rows, r, func(a, b *row) int {
		if c := b.FirstSeen.Compare(a.FirstSeen); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

func sameSummary(a, b calls.Summary) bool {
	return a.Status == b.Status && a.MessageCount == b.MessageCount && a.Ended == b.Ended && a.EndReason == b.EndReason && a.LastSeen.Equal(b.LastSeen) &&
		a.HangCount == b.HangCount && a.ErrorCount == b.ErrorCount && a.PendingHandlers == b.PendingHandlers && a.Assistant == b.Assistant && string(a.Metadata) == string(b.Metadata)
}

// pollRequests reads the tool requests that are new.
func (x *index) pollRequests(ctx context.Context) error {
	for after := ""; ; {
		some, err := calls.ListToolRequests(ctx, x.store, after, 200)
		if err != nil {
			return err
		}
		x.mu.Lock()
		seen := false
		var fresh []request
		for _, k := range some {
			if after = k.ID; x.known[k.ID] {
				seen = true
				continue
			}
			fresh = append(fresh, x.add(k))
		}
		full := len(x.requests) >= maxRequests
		x.mu.Unlock()
		for _, r := range fresh {
			x.publish(r.call)
		}
		if seen || len(some) < 200 || full {
			return nil
		}
	}
}

// add adds a request. It requires that mu is locked.
func (x *index) add(k calls.StoredToolRequest) request {
	findings := replylint.Check(replylint.ReplyOf(k.ToolRequest))
	r := request{id: k.ID, call: k.Call, tool: k.Tool, at: k.ReceivedAt, took: k.Latency, state: k.State, status: k.HTTPStatus,
		slow: replylint.Slow(k.Latency, k.Budget), ignored: replylint.Worst(findings) == replylint.LevelError}
	x.known[k.ID] = true
	at, _ := slices.BinarySearchFunc(x.requests, r, func(a, b request) int { return strings.Compare(a.id, b.id) })
	x.requests = slices.Insert(x.requests, at, r)
	for len(x.requests) > maxRequests {
		last := x.requests[len(x.requests)-1]
		delete(x.known, last.id)
		x.requests = x.requests[:len(x.requests)-1]
	}
	if r.call == "" {
		return r
	}
	use := x.toolUse[r.call]
	if use == nil {
		use = new(toolUse)
		x.toolUse[r.call] = use
	}
	if r.tool != "" && !slices.Contains(use.tools, r.tool) {
		use.tools = append(slices.Clone(use.tools), r.tool)
	}
	if r.slow {
		use.slow++
	}
	if r.ignored {
		use.ignored++
	}
	return r
}
