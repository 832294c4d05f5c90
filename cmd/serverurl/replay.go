package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

type replayCommand struct {
	What string `arg:"" help:"The id of a call, or a file with one body a line."`
	databaseFlags
	targetFlags
	Tools bool `help:"Call the recorded tools again too. A server with another store runs them."`
}

func (*replayCommand) Help() string {
	return `Sends the recorded events of a call again, in the order in which they came, and
shows what is answered now and was not then. A server that has the call already
changes nothing. Secrets in recorded events are masked.

Examples:
  serverurl replay CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --to http://127.0.0.1:8080
  serverurl replay CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --tools --data old --to http://127.0.0.1:8081
  serverurl replay events.jsonl --to http://127.0.0.1:8080`
}

// recorded is something to send again.
type recorded struct {
	what string
	path string
	body []byte
	then string // the result of then; "" where there was none to compare
	at   time.Time
}

func (c *replayCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	all, err := c.read(ctx)
	if err != nil {
		return err
	}
	changed, failed := 0, 0
	for _, r := range all {
		now, err := post(ctx, http.MethodPost, c.targetFlags, r.path, r.body)
		if err != nil {
			return err
		}
		ok := now.status >= 200 && now.status <= 299
		fmt.Fprintf(t.out, "%s %d  %6.1f ms  %s\n", t.mark(ok), now.status, float64(now.took.Microseconds())/1000, r.what)
		if !ok {
			failed++
			continue
		}
		var reply struct{ Result string }
		if r.then != "" && (json.Unmarshal(now.body, &reply, json.MatchCaseInsensitiveNames(true)) != nil || reply.Result != r.then) {
			changed++
			fmt.Fprintf(t.out, "%s %s\n%s %s\n", t.color("31", "     then"), r.then, t.color("32", "     now "), reply.Result)
		}
	}
	fmt.Fprintf(t.out, "%d sent, %d failed, %d answered otherwise than before\n", len(all), failed, changed)
	if failed > 0 {
		return errFailed
	}
	return nil
}

// read finds what is meant: a file where there is one, else a call.
func (c *replayCommand) read(ctx context.Context) ([]recorded, error) {
	if data, err := os.ReadFile(c.What); err == nil {
		return fromFile(c.What, data)
	}
	db, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	id := event.CallID(c.What)
	call, err := calls.Read(ctx, db.Store(), id)
	if errors.Is(err, callstate.ErrNotFound) {
		return nil, usageError{fmt.Errorf("%q is neither a file nor a call: serverurl calls lists them", c.What)}
	}
	if err != nil {
		return nil, err
	}
	var all []recorded
	seen := map[string]bool{} // what came twice is sent once, or each replay would double the record
	for e, err := range calls.Events(ctx, db.Store(), id) {
		if err != nil {
			return nil, err
		}
		if seen[string(e.Body)] {
			continue
		}
		seen[string(e.Body)] = true
		all = append(all, recorded{what: string(e.Type), path: "/events", body: e.Body, at: e.Received})
	}
	// They are kept as they were delivered, which may be another order.
	slices.SortStableFunc(all, func(a, b recorded) int { return a.at.Compare(b.at) })
	if c.Tools {
		for _, r := range call.Tools {
			if r.State == "done" || r.State == "failed" {
				all = append(all, recorded{what: "tool " + r.Tool, path: "/tools/" + r.Tool + "?call=" + url.QueryEscape(c.What), body: r.Args, then: r.Result})
			}
		}
	}
	return all, nil
}

// fromFile reads one body, or one a line.
func fromFile(name string, data []byte) ([]recorded, error) {
	whole := bytes.TrimSpace(data)
	if len(whole) == 0 {
		return nil, usageError{fmt.Errorf("%s is empty", name)}
	}
	if isJSON(whole) {
		return []recorded{{what: name, path: "/events", body: whole}}, nil
	}
	var all []recorded
	for n, line := range bytes.Split(whole, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !isJSON(line) {
			return nil, usageError{fmt.Errorf("%s:%d: not JSON; want one body in the file, or one a line", name, n+1)}
		}
		all = append(all, recorded{what: fmt.Sprintf("%s:%d", name, n+1), path: "/events", body: line})
	}
	return all, nil
}

func isJSON(b []byte) bool {
	var v any
	return json.Unmarshal(b, &v) == nil
}
