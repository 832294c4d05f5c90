package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/screen"
)

// callsCommands are the commands about calls. Without another word, calls lists.
type callsCommands struct {
	List    callsCommand `cmd:"" default:"withargs" help:"List the calls, or show one."`
	Export  callsExport  `cmd:"" help:"Write all stored data of a call, as JSON."`
	Delete  callsDelete  `cmd:"" help:"Delete all stored data of a call."`
	Hold    callsHold    `cmd:"" help:"Place a legal hold: keep a call from being deleted."`
	Release callsRelease `cmd:"" help:"End a hold."`
}

func (*callsCommands) Help() string {
	return `Shows what people said: mind who can see your screen.

Examples:
  serverurl calls
  serverurl calls CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --json
  serverurl calls --tag 0f4b83a1c2d9
  serverurl calls export CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --out call.json
  serverurl calls --store postgres://reader@db.example.com/desk`
}

// callsCommand lists calls, or prints one. Both are one command because an operator
// goes from the list to a call by adding its id.
type callsCommand struct {
	storeFlags
	tagFlags
	ID    string `arg:"" optional:"" help:"The call to show."`
	Tag   string `help:"List the call that lines of the log name with this tag." placeholder:"TAG"`
	Scan  int    `help:"With --tag: how many calls to look through, newest first; 0 is all." default:"100000" placeholder:"N"`
	JSON  bool   `help:"As JSON, for other programs."`
	Limit int    `help:"How many calls to list, newest first; 0 is all." default:"50" placeholder:"N"`
}

func (*callsCommand) Help() string {
	return `Shows what people said: mind who can see your screen.

The log names a call by a tag, which is made of its id and the backend's first
secret. --tag finds the call, and a call that is shown has its tag: both need that
secret, from the backend's variables or --secret-file.

Examples:
  serverurl calls
  serverurl calls CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --json
  serverurl calls --tag 0f4b83a1c2d9 --secret-file secret.txt
  serverurl calls list --store gcp://desk-production --limit 10`
}

func (c *callsCommand) Run(ctx context.Context, t *terminal) error {
	switch {
	case c.Tag != "" && c.ID != "":
		return usageError{errors.New("give a call or --tag, not both")}
	case c.Tag != "" && !tagPattern.MatchString(c.Tag):
		return usageError{fmt.Errorf("--tag %q: want the 12 digits and letters a to f of a log line's call", c.Tag)}
	}
	tags, err := c.tagKeys()
	if err != nil {
		return err
	}
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if c.ID != "" {
		return printCall(ctx, t, r.store, c.ID, tags, c.JSON)
	}
	if c.Tag != "" {
		ids, err := tags.find(ctx, t, r.store, c.Tag, c.Scan)
		if err != nil {
			return err
		}
		some, err := calls.Summaries(ctx, r.store, ids...)
		if err != nil {
			return err
		}
		return c.print(t, some)
	}
	return c.list(ctx, t, r.store)
}

// callJSON is a call in the list, as other programs read it.
type callJSON struct {
	ID       event.CallID `json:"id"`
	Status   event.Status `json:"status"`
	Messages int          `json:"messages"`
	Ended    bool         `json:"ended"`
}

// list reads page by page and stops at the limit: a store may hold years of calls.
func (c *callsCommand) list(ctx context.Context, t *terminal, s records.Store) error {
	n, all := 0, []calls.Summary{}
	for after := ""; c.Limit == 0 || n < c.Limit; {
		some, next, err := calls.List(ctx, s, after, 100)
		if err != nil {
			return err
		}
		if c.Limit > 0 {
			some = some[:min(len(some), c.Limit-n)]
		}
		n += len(some)
		if c.JSON {
			all = append(all, some...)
		} else if err := c.print(t, some); err != nil {
			return err
		}
		if after = next; after == "" {
			break
		}
	}
	if c.JSON {
		return c.print(t, all)
	}
	if n == 0 {
		fmt.Fprintln(t.out, "no calls yet; play one: serverurl play booking --url URL --store URL")
	}
	return nil
}

