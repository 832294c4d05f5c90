package inspect

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/replylint"
)

// The charts are SVG, written on the server with positions in percent and with
// the colors in the style sheet: they scale with the page and follow its theme
// without a script. A chart library would write style attributes, which the
// page's policy forbids.

const (
	chartRequests = 400  // tool requests in the latency chart
	chartOutcomes = 1000 // calls in the outcome chart
)

// chartsView is the charts above the list.
type chartsView struct {
	Unit         string // of time that one bar of Calls covers
	Calls, Tools plot
	Outcomes     []outcome
}

// A plot is a chart with axes.
type plot struct {
	Label          string // its content in words
	XTicks, YTicks []tick
	Bars           []bar
	Lines          []hline
	Points         []point
}

type tick struct{ At, Text string }

type bar struct{ Class, Title, X, Y, Width, Height string }

// An hline is a horizontal line.
type hline struct{ Class, Y string }

type point struct{ X, Y string }

// An outcome is a segment of the outcome chart.
type outcome struct {
	Name, Class, X, Width string
	Count                 int
}

func (p *Server) charts(w http.ResponseWriter, _ *http.Request) {
	p.renderPart(w, "calls", "charts", p.index.charts(time.Now()))
}

func (x *index) charts(now time.Time) chartsView {
	x.mu.RLock()
	defer x.mu.RUnlock()
	v := chartsView{
		Tools:    toolPlot(x.requests[:min(len(x.requests), chartRequests)]),
		Outcomes: outcomes(x.rows[:min(len(x.rows), chartOutcomes)]),
	}
	buckets := callBuckets{start: now.Truncate(time.Hour).Add(-23 * time.Hour), step: time.Hour, all: make([]int, 24), failed: make([]int, 24)}
	v.Unit = "hour"
	if n := len(x.rows); n == 0 || now.Sub(x.rows[n-1].FirstSeen) < time.Hour {
		buckets = callBuckets{start: now.Truncate(time.Minute).Add(-59 * time.Minute), step: time.Minute, all: make([]int, 60), failed: make([]int, 60)}
		v.Unit = "minute"
	}
	buckets.count(x.rows)
	v.Calls = buckets.plot()
	return v
}

// callBuckets counts calls in steps of time.
type callBuckets struct {
	start       time.Time
	step        time.Duration
	all, failed []int
}

// count counts the rows, which are sorted, newest first.
func (c *callBuckets) count(rows []*row) {
	for _, r := range rows {
		if r.FirstSeen.Before(c.start) {
			return
		}
		i := int(r.FirstSeen.Sub(c.start) / c.step)
		if i >= len(c.all) {
			continue // from a clock that is ahead
		}
		c.all[i]++
		if r.Status == event.StatusFailed {
			c.failed[i]++
		}
	}
}

func (c *callBuckets) plot() plot {
	n := float64(len(c.all))
	highest, total, failed := 0, 0, 0
	for i := range c.all {
		highest, total, failed = max(highest, c.all[i]), total+c.all[i], failed+c.failed[i]
	}
	top := max(4, 1.1*float64(highest))
	p := plot{Label: fmt.Sprintf("%s in the last %s, %d failed", plural(total, "call"), span(time.Duration(len(c.all))*c.step), failed)}
	for _, v := range ticks(top, 3) {
		p.YTicks = append(p.YTicks, tick{pct(1 - v/top), thousand(int(v))})
	}
	for i := range c.all {
		at := c.start.Add(time.Duration(i) * c.step).Local()
		if c.step == time.Minute && at.Minute()%15 == 0 || c.step == time.Hour && at.Hour()%6 == 0 {
			p.XTicks = append(p.XTicks, tick{pct((float64(i) + 0.5) / n), at.Format("15:04")})
		}
		title := fmt.Sprintf("%s: %s, %d failed", at.Format("15:04"), plural(c.all[i], "call"), c.failed[i])
		add := func(class string, count int) {
			if count > 0 {
				part := float64(count) / top
				p.Bars = append(p.Bars, bar{class, title, pct((float64(i) + 0.15) / n), pct(1 - part), pct(0.7 / n), pct(part)})
			}
		}
		add("calls", c.all[i])
		add("failed", c.failed[i])
	}
	return p
}

