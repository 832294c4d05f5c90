package inspect

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/replylint"
)

const (
	headCalls    = 100  // newest calls, looked at each time
	openCalls    = 1000 // calls that go on, looked at each time
	keptRequests = 20_000
)

// An index is what the list is filtered and counted by: a line for each of the
// newest calls, and for each of the newest tool requests. It is in memory and
// follows the store, so that it works on all of them.
type index struct {
	store core.Store
	most  int

	mu       sync.RWMutex
	rows     []*row // newest first
	byID     map[core.CallID]*row
	requests []request // newest first
	known    map[string]bool
	marks    map[core.CallID]*toolMarks
	loaded   bool // the store was read to the end, or to the most
	behind   string
	polled   time.Time
	pollErr  error

	watchMu  sync.Mutex
	watchers map[*watcher]bool

	nudge chan core.CallID
}

// A row is a call in the list. It is replaced, never changed.
type row struct {
	core.CallSummary
	find string // what a search looks at, in small letters
}

// toolMarks are what the list says about the tools of a call.
type toolMarks struct {
	tools         []string
	slow, ignored int
}

// A request is a tool request in charts and figures.
type request struct {
	id      string
	call    core.CallID
	tool    string
	at      time.Time
	took    time.Duration
	state   string
	status  int
	slow    bool
	ignored bool
}

func newIndex(s core.Store, most int) *index {
	return &index{store: s, most: most, byID: map[core.CallID]*row{}, known: map[string]bool{},
		marks: map[core.CallID]*toolMarks{}, watchers: map[*watcher]bool{}, nudge: make(chan core.CallID, 1024)}
}

// heard is told of a call that something happened to; "" is something else.
func (x *index) heard(id core.CallID) {
	select {
	case x.nudge <- id:
	default: // the next look finds it
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
		case id := <-x.nudge:
			ids := []core.CallID{id}
			for len(x.nudge) > 0 {
				ids = append(ids, <-x.nudge)
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

// load reads the calls of before, a page at a time.
func (x *index) load(ctx context.Context, log *slog.Logger) {
	x.mu.RLock()
	after := x.behind
	x.mu.RUnlock()
	for after != "" && ctx.Err() == nil {
		some, next, err := core.ListCalls(ctx, x.store, after, 500)
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("inspector: calls cannot be listed")
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		x.put(some, false)
		x.mu.Lock()
		if len(x.rows) >= x.most {
			next = ""
		}
		x.behind = next
		x.mu.Unlock()
		after = next
	}
	x.mu.Lock()
	x.loaded = ctx.Err() == nil
	x.mu.Unlock()
	x.changed("")
}

// poll looks at what may have changed: the newest calls, and older ones that
// were not over when it last looked.
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
			log.Warn("inspector: the store cannot be read")
		}
		x.changed("")
	}
}

func (x *index) pollCalls(ctx context.Context) error {
	for after := ""; ; {
		some, next, err := core.ListCalls(ctx, x.store, after, headCalls)
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
			x.behind = next
		}
		x.mu.Unlock()
		x.put(some, true)
		if first || seen || next == "" {
			break
		}
		after = next // more than a page is new
	}
	var open []core.CallID
	x.mu.RLock()
	for _, r := range x.rows[min(headCalls, len(x.rows)):] {
		if (!r.Ended || r.Pending > 0) && len(open) < openCalls {
			open = append(open, r.ID)
		}
	}
	x.mu.RUnlock()
	return x.refresh(ctx, open)
}

// refresh reads the calls with the ids again.
func (x *index) refresh(ctx context.Context, ids []core.CallID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id core.CallID) bool { return id == "" })
	if len(ids) == 0 {
		return nil
	}
	some, err := core.ReadSummaries(ctx, x.store, ids...)
	if err != nil {
		return err
	}
	x.put(some, true)
	return nil
}

