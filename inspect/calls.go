package inspect

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

const perPage = 50

// A filter says which calls the list shows.
type filter struct {
	Only      string // the name of a filter tab
	Assistant string
	Tool      string
	Search    string
	Page      int
}

func readFilter(q url.Values) filter {
	f := filter{Only: q.Get("only"), Assistant: q.Get("assistant"), Tool: q.Get("tool"), Search: strings.TrimSpace(q.Get("q"))}
	f.Page, _ = strconv.Atoi(q.Get("page"))
	f.Page = max(f.Page, 1)
	return f
}

// url returns the address of the list with the filter, on another tab or page.
func (f filter) url(only string, page int) string {
	q := url.Values{}
	for k, v := range map[string]string{"only": only, "assistant": f.Assistant, "tool": f.Tool, "q": f.Search} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

// A filterTab is a state to filter by, with the number of calls in it.
type filterTab struct {
	Name, Label, URL string
	Count            int
	Current          bool
	Bad              bool // calls in it need attention
}

var filterTabs = []struct {
	name, label string
	bad         bool
}{
	{"", "All", false}, {"live", "Live", false}, {"finished", "Finished", false}, {"failed", "Failed", true}, {"hang", "Hang", true},
	{"error", "Error", true}, {"slow", "Slow tool", false}, {"ignored", "Ignored reply", true},
}

// inTab reports whether a call belongs into a tab. use may be nil.
func (r *row) inTab(name string, use *toolUse) bool {
	switch name {
	case "live":
		return !r.Ended && !r.Status.Terminal()
	case "finished":
		return r.Status == event.StatusFinished
	case "failed":
		return r.Status == event.StatusFailed
	case "hang":
		return r.HangCount > 0
	case "error":
		return r.ErrorCount > 0
	case "slow":
		return use != nil && use.slow > 0
	case "ignored":
		return use != nil && use.ignored > 0
	}
	return true
}

// A listedCall is a row of the list.
type listedCall struct {
	calls.Summary
	Tools         []string
	Slow, Ignored int
	Live          bool
	Duration      time.Duration
}

// callsView is the list of calls.
type callsView struct {
	frame
	filter
	Charts     chartsView
	Calls      []listedCall
	Tabs       []filterTab
	Assistants []string
	AllTools   []string
	Found      int // calls that match the filter
	From, To   int // which of them are shown
	Prev, Next string
	Total      int // calls in the index
	MaxCalls   int
}

// find goes through the index once.
func (x *index) find(f filter) (v callsView) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	counts := make([]int, len(filterTabs))
	assistants, tools := map[string]bool{}, map[string]bool{}
	search := strings.ToLower(f.Search)
	from := (f.Page - 1) * perPage
	for _, r := range x.rows {
		use := x.toolUse[r.ID]
		if name := cmp.Or(r.Assistant, r.AssistantID); name != "" && !assistants[name] {
			assistants[name] = true
		}
		if f.Assistant != "" && f.Assistant != r.Assistant && f.Assistant != r.AssistantID ||
			f.Tool != "" && (use == nil || !slices.Contains(use.tools, f.Tool)) ||
			search != "" && !strings.Contains(r.haystack, search) {
			continue
		}
		for i, tab := range filterTabs {
			if r.inTab(tab.name, use) {
				counts[i]++
			}
		}
		if !r.inTab(f.Only, use) {
			continue
		}
		if v.Found++; v.Found > from && v.Found <= from+perPage {
			v.Calls = append(v.Calls, newListedCall(r, use))
		}
	}
	for _, r := range x.requests {
		if r.tool != "" {
			tools[r.tool] = true
		}
	}
	for i, tab := range filterTabs {
		v.Tabs = append(v.Tabs, filterTab{Name: tab.name, Label: tab.label, URL: f.url(tab.name, 1), Count: counts[i],
			Current: f.Only == tab.name, Bad: tab.bad && counts[i] > 0})
	}
	v.Assistants, v.AllTools = options(assistants, f.Assistant), options(tools, f.Tool)
	v.filter, v.Total = f, len(x.rows)
	v.From, v.To = min(from+1, v.Found), min(from+perPage, v.Found)
	if f.Page > 1 {
		v.Prev = f.url(f.Only, f.Page-1)
	}
	if v.Found > from+perPage {
		v.Next = f.url(f.Only, f.Page+1)
	}
	return v
}

func newListedCall(r *row, use *toolUse) listedCall {
	c := listedCall{Summary: r.Summary, Live: r.inTab("live", nil), Duration: r.LastSeen.Sub(r.FirstSeen)}
	if use != nil {
		c.Tools, c.Slow, c.Ignored = use.tools, use.slow, use.ignored
	}
	return c
}

// maxOptions is how many entries a select has at most.
const maxOptions = 200

// options returns the sorted entries of a select. The chosen one is always
// among them.
func options(set map[string]bool, chosen string) []string {
	if chosen != "" {
		set[chosen] = true
	}
	all := slices.Sorted(maps.Keys(set))
	return all[:min(len(all), maxOptions)]
}

// list serves the list of calls.
func (p *Server) list(w http.ResponseWriter, r *http.Request) {
	f := readFilter(r.URL.Query())
	v := p.index.find(f)
	if v.Found == 0 && f.Search != "" { // the id of a call that is too old for the index
		if some, err := calls.Summaries(r.Context(), p.store, event.CallID(f.Search)); err == nil && len(some) == 1 {
			v.Calls = []listedCall{newListedCall(&row{Summary: some[0]}, nil)}
			v.Found, v.From, v.To = 1, 1, 1
		}
	}
	v.Charts = p.index.charts(time.Now())
	v.frame, v.MaxCalls = p.frame(r, "Calls", "calls"), p.o.MaxCalls
	p.render(w, r, "calls", v)
}
