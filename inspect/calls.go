package inspect

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
)

const perPage = 50

// A filter is what the list is asked for.
type filter struct {
	Only      string // "", live, finished, failed, hang, error, slow, ignored
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

// url is the address of the list with the filter, with one thing changed.
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

// A chip is a filter to choose, with how many calls it leaves.
type chip struct {
	Name, Label, URL string
	Count            int
	On               bool
	Bad              bool
}

var onlys = []struct{ name, label string }{
	{"", "All"}, {"live", "Live"}, {"finished", "Finished"}, {"failed", "Failed"}, {"hang", "Hang"}, {"error", "Error"}, {"slow", "Slow tool"}, {"ignored", "Ignored reply"},
}

func (r *row) is(only string, m *toolMarks) bool {
	switch only {
	case "live":
		return !r.Ended && !r.Status.Terminal()
	case "finished":
		return r.Status == core.StatusFinished
	case "failed":
		return r.Status == core.StatusFailed
	case "hang":
		return r.Hangs > 0
	case "error":
		return r.Errors > 0
	case "slow":
		return m != nil && m.slow > 0
	case "ignored":
		return m != nil && m.ignored > 0
	}
	return true
}

// A listed is a line of the list.
type listed struct {
	core.CallSummary
	Tools         []string
	Slow, Ignored int
	Live          bool
	Took          time.Duration
}

// A listing is what a filter finds.
type listing struct {
	frame
	filter
	Charts     chartsView
	Calls      []listed
	Chips      []chip
	Assistants []string
	AllTools   []string
	Found      int
	From, To   int
	Prev, Next string
	Total      int
	Most       int
}

// find goes through the index once.
func (x *index) find(f filter) (l listing) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	counts := make([]int, len(onlys))
	assistants, tools := map[string]bool{}, map[string]bool{}
	search := strings.ToLower(f.Search)
	from := (f.Page - 1) * perPage
	for _, r := range x.rows {
		m := x.marks[r.ID]
		if name := cmp.Or(r.Assistant, r.AssistantID); name != "" && !assistants[name] {
			assistants[name] = true
		}
		if f.Assistant != "" && f.Assistant != r.Assistant && f.Assistant != r.AssistantID ||
			f.Tool != "" && (m == nil || !slices.Contains(m.tools, f.Tool)) ||
			search != "" && !strings.Contains(r.find, search) {
			continue
		}
		for i, o := range onlys {
			if r.is(o.name, m) {
				counts[i]++
			}
		}
		if !r.is(f.Only, m) {
			continue
		}
		if l.Found++; l.Found <= from || l.Found > from+perPage {
			continue
		}
		one := listed{CallSummary: r.CallSummary, Live: r.is("live", nil), Took: r.Last.Sub(r.First)}
		if m != nil {
			one.Tools, one.Slow, one.Ignored = m.tools, m.slow, m.ignored
		}
		l.Calls = append(l.Calls, one)
	}
	for _, r := range x.requests {
		if r.tool != "" {
			tools[r.tool] = true
		}
	}
	for i, o := range onlys {
		l.Chips = append(l.Chips, chip{Name: o.name, Label: o.label, URL: f.url(o.name, 1), Count: counts[i], On: f.Only == o.name,
			Bad: counts[i] > 0 && slices.Contains([]string{"failed", "hang", "error", "ignored"}, o.name)})
	}
	l.Assistants, l.AllTools = names(assistants, f.Assistant), names(tools, f.Tool)
	l.filter, l.Total = f, len(x.rows)
	l.From, l.To = min(from+1, l.Found), min(from+perPage, l.Found)
	if f.Page > 1 {
		l.Prev = f.url(f.Only, f.Page-1)
	}
	if l.Found > from+perPage {
		l.Next = f.url(f.Only, f.Page+1)
	}
	return l
}

func names(set map[string]bool, chosen string) []string {
	if chosen != "" {
		set[chosen] = true
	}
	all := make([]string, 0, len(set))
	for n := range set {
		all = append(all, n)
	}
	slices.Sort(all)
	return all[:min(len(all), 200)]
}

// list is the list of calls.
func (p *Page) list(w http.ResponseWriter, r *http.Request) {
	f := readFilter(r.URL.Query())
	l := p.index.find(f)
	if l.Found == 0 && f.Search != "" { // a call that is too old for the index
		if some, err := core.ReadSummaries(r.Context(), p.o.Store, core.CallID(f.Search)); err == nil && len(some) == 1 {
			l.Calls = []listed{{CallSummary: some[0], Took: some[0].Last.Sub(some[0].First)}}
			l.Found, l.From, l.To = 1, 1, 1
		}
	}
	l.Charts = p.index.charts(time.Now())
	l.frame, l.Most = p.frame(r, "Calls", "calls"), p.o.Most
	p.render(w, r, "calls", l)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
