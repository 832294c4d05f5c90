package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

type callsCommand struct {
	databaseFlags
	ID    string `arg:"" optional:"" help:"The call to show."`
	JSON  bool   `help:"As JSON, for other programs."`
	Limit int    `help:"How many calls to list, newest first; 0 is all." default:"50" placeholder:"N"`
}

func (*callsCommand) Help() string {
	return `Shows what people said, so mind who looks on.

Examples:
  serverurl calls
  serverurl calls CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --json
  serverurl calls --database-url postgres://localhost/desk`
}

func (c *callsCommand) Run(ctx context.Context, t *terminal) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if c.ID != "" {
		return c.one(ctx, t, db.Store())
	}
	return c.list(ctx, t, db.Store())
}

// listed is a call in the list that other programs read.
type listed struct {
	ID       event.CallID `json:"id"`
	Status   event.Status `json:"status"`
	Messages int          `json:"messages"`
	Ended    bool         `json:"ended"`
}

func (c *callsCommand) list(ctx context.Context, t *terminal, s records.Store) error {
	var all struct {
		Calls []listed `json:"calls"`
	}
	all.Calls = []listed{}
	for after := ""; c.Limit == 0 || len(all.Calls) < c.Limit; {
		some, next, err := calls.List(ctx, s, after, 100)
		if err != nil {
			return err
		}
		for _, call := range some {
			if c.Limit > 0 && len(all.Calls) == c.Limit {
				break
			}
			all.Calls = append(all.Calls, listed{call.ID, call.Status, call.MessageCount, call.Ended})
			if !c.JSON {
				fmt.Fprintf(t.out, "%s  %-10s %4d messages  %-6s %s\n", call.FirstSeen.Local().Format(time.DateTime), call.Status, call.MessageCount, over(call.Ended), call.ID)
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	if len(all.Calls) == 0 {
		fmt.Fprintln(t.out, "no calls yet; play one: serverurl call booking --to URL")
	}
	return nil
}

func over(ended bool) string {
	if ended {
		return "ended"
	}
	return "open"
}

// shown is a call as other programs read it.
type shown struct {
	listedID
	Messages []shownMessage      `json:"messages"`
	Report   *shownReport        `json:"report"` // null until it comes
	Tools    []calls.ToolRun     `json:"tools"`
	Events   []calls.StoredEvent `json:"events"`
	Hangs    int                 `json:"hangs"`
	Errors   int                 `json:"errors"`
}

type listedID struct {
	ID        event.CallID    `json:"id"`
	Status    event.Status    `json:"status"`
	Ended     bool            `json:"ended"`
	EndReason event.EndReason `json:"endReason,omitempty"`
}

type shownMessage struct {
	MessageID string `json:"messageId"`
	Role      string `json:"role"`
	Text      string `json:"text"`
}

type shownReport struct {
	Summary           string         `json:"summary"`
	SuccessEvaluation string         `json:"successEvaluation"`
	Outcome           string         `json:"outcome"`
	StructuredData    jsontext.Value `json:"structuredData,omitempty"`
	EndedBy           string         `json:"endedBy"`
	DurationMs        float64        `json:"durationMs"`
	TotalCost         float64        `json:"totalCost"`
	Recording         string         `json:"recording"`
}

func (c *callsCommand) one(ctx context.Context, t *terminal, s records.Store) error {
	call, err := calls.Read(ctx, s, event.CallID(c.ID))
	if errors.Is(err, callstate.ErrNotFound) {
		return fmt.Errorf("no call %q here: serverurl calls lists them", c.ID)
	}
	if err != nil {
		return err
	}
	v := shown{
		listedID: listedID{call.ID, call.Status, call.Ended, call.EndReason},
		Messages: []shownMessage{}, Tools: append([]calls.ToolRun{}, call.Tools...), Events: call.Events, Hangs: call.HangCount, Errors: call.ErrorCount,
	}
	for _, m := range call.Transcript {
		v.Messages = append(v.Messages, shownMessage{m.ID, m.Role, m.Text})
	}
	if call.Report != nil {
		v.Report = &shownReport{
			Summary: call.Analysis.Summary, SuccessEvaluation: call.Analysis.Success, Outcome: call.Analysis.Outcome,
			StructuredData: call.Analysis.Structured, EndedBy: call.Info.EndedBy(), DurationMs: call.Info.DurationMS, Recording: call.Info.Recording.Path,
		}
		if call.Info.Cost != nil {
			v.Report.TotalCost = call.Info.Cost.Total
		}
	}
	if c.JSON {
		return writeJSON(t, v)
	}
	v.print(t, call)
	return nil
}

func (v shown) print(t *terminal, call calls.Call) {
	fmt.Fprintf(t.out, "%s  %s, %s %s\n\n", v.ID, v.Status, over(v.Ended), v.EndReason)
	for _, m := range call.Transcript {
		who := "caller"
		if m.FromAssistant() {
			who = "assistant"
		}
		fmt.Fprintf(t.out, "%10s  %s\n", who, m.Text)
	}
	if len(v.Tools) > 0 {
		fmt.Fprintln(t.out)
	}
	for _, r := range v.Tools {
		fmt.Fprintf(t.out, "%10s  %s %s → %s\n", "tool", r.Tool, r.State, r.Result)
	}
	if v.Report != nil {
		fmt.Fprintf(t.out, "\n%10s  %s\n%10s  %s, %.1f s, ended by the %s\n", "report", v.Report.Summary, "", v.Report.SuccessEvaluation, v.Report.DurationMs/1000, v.Report.EndedBy)
	}
}