// put takes in calls as they are now.
func (x *index) put(some []core.CallSummary, tell bool) {
	var changed []core.CallID
	x.mu.Lock()
	for _, s := range some {
		old := x.byID[s.ID]
		if old != nil && sameSummary(old.CallSummary, s) {
			continue
		}
		r := &row{CallSummary: s, find: strings.ToLower(string(s.ID) + " " + s.Assistant + " " + s.AssistantID + " " + string(s.Metadata))}
		x.byID[s.ID] = r
		changed = append(changed, s.ID)
		at, found := x.place(r)
		switch {
		case found:
			x.rows[at] = r
		case at == len(x.rows) && len(x.rows) >= x.most:
			delete(x.byID, s.ID)
		default:
			x.rows = slices.Insert(x.rows, at, r)
		}
		if len(x.rows) > x.most {
			delete(x.byID, x.rows[x.most].ID)
			x.rows = x.rows[:x.most]
		}
	}
	x.mu.Unlock()
	if tell {
		for _, id := range changed {
			x.changed(id)
		}
	}
}

func (x *index) place(r *row) (int, bool) {
	return slices.BinarySearchFunc(x.rows, r, func(a, b *row) int {
		if c := b.First.Compare(a.First); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

func sameSummary(a, b core.CallSummary) bool {
	return a.Status == b.Status && a.Messages == b.Messages && a.Ended == b.Ended && a.EndReason == b.EndReason && a.Last.Equal(b.Last) &&
		a.Hangs == b.Hangs && a.Errors == b.Errors && a.Pending == b.Pending && a.Assistant == b.Assistant && string(a.Metadata) == string(b.Metadata)
}

// pollRequests takes in tool requests that are new.
func (x *index) pollRequests(ctx context.Context) error {
	for after := ""; ; {
		some, err := core.ListToolRequests(ctx, x.store, after, 200)
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
			fresh = append(fresh, x.take(k))
		}
		full := len(x.requests) >= keptRequests
		x.mu.Unlock()
		for _, r := range fresh {
			x.changed(r.call)
		}
		if seen || len(some) < 200 || full {
			return nil
		}
	}
}

// take adds a request. The lock is held.
func (x *index) take(k core.KeptRequest) request {
	findings := replylint.Check(replylint.ReplyOf(k.ToolRequest))
	r := request{id: k.ID, call: k.Call, tool: k.Tool, at: k.At, took: k.Took, state: k.State, status: k.Status,
		slow: replylint.Slow(k.Took, k.Budget), ignored: replylint.Worst(findings) == replylint.LevelError}
	x.known[k.ID] = true
	at, _ := slices.BinarySearchFunc(x.requests, r, func(a, b request) int { return strings.Compare(a.id, b.id) })
	x.requests = slices.Insert(x.requests, at, r)
	for len(x.requests) > keptRequests {
		last := x.requests[len(x.requests)-1]
		delete(x.known, last.id)
		x.requests = x.requests[:len(x.requests)-1]
	}
	if r.call == "" {
		return r
	}
	m := x.marks[r.call]
	if m == nil {
		m = new(toolMarks)
		x.marks[r.call] = m
	}
	if r.tool != "" && !slices.Contains(m.tools, r.tool) {
		m.tools = append(slices.Clone(m.tools), r.tool)
	}
	if r.slow {
		m.slow++
	}
	if r.ignored {
		m.ignored++
	}
	return r
}

// A watcher is somebody who wants to know what changes.
type watcher struct {
	wake chan struct{}
	mu   sync.Mutex
	ids  map[core.CallID]bool
}

func (x *index) watch() *watcher {
	w := &watcher{wake: make(chan struct{}, 1), ids: map[core.CallID]bool{}}
	x.watchMu.Lock()
	defer x.watchMu.Unlock()
	x.watchers[w] = true
	return w
}

func (x *index) forget(w *watcher) {
	x.watchMu.Lock()
	defer x.watchMu.Unlock()
	delete(x.watchers, w)
}

// changed tells the watchers.
func (x *index) changed(id core.CallID) {
	x.watchMu.Lock()
	defer x.watchMu.Unlock()
	for w := range x.watchers {
		w.mu.Lock()
		w.ids[id] = true
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what changed since it was last asked.
func (w *watcher) take() map[core.CallID]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := w.ids
	w.ids = map[core.CallID]bool{}
	return ids
}