// print prints lines of the list, or all of it as JSON.
func (c *callsCommand) print(t *terminal, some []calls.Summary) error {
	var all struct {
		Calls []callJSON `json:"calls"`
	}
	all.Calls = []callJSON{}
	for _, call := range some {
		all.Calls = append(all.Calls, callJSON{call.ID, call.Status, call.MessageCount, call.Ended})
		if !c.JSON {
			fmt.Fprintf(t.out, "%s  %-10s %4d messages  %-6s %s\n", call.FirstSeen.Local().Format(time.DateTime), screen.Line(string(call.Status)), call.MessageCount, openOrEnded(call.Ended), screen.Line(string(call.ID)))
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	return nil
}

func openOrEnded(ended bool) string {
	if ended {
		return "ended"
	}
	return "open"
}

// callDetailJSON is a whole call, as other programs read it. It is not calls.Call:
// these keys stay when that changes.
type callDetailJSON struct {
	callHeadJSON
	Messages []messageJSON       `json:"messages"`
	Report   *reportJSON         `json:"report"` // null until it arrives
	Tools    []calls.ToolRun     `json:"tools"`
	Events   []calls.StoredEvent `json:"events"`
	Hangs    int                 `json:"hangs"`
	Errors   int                 `json:"errors"`
}

type callHeadJSON struct {
	ID        event.CallID    `json:"id"`
	Tags      []string        `json:"tags"` // in the log, the current one first; none if no secret is known
	Status    event.Status    `json:"status"`
	Ended     bool            `json:"ended"`
	EndReason event.EndReason `json:"endReason,omitempty"`
}

type messageJSON struct {
	MessageID string `json:"messageId"`
	Role      string `json:"role"`
	Text      string `json:"text"`
}

type reportJSON struct {
	Summary           string         `json:"summary"`
	SuccessEvaluation string         `json:"successEvaluation"`
	Outcome           string         `json:"outcome"`
	StructuredData    jsontext.Value `json:"structuredData,omitempty"`
	EndedBy           string         `json:"endedBy"`
	DurationMs        float64        `json:"durationMs"`
	TotalCost         float64        `json:"totalCost"`
	Recording         string         `json:"recording"`
}

// printCall prints one call, with its tags if they are not nil. The demo ends with
// it.
func printCall(ctx context.Context, t *terminal, s records.Store, id string, tags *tagKeys, asJSON bool) error {
	call, err := calls.Read(ctx, s, event.CallID(id))
	if errors.Is(err, calls.ErrNotFound) {
		if full := withTenant(ctx, s, id); full != "" {
			return fmt.Errorf("no call %q in this store; did you mean %s?", id, full)
		}
	}
	if err != nil {
		return explain(err, id)
	}
	v := callDetailJSON{
		callHeadJSON: callHeadJSON{call.ID, tags.of(call.ID), call.Status, call.Ended, call.EndReason},
		Messages:     []messageJSON{}, Tools: append([]calls.ToolRun{}, call.Tools...), Events: call.Events, Hangs: call.HangCount, Errors: call.ErrorCount,
	}
	for _, m := range call.Transcript {
		v.Messages = append(v.Messages, messageJSON{m.ID, m.Role, m.Text})
	}
	if call.Report != nil {
		v.Report = &reportJSON{
			Summary: call.Analysis.Summary, SuccessEvaluation: call.Analysis.Success, Outcome: call.Analysis.Outcome,
			StructuredData: call.Analysis.Structured, EndedBy: call.Info.EndedBy(), DurationMs: call.Info.DurationMS, Recording: call.Info.Recording.Path,
		}
		if call.Info.Cost != nil {
			v.Report.TotalCost = call.Info.Cost.Total
		}
	}
	if asJSON {
		return writeJSON(t, v)
	}
	requests, err := calls.ToolRequests(ctx, s, call.ID)
	if err != nil {
		return err
	}
	wrong, err := wentWrong(ctx, s, call)
	if err != nil {
		return err
	}
	v.print(t, call, wrong, requests, tags)
	return nil
}

// withTenant returns the whole id of a call that was given without its tenant, of the
// last calls; "" if there is none.
func withTenant(ctx context.Context, s records.Store, id string) event.CallID {
	for after, n := "", 0; n < 10; n++ {
		ids, next, err := calls.ListIDs(ctx, s, after, 1000)
		for _, full := range ids {
			if strings.HasSuffix(string(full), "/"+id) {
				return full
			}
		}
		if after = next; err != nil || after == "" {
			return ""
		}
	}
	return ""
}
