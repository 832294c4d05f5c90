// Package replylint finds what is wrong with the reply to a tool request: why
// the assistant would ignore it, what may go wrong with it, and how to fix that.
//
//	for _, f := range replylint.Check(replylint.Reply{Status: 200, ContentType: "application/json", Body: body}) {
//		fmt.Printf("%v %s: this reply is a problem because %s. %s\n", f.Level, f.Rule, f.Reason, f.Fix)
//	}
//
// It sends nothing, runs nothing, and knows no platform. A finding never quotes
// the reply, so it can be logged.
package replylint

import (
	"cmp"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
)

// Limits of the sender (docs/tools.md#budget, docs/events.md#delivery).
const (
	// HangAfter is how long the assistant may be silent before the sender
	// reports a hang.
	HangAfter = 5 * time.Second

	// TimeoutAfter is how long the sender waits for a reply.
	TimeoutAfter = 20 * time.Second
)

// A Reply is a reply to a tool request, from any backend.
type Reply struct {
	Status      int // 0 if there was no reply
	ContentType string
	Body        []byte
	Latency     time.Duration
	Budget      time.Duration // default: core.DefaultBudget
	State       string        // as in [calls.ToolRequest]; "" if not known
	ToolCallID  string        // that the request had, in a dialect with ids
}

// ReplyOf returns the reply to a recorded request.
func ReplyOf(r calls.ToolRequest) Reply {
	return Reply{Status: r.HTTPStatus, ContentType: r.ContentType, Body: r.Reply, Latency: r.Latency, Budget: r.Budget, State: r.State, ToolCallID: r.ToolCallID}
}

// A Level is how severe a finding is.
type Level int

// The levels, in order of severity.
const (
	LevelOK      Level = iota
	LevelInfo          // it works and could be better
	LevelWarning       // it may go wrong
	LevelError         // the assistant ignores the reply
)

// String returns "ok", "info", "warning" or "error".
func (l Level) String() string { return [...]string{"ok", "info", "warning", "error"}[l] }

// A Finding is a rule that a reply breaks.
type Finding struct {
	Level  Level
	Rule   string // short and stable: "line-break"
	Reason string // completes "This reply would be ignored because …"
	Fix    string
	Source string // the section of the docs that states the rule
}

// Check returns what is wrong with a reply, the most severe finding first. It
// checks the rules of docs/tools.md#reply: one line of text under "result", in
// JSON, with status 200, before the caller hears a silence.
func Check(r Reply) []Finding {
	var c checker
	c.latency(r)
	if r.Status != 200 {
		c.status(r.Status)
	} else if c.body(r) {
		c.state(r.State)
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return cmp.Compare(b.Level, a.Level) })
	return c.findings
}

// Worst returns the level of the most severe finding.
func Worst(fs []Finding) Level {
	worst := LevelOK
	for _, f := range fs {
		worst = max(worst, f.Level)
	}
	return worst
}

// Slow reports whether a reply took three quarters of its budget or more: on a
// slower day it exceeds it. A budget of 0 is core.DefaultBudget.
func Slow(latency, budget time.Duration) bool {
	if budget <= 0 {
		budget = core.DefaultBudget
	}
	return latency >= budget*3/4
}
