package inspect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		top  float64
		want []float64
	}{
		{4, []float64{0, 2, 4}},
		{5.6, []float64{0, 2, 4}},
		{8.8, []float64{0, 5}},
		{21, []float64{0, 10, 20}},
		{1100, []float64{0, 500, 1000}},
	} {
		if got := ticks(c.top, 3); !slices.Equal(got, c.want) {
			t.Errorf("ticks to %g: %v, want %v", c.top, got, c.want)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.FixedZone("half an hour off", 5*3600+1800)
	from := time.Date(2035, 7, 16, 8, 59, 58, 0, time.Local)
	for _, c := range []struct {
		length time.Duration
		want   string
	}{
		{4 * time.Second, "08:59:58 08:59:59 09:00:00 09:00:01"},
		{time.Minute, "09:00:00 09:00:15 09:00:30 09:00:45"},
		{time.Hour, "09:00 09:15 09:30 09:45"},
		{9 * time.Hour, "10:00 12:00 14:00 16:00"},
		{30 * 24 * time.Hour, "Jul 23 Jul 30 Aug 6 Aug 13"},
	} {
		var labels []string
		for _, x := range timeTicks(from, from.Add(c.length)) {
			labels = append(labels, x.Text)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("over %v: %s, want %s", c.length, got, c.want)
		}
	}
}

func TestCallsAreCountedByTime(t *testing.T) {
	now := time.Date(2035, 7, 16, 9, 30, 30, 0, time.UTC)
	call := func(ago time.Duration, status event.Status) *row {
		return &row{Summary: calls.Summary{FirstSeen: now.Add(-ago), Status: status}}
	}
	x := &index{rows: []*row{call(-time.Hour, ""), call(0, event.StatusFinished), call(10*time.Second, event.StatusFailed), call(59*time.Minute, event.StatusFinished)}}
	v := x.charts(now)
	if v.Unit != "minute" || v.Calls.Label != "3 calls in the last 1 h 00 m, 1 failed" {
		t.Errorf("per %s: %s", v.Unit, v.Calls.Label)
	}
	if n := len(v.Calls.Bars); n != 3 || v.Calls.Bars[0].X != "0.25%" || v.Calls.Bars[n-1].Class != "failed" || v.Calls.Bars[n-1].Height != "25.00%" {
		t.Errorf("bars %+v", v.Calls.Bars)
	}
	x.rows = append(x.rows, call(20*time.Hour, event.StatusFailed), call(48*time.Hour, event.StatusFailed))
	if v := x.charts(now); v.Unit != "hour" || v.Calls.Label != "4 calls in the last 24 h 00 m, 2 failed" {
		t.Errorf("per %s: %s", v.Unit, v.Calls.Label)
	}
}