// toolPlot shows the latency of requests, which are sorted, newest first.
func toolPlot(requests []request) plot {
	slowest := time.Duration(0)
	for _, r := range requests {
		slowest = max(slowest, r.took)
	}
	top := max(5.6, 1.1*slowest.Seconds())
	y := func(d time.Duration) string { return pct(1 - d.Seconds()/top) }
	p := plot{
		Label: fmt.Sprintf("latency of the last %s, at most %s; the budget is %s, a hang starts at %s",
			plural(len(requests), "tool request"), span(slowest), span(core.DefaultBudget), span(replylint.HangAfter)),
		Lines: []hline{{"budget", y(core.DefaultBudget)}, {"hang", y(replylint.HangAfter)}},
	}
	for _, v := range ticks(top, 3) {
		p.YTicks = append(p.YTicks, tick{pct(1 - v/top), fmt.Sprintf("%g s", v)})
	}
	if len(requests) == 0 {
		return p
	}
	from, to := requests[len(requests)-1].at.Add(-2*time.Second), requests[0].at.Add(2*time.Second)
	p.XTicks = timeTicks(from, to)
	for _, r := range requests {
		p.Points = append(p.Points, point{pct(float64(r.at.Sub(from)) / float64(to.Sub(from))), y(r.took)})
	}
	return p
}

// ticks returns at most n+1 round values from 0 to top.
func ticks(top float64, n int) (vs []float64) {
	step := 1.0
	for i := 0; top/step > float64(n); i++ {
		step *= [...]float64{2, 2.5, 2}[i%3] // 1, 2, 5, 10, 20, …
	}
	for v := 0.0; v <= top; v += step {
		vs = append(vs, v)
	}
	return vs
}

// timeSteps are the distances between the labels of a time axis.
var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
}

// timeTicks labels round local times, at most five.
func timeTicks(from, to time.Time) (ts []tick) {
	length := to.Sub(from)
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if length < 5*s {
			step = s
			break
		}
	}
	layout := "15:04"
	switch {
	case step < time.Minute:
		layout = "15:04:05"
	case step >= 24*time.Hour:
		layout = "Jan 2"
	}
	_, zone := from.Local().Zone()
	shift := time.Duration(zone) * time.Second // Truncate counts in UTC
	last := to.Add(-length / 25)               // a later label would leave the chart
	for at := from.Add(shift).Truncate(step).Add(-shift); at.Before(last); at = at.Add(step) {
		if !at.Before(from) {
			ts = append(ts, tick{pct(float64(at.Sub(from)) / float64(length)), at.Local().Format(layout)})
		}
	}
	return ts
}

// outcomes counts how calls ended. A call that is not over counts as live.
func outcomes(rows []*row) []outcome {
	all := []outcome{{Name: string(event.EndReasonReport)}, {Name: string(event.EndReasonBackfill)}, {Name: string(event.EndReasonReportTimeout)},
		{Name: string(event.EndReasonIdleTimeout)}, {Name: "failed"}, {Name: "live"}}
	for _, r := range rows {
		name := cmp.Or(string(r.EndReason), "live")
		if r.Status == event.StatusFailed {
			name = "failed"
		}
		if i := slices.IndexFunc(all, func(o outcome) bool { return o.Name == name }); i >= 0 {
			all[i].Count++
		}
	}
	before, n := 0, math.Max(1, float64(len(rows)))
	for i := range all {
		all[i].Class = fmt.Sprintf("o-%d", i)
		all[i].X, all[i].Width = pct(float64(before)/n), pct(float64(all[i].Count)/n)
		before += all[i].Count
	}
	return all
}
