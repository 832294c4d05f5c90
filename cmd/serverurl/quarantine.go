package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
)

// quarantineCommand has the commands about bodies that could not be decoded.
type quarantineCommand struct {
	List   quarantineList   `cmd:"" default:"withargs" help:"List the bodies in quarantine, without their contents."`
	Show   quarantineShow   `cmd:"" help:"Show a body."`
	Retry  quarantineRetry  `cmd:"" help:"Put bodies into the inbox that this version can decode."`
	Delete quarantineDelete `cmd:"" help:"Delete bodies."`
}

func (*quarantineCommand) Help() string {
	return `Quarantine holds bodies from the authenticated sender that could not be decoded as
events. After an upgrade the backend tries all of them by itself, once, with its
next sweep.

Examples:
  serverurl quarantine
  serverurl quarantine show 9f86d081884c7d659a2feaa0c55ad015
  serverurl quarantine retry --all
  serverurl quarantine --store gcp://desk-production`
}

// quarantineList prints what can be shown without reading what people said, so that
// it needs no entry in the audit log.
type quarantineList struct {
	storeFlags
	Limit int  `help:"How many to list." default:"100" placeholder:"N"`
	JSON  bool `help:"As JSON, for other programs."`
}

func (*quarantineList) Help() string {
	return `Examples:
  serverurl quarantine list --json
  serverurl quarantine list --store gcp://desk-production`
}

// quarantinedJSON is a quarantined body, as other programs read it. A body that is
// valid JSON is in body, any other text in text, other bytes in base64; only in show.
type quarantinedJSON struct {
	ID       string         `json:"id"`
	Received time.Time      `json:"received"`
	Reason   string         `json:"reason"`
	Encoding string         `json:"encoding,omitempty"`
	Bytes    int            `json:"bytes"`
	Body     jsontext.Value `json:"body,omitempty"`
	Text     string         `json:"text,omitempty"`
	Base64   []byte         `json:"base64,omitempty"`
}

func newQuarantinedJSON(q calls.QuarantinedBody) quarantinedJSON {
	v := quarantinedJSON{ID: q.ID, Received: q.Received, Reason: q.Reason, Encoding: q.Encoding, Bytes: q.Bytes}
	switch {
	case jsontext.Value(q.Body).IsValid():
		v.Body = q.Body
	case utf8.Valid(q.Body):
		v.Text = string(q.Body)
	default:
		v.Base64 = q.Body
	}
	return v
}

func (c *quarantineList) Run(ctx context.Context, t *terminal) error {
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	found, err := calls.ListQuarantine(ctx, r.store, "", c.Limit)
	if err != nil {
		return err
	}
	all := struct {
		Quarantine []quarantinedJSON `json:"quarantine"`
	}{[]quarantinedJSON{}}
	for _, q := range found {
		all.Quarantine = append(all.Quarantine, newQuarantinedJSON(q))
		if !c.JSON {
			fmt.Fprintf(t.out, "%s  %s  %8d bytes  %s\n", q.ID, q.Received.Local().Format(time.DateTime), q.Bytes, q.Reason)
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	if len(found) == 0 {
		fmt.Fprintln(t.out, "nothing in quarantine")
	}
	return nil
}

// quarantineShow prints a body with what people said.
type quarantineShow struct {
	ID string `arg:"" help:"The body."`
	storeFlags
	actorFlags
	JSON bool `help:"As JSON, for other programs. Default: the body as it was sent, secrets masked."`
}

func (*quarantineShow) Help() string {
	return `Shows what people said: mind who can see your screen. That it was shown is an
entry of the audit log.

Examples:
  serverurl quarantine show 9f86d081884c7d659a2feaa0c55ad015 --actor riley
  serverurl quarantine show 9f86d081884c7d659a2feaa0c55ad015 --json`
}

func (c *quarantineShow) Run(ctx context.Context, t *terminal) error {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	q, err := calls.ReadQuarantined(ctx, b.store, c.ID, c.actor())
	if err != nil {
		return explain(err, c.ID)
	}
	v := newQuarantinedJSON(q)
	if c.JSON || v.Base64 != nil {
		return writeJSON(t, v)
	}
	_, err = fmt.Fprintf(t.out, "%s\n", q.Body)
	return err
}

// bodies names quarantined bodies, in one of two ways.
type bodies struct {
	IDs []string `arg:"" optional:"" name:"id" help:"The bodies."`
	All bool     `help:"All of them."`
}

// each calls do for all of them. If one fails, the others are still done.
func (s bodies) each(ctx context.Context, t *terminal, b *backend, done string, do func(id string) error) error {
	if (len(s.IDs) > 0) == s.All {
		return usageError{errors.New("name bodies by id, or --all")}
	}
	ids := s.IDs
	for after := ""; s.All; {
		some, err := calls.ListQuarantine(ctx, b.store, after, 100)
		if err != nil {
			return err
		}
		for _, q := range some {
			after = q.ID
			ids = append(ids, q.ID)
		}
		if len(some) < 100 {
			break
		}
	}
	n, failed := 0, false
	for _, id := range ids {
		if err := do(id); err != nil {
			fmt.Fprintln(t.err, "serverurl:", explain(err, id))
			failed = true
			continue
		}
		n++
	}
	fmt.Fprintf(t.out, "%d %s\n", n, done)
	if failed {
		return errFailed
	}
	return nil
}

// quarantineRetry puts bodies into the inbox. The backend delivers them.
type quarantineRetry struct {
	bodies
	storeFlags
	actorFlags
}

func (*quarantineRetry) Help() string {
	return `A body that this version of serverurl can decode becomes an event of the time at
which it was received, and leaves quarantine. The backend on the same store
delivers it, now or when it starts. On AWS --store needs the queue.

Examples:
  serverurl quarantine retry 9f86d081884c7d659a2feaa0c55ad015 --actor riley
  serverurl quarantine retry --all`
}

func (c *quarantineRetry) Run(ctx context.Context, t *terminal) error {
	l, err := c.location()
	if err != nil {
		return err
	}
	if l.table != "" && l.queue == "" {
		return usageError{errors.New("on AWS --store needs the queue: aws://TABLE?queue=URL, the stack's output QueueURL")}
	}
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	return c.each(ctx, t, b, "retried", func(id string) error {
		return core.RetryQuarantined(ctx, b.store, b.inbox, id, c.actor())
	})
}

// quarantineDelete gives up bodies.
type quarantineDelete struct {
	bodies
	storeFlags
	actorFlags
}

func (*quarantineDelete) Help() string {
	return `The body is lost for good. The audit log keeps the reason why it was there.

Examples:
  serverurl quarantine delete 9f86d081884c7d659a2feaa0c55ad015 --actor riley
  serverurl quarantine delete --all`
}

func (c *quarantineDelete) Run(ctx context.Context, t *terminal) error {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	return c.each(ctx, t, b, "deleted", func(id string) error {
		return calls.DeleteQuarantined(ctx, b.store, id, c.actor())
	})
}
