package inspect

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
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
		return r.Status == event.StatusFinished
	case "failed":
		return r.Status == event.StatusFailed
	case "hang":
		return r.HangCount > 0
	case "error":
		return r.ErrorCount > 0
	case "slow":
		return m != nil && m.slow > 0
	case "ignored":
		return m != nil && m.ignored > 0
	}
	return true
}

// A listed is a line of the list.
type listed struct {
	calls.Summary
	Tools         []string
	Slow, Ignored int
	Live          bool
	Took          time.Duration
}

// A listing is what a filter finds.
type listing struct {
	frame
	filter
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
		one := listed{Summary: r.Summary, Live: r.is("live", nil), Took: r.LastSeen.Sub(r.FirstSeen)}
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
		if some, err := calls.Summaries(r.Context(), p.o.Store, event.CallID(f.Search)); err == nil && len(some) == 1 {
			l.Calls = []listed{{Summary: some[0], Took: some[0].LastSeen.Sub(some[0].FirstSeen)}}
			l.Found, l.From, l.To = 1, 1, 1
		}
	}
	l.frame, l.Most = p.frame(r, "Calls", "calls"), p.o.Most
	p.render(w, r, "calls", l)
}

// A chart is what the charts of the list show, column by column.
type chart struct {
	Unit     string    `json:"unit"` // what a bar of calls is: minute, hour, day
	Times    []int64   `json:"times"`
	Finished []int     `json:"finished"`
	Failed   []int     `json:"failed"`
	Other    []int     `json:"other"`
	ToolAt   []float64 `json:"toolAt"`
	ToolMs   []float64 `json:"toolMs"`
	BudgetMs float64   `json:"budgetMs"`
	HangMs   float64   `json:"hangMs"`
	Outcomes []outcome `json:"outcomes"`
}

type outcome struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// chartTools is how many requests a chart shows.
const chartTools = 400

func (x *index) chart(now time.Time) chart {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := chart{BudgetMs: ms(core.DefaultBudget), HangMs: ms(hangAfter)}
	step, n := time.Hour, 24
	c.Unit = "hour"
	if k := len(x.rows); k == 0 || now.Sub(x.rows[k-1].FirstSeen) < time.Hour {
		step, n, c.Unit = time.Minute, 60, "minute"
	}
	start := now.Truncate(step).Add(-time.Duration(n-1) * step)
	c.Times, c.Finished, c.Failed, c.Other = make([]int64, n), make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		c.Times[i] = start.Add(time.Duration(i) * step).Unix()
	}
	counts := map[string]int{}
	for _, r := range x.rows {
		i := int(r.FirstSeen.Sub(start) / step)
		if r.FirstSeen.Before(start) {
			break // they are in order
		}
		if i >= n {
			continue
		}
		switch {
		case r.Status == event.StatusFailed:
			c.Failed[i]++
		case r.Status.Terminal():
			c.Finished[i]++
		default:
			c.Other[i]++
		}
	}
	for _, r := range x.rows[:min(len(x.rows), 1000)] {
		counts[outcomeOf(r)]++
	}
	for _, name := range []string{"reported", "no report", "silent", "failed", "live"} {
		c.Outcomes = append(c.Outcomes, outcome{name, counts[name]})
	}
	some := x.requests[:min(len(x.requests), chartTools)]
	for _, r := range slices.Backward(some) {
		c.ToolAt, c.ToolMs = append(c.ToolAt, float64(r.at.UnixMilli())/1000), append(c.ToolMs, ms(r.took))
	}
	return c
}

func outcomeOf(r *row) string {
	switch {
	case r.Status == event.StatusFailed:
		return "failed"
	case r.EndReason == event.EndReasonReport:
		return "reported"
	case r.EndReason == event.EndReasonReportTimeout:
		return "no report"
	case r.EndReason == event.EndReasonIdleTimeout:
		return "silent"
	}
	return "live"
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (p *Page) charts(w http.ResponseWriter, r *http.Request) {
	b, err := json.Marshal(p.index.chart(p.o.Now()), json.FormatNilSliceAsNull(false))
	if err != nil {
		http.Error(w, "no chart", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}
