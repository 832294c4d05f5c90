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
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// replayCommand sends recorded events and tool calls again, to see what new code does
// with an old call.
type replayCommand struct {
	What string `arg:"" help:"The id of a call, or a file with one body per line."`
	storeFlags
	targetFlags
	Tools bool `help:"Send the recorded tool calls too. A server with another store runs them."`
}

func (*replayCommand) Help() string {
	return `Sends the recorded events of a call again, in the order in which they arrived, and
shows replies that differ from the recorded ones. A server that has the call
already changes nothing. Secrets in recorded events are masked.

Examples:
  serverurl replay CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --url http://127.0.0.1:8080
  serverurl replay CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --tools --store sqlite:old --url http://127.0.0.1:8081
  serverurl replay events.jsonl --url http://127.0.0.1:8080`
}

// recorded is a request to send again.
type recorded struct {
	what   string // for a person
	path   string
	body   []byte
	before string // the recorded result; "" if there is none to compare with
	at     time.Time
}

func (c *replayCommand) Run(ctx context.Context, t *terminal) error {
	to, err := c.root()
	if err != nil {
		return err
	}
	all, err := c.read(ctx)
	if err != nil {
		return err
	}
	changed, failed := 0, 0
	for _, r := range all {
		now, err := post(ctx, http.MethodPost, to, r.path, r.body)
		if err != nil {
			return err
		}
		ok := now.status >= 200 && now.status <= 299
		fmt.Fprintf(t.out, "%s %d  %6.1f ms  %s\n", t.mark(ok), now.status, float64(now.took.Microseconds())/1000, r.what)
		if !ok {
			failed++
			continue
		}
		var answer struct{ Result string }
		if r.before != "" && (json.Unmarshal(now.body, &answer, json.MatchCaseInsensitiveNames(true)) != nil || answer.Result != r.before) {
			changed++
			fmt.Fprintf(t.out, "%s %s\n%s %s\n", t.color("31", "     before"), r.before, t.color("32", "     now   "), answer.Result)
		}
	}
	fmt.Fprintf(t.out, "%d sent, %d failed, %d replies changed\n", len(all), failed, changed)
	if failed > 0 {
		return errFailed
	}
	return nil
}

// read reads the file of that name, or else the call with that id.
func (c *replayCommand) read(ctx context.Context) ([]recorded, error) {
	if data, err := os.ReadFile(c.What); err == nil {
		return fromFile(c.What, data)
	}
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	id := event.CallID(c.What)
	call, err := calls.Read(ctx, r.store, id)
	if errors.Is(err, callstate.ErrNotFound) {
		return nil, usageError{fmt.Errorf("%q is neither a file nor a call: serverurl calls lists them", c.What)}
	}
	if err != nil {
		return nil, err
	}
	var all []recorded
	seen := map[string]bool{} // duplicates are sent once, or each replay would double the record
	for e, err := range calls.Events(ctx, r.store, id) {
		if err != nil {
			return nil, err
		}
		if seen[string(e.Body)] {
			continue
		}
		seen[string(e.Body)] = true
		all = append(all, recorded{what: string(e.Type), path: "/events", body: e.Body, at: e.Received})
	}
	// They are stored in the order of delivery, which may differ from that of arrival.
	slices.SortStableFunc(all, func(a, b recorded) int { return a.at.Compare(b.at) })
	if c.Tools {
		for _, r := range call.Tools {
			if r.State == "done" || r.State == "failed" {
				all = append(all, recorded{what: "tool " + r.Tool, path: "/tools/" + r.Tool + "?call=" + url.QueryEscape(c.What), body: r.Args, before: r.Result})
			}
		}
	}
	return all, nil
}

// fromFile reads one body, or one per line.
func fromFile(name string, data []byte) ([]recorded, error) {
	whole := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff"))) // editors write a byte order mark
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
			return nil, usageError{fmt.Errorf("%s:%d: not JSON; want one body in the file, or one per line", name, n+1)}
		}
		all = append(all, recorded{what: fmt.Sprintf("%s:%d", name, n+1), path: "/events", body: line})
	}
	return all, nil
}

// isJSON reports whether a backend takes b as JSON.
func isJSON(b []byte) bool {
	return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
