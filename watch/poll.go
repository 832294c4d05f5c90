package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/replylint"
)

// Options configure what is shown. The zero value of each field is its default.
type Options struct {
	Name         string        // of the store, for the title
	PollInterval time.Duration // default: 500 ms
}

const (
	defaultPollInterval = 500 * time.Millisecond

	// newest is how many calls and how many tool requests each poll reads.
	newest = 200
)

func (o *Options) withDefaults() Options {
	if o == nil {
		o = new(Options)
	}
	return Options{Name: o.Name, PollInterval: cmp.Or(o.PollInterval, defaultPollInterval)}
}

// An item is a call or a tool request. Exactly one of its pointers is set.
type item struct {
	id   string // unique and stable
	at   time.Time
	call *calls.Summary
	tool *calls.StoredToolRequest

	severity replylint.Level // of what is wrong with a tool's reply
	rule     string          // that the reply breaks
	haystack string          // what the filter searches, in lower case
}

func callItem(c calls.Summary) item {
	return item{id: "call " + string(c.ID), at: c.LastSeen, call: &c,
		haystack: haystack("call", string(c.ID), string(c.Status), string(c.EndReason), c.Assistant, c.AssistantID, string(c.Metadata))}
}

func toolItem(r calls.StoredToolRequest) item {
	i := item{id: "tool " + r.ID, at: r.ReceivedAt, tool: &r}
	if found := replylint.Check(replylint.ReplyOf(r.ToolRequest)); len(found) > 0 {
		i.severity, i.rule = found[0].Level, found[0].Rule
	}
	i.haystack = haystack("tool", r.Tool, string(r.Call), r.State, i.severity.String(), i.rule)
	return i
}

func haystack(words ...string) string { return strings.ToLower(strings.Join(words, " ")) }

// needsAttention reports whether something went wrong.
func (i item) needsAttention() bool {
	if c := i.call; c != nil {
		return c.HangCount > 0 || c.ErrorCount > 0 || c.Status == event.StatusFailed || c.Ended && !c.EndReason.HasReport()
	}
	return i.severity >= replylint.LevelWarning
}

// version changes whenever the item's line does.
func (i item) version() string {
	if i.call == nil {
		return i.id
	}
	c := i.call
	return fmt.Sprint(c.Status, c.MessageCount, c.Ended, c.EndReason, c.HangCount, c.ErrorCount)
}

// poll reads the newest items, newest first.
func poll(ctx context.Context, s records.Store) ([]item, error) {
	found, _, err := calls.List(ctx, s, "", newest)
	if err != nil {
		return nil, err
	}
	requests, err := calls.ListToolRequests(ctx, s, "", newest)
	if err != nil {
		return nil, err
	}
	items := make([]item, 0, len(found)+len(requests))
	for _, c := range found {
		items = append(items, callItem(c))
	}
	for _, r := range requests {
		items = append(items, toolItem(r))
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.id, b.id)) })
	return items, nil
}
