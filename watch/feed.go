package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/replylint"
)

// Options say what to watch.
type Options struct {
	Store core.Store
	Name  string        // of the store, for the title
	Poll  time.Duration // how often the store is looked at; default 500 ms
}

// newest is how many calls and how many tool requests are looked at.
const newest = 200

// An Item is a call or a tool request in the list. Just one of its pointers is
// set.
type Item struct {
	ID   string // unique, and the same for as long as the item is there
	At   time.Time
	Call *core.CallSummary
	Tool *core.KeptRequest

	Worst replylint.Level // of what is wrong with a tool's reply
	Rule  string          // the rule that it breaks
	find  string          // what the filter looks at, in small letters
}

// Trouble reports that somebody should look at it.
func (i Item) Trouble() bool {
	if i.Call != nil {
		return i.Call.Hangs > 0 || i.Call.Errors > 0 || i.Call.Status == "failed" ||
			i.Call.Ended && !i.Call.EndReason.HasReport()
	}
	return i.Worst >= replylint.LevelWarning
}

// version changes when there is something new to say about an item.
func (i Item) version() string {
	if i.Call == nil {
		return i.ID
	}
	c := i.Call
	return fmt.Sprint(c.Status, c.Messages, c.Ended, c.EndReason, c.Hangs, c.Errors)
}

// look reads what is there, newest first.
func look(ctx context.Context, s core.Store) ([]Item, error) {
	calls, _, err := core.ListCalls(ctx, s, "", newest)
	if err != nil {
		return nil, err
	}
	requests, err := core.ListToolRequests(ctx, s, "", newest)
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(calls)+len(requests))
	for _, c := range calls {
		items = append(items, Item{ID: "call " + string(c.ID), At: c.Last, Call: &c,
			find: strings.ToLower(strings.Join([]string{"call", string(c.ID), string(c.Status), string(c.EndReason), c.Assistant, c.AssistantID, string(c.Metadata)}, " "))})
	}
	for _, r := range requests {
		i := Item{ID: "tool " + r.ID, At: r.At, Tool: &r}
		if found := replylint.Check(replylint.ReplyOf(r.ToolRequest)); len(found) > 0 {
			i.Worst, i.Rule = found[0].Level, found[0].Rule
		}
		i.find = strings.ToLower(strings.Join([]string{"tool", r.Tool, string(r.Call), r.State, i.Worst.String(), i.Rule}, " "))
		items = append(items, i)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return items, nil
}
