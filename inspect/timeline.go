package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/replylint"
)

// A timelineLine is an event or a tool request in the timeline.
type timelineLine struct {
	At            time.Duration // since the first event of the call
	Kind          string        // event, tool
	Label, Detail string
	Marks         []mark
	Level         replylint.Level
	Link          string

	// Of tools only.
	Latency, Budget time.Duration
	Slow            bool

	arrived time.Time
}

// A mark is a word about a line, and its explanation.
type mark struct{ Word, Explanation string }

// addTimeline lists what arrived here, in order.
func (v *callView) addTimeline(duplicates []calls.EventArrival) {
	v.addEvents()
	for _, e := range duplicates {
		v.Lines = append(v.Lines, timelineLine{Kind: "event", Label: string(e.Type), arrived: e.Received,
			Marks: []mark{{"duplicate", "it had arrived before, and changed nothing"}}})
	}
	for _, t := range v.Tools {
		v.Lines = append(v.Lines, toolLine(t))
	}
	if v.Ended && !v.EndReason.HasReport() {
		v.Lines = append(v.Lines, timelineLine{Kind: "event", Label: "call ended", arrived: v.LastSeen, Detail: string(v.EndReason),
			Marks: []mark{{"sweep", "no report arrived in time, so the sweep ended the call"}}, Level: replylint.LevelWarning})
	}
	slices.SortStableFunc(v.Lines, func(a, b timelineLine) int { return a.arrived.Compare(b.arrived) })
	for i := range v.Lines {
		v.Lines[i].At = v.Lines[i].arrived.Sub(v.FirstSeen)
	}
}

func (v *callView) addEvents() {
	messages := 0
	for i, e := range v.Events {
		l := timelineLine{Kind: "event", Label: string(e.Type), arrived: e.Received, Link: fmt.Sprintf("#event-%d", i+1)}
		mark := func(word, explanation string) { l.Marks = append(l.Marks, mark{word, explanation}) }
		if e.Stale {
			mark("late", "an older snapshot of the conversation than the one that was known")
			v.Late++
		}
		if e.Added > 0 {
			l.Detail = plural(e.Added, "new message")
		}
		if e.Type == event.TypeConversationUpdate && e.PrefixLen < messages && !e.Stale {
			mark("rewritten", "it replaced a part of the conversation")
		}
		if !e.Stale {
			messages = e.PrefixLen + e.Added
		}
		if e.Backfilled {
			mark("backfilled", "it never arrived, and was recovered through the calls API")
		}
		if e.RedriveCount > 0 {
			mark("redriven", "it had become a dead letter, and was delivered again")
		}
		if e.Type == event.TypeHang || e.Type == event.TypeError {
			l.Level = replylint.LevelWarning
		}
		v.Lines = append(v.Lines, l)
	}
}

func toolLine(t toolView) timelineLine {
	l := timelineLine{Kind: "tool", Label: cmp.Or(t.Tool, "unknown tool"), Detail: t.Word(), arrived: t.ReceivedAt, Latency: t.Latency, Budget: t.Budget,
		Level: t.Level, Link: t.Link, Slow: t.Slow()}
	if t.Slow() {
		l.Marks = append(l.Marks, mark{"slow", "it used most of its budget"})
	}
	if t.Replayed || t.Nth > 1 {
		l.Marks = append(l.Marks, mark{"duplicate", "the same request again; it got the same bytes"})
	}
	if t.Level == replylint.LevelError {
		l.Marks = append(l.Marks, mark{"ignored", "the assistant gets nothing of this reply"})
	}
	return l
}
