package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// dlqCommand has the commands about dead letters, on every inbox that can list them.
type dlqCommand struct {
	List    dlqList    `cmd:"" default:"withargs" help:"List the dead letters, without their contents."`
	Show    dlqShow    `cmd:"" help:"Show a dead letter with its contents."`
	Redrive dlqRedrive `cmd:"" help:"Put dead letters back into the inbox."`
	Delete  dlqDelete  `cmd:"" help:"Delete dead letters."`
}

func (*dlqCommand) Help() string {
	return `A dead letter is an event whose delivery failed in every attempt. It is not lost:
fix the cause, and redrive it. What was merged is not merged again, handlers that
succeeded do not run again, and no tool runs.

Examples:
  serverurl dlq
  serverurl dlq show 81
  serverurl dlq redrive --all
  serverurl dlq --store "aws://serverurl-calls?queue=https://sqs.us-east-1.amazonaws.com/123456789012/events&dlq=https://sqs.us-east-1.amazonaws.com/123456789012/dead"`
}

// dlqList prints what can be shown without reading what people said, so that it
// needs no entry in the audit log.
type dlqList struct {
	storeFlags
	tagFlags
	Limit int  `help:"How many to list." default:"100" placeholder:"N"`
	JSON  bool `help:"As JSON, for other programs."`
}

func (*dlqList) Help() string {
	return `Examples:
  serverurl dlq list --json
  serverurl dlq list --store gcp://desk-production`
}

// deadLetterJSON is a dead letter, as other programs read it.
type deadLetterJSON struct {
	ID       string          `json:"id"`
	Reason   string          `json:"reason"`
	Attempts int             `json:"attempts"`
	DeadAt   time.Time       `json:"deadAt,omitzero"`
	Events   []deadEventJSON `json:"events"`
}

// deadEventJSON is an event of a dead letter; its body is masked and only in dlq show.
type deadEventJSON struct {
	Type       event.Type     `json:"type"`
	Call       event.CallID   `json:"call"`
	Tags       []string       `json:"tags,omitempty"` // of the call in the log; none if no secret is known
	Received   time.Time      `json:"received"`
	Backfilled bool           `json:"backfilled,omitempty"`
	Redriven   int            `json:"redriven,omitempty"`
	Bytes      int            `json:"bytes"`
	Body       jsontext.Value `json:"body,omitempty"`
}

func newDeadLetterJSON(d core.DeadLetter, tags *tagKeys, bodies bool) deadLetterJSON {
	s := deadLetterJSON{ID: d.ID, Reason: d.Reason, Attempts: d.Attempts, DeadAt: d.DeadAt, Events: []deadEventJSON{}}
	for _, e := range d.Envelopes {
		v := deadEventJSON{Type: e.Type, Call: e.Call, Tags: tags.of(e.Call), Received: e.Received, Backfilled: e.Backfilled, Redriven: e.RedriveCount, Bytes: len(e.Body)}
		if bodies {
			v.Body = e.Body
		}
		s.Events = append(s.Events, v)
	}
	return s
}

func (c *dlqList) Run(ctx context.Context, t *terminal) error {
	tags, err := c.tagKeys()
	if err != nil {
		return err
	}
	b, err := c.openDLQ(ctx, false)
	if err != nil {
		return err
	}
	defer b.close()
	found, err := b.dlq.List(ctx, c.Limit)
	if err != nil {
		return err
	}
	all := struct {
		DeadLetters []deadLetterJSON `json:"deadLetters"`
	}{[]deadLetterJSON{}}
	for _, d := range found {
		s := newDeadLetterJSON(d, tags, false)
		all.DeadLetters = append(all.DeadLetters, s)
		if c.JSON {
			continue
		}
		deadAt := "-" // SQS and Pub/Sub do not report it
		if !d.DeadAt.IsZero() {
			deadAt = d.DeadAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t.out, "%s  %s  %2d attempts  %s\n", d.ID, deadAt, d.Attempts, d.Reason)
		for _, e := range s.Events {
			fmt.Fprintf(t.out, "    %-20s %s  %d bytes", e.Type, e.Call, e.Bytes)
			if len(e.Tags) > 0 {
				fmt.Fprintf(t.out, "  in the log: %s", strings.Join(e.Tags, ", "))
			}
			fmt.Fprintln(t.out)
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	if len(found) == 0 {
		fmt.Fprintln(t.out, "no dead letters")
	}
	return nil
}

// dlqShow prints a dead letter with what people said.
type dlqShow struct {
	ID string `arg:"" help:"The dead letter."`
	storeFlags
	tagFlags
	actorFlags
}

func (*dlqShow) Help() string {
	return `Shows what people said: mind who can see your screen. That it was shown is an
entry of the audit log.

Examples:
  serverurl dlq show 81 --actor riley`
}

func (c *dlqShow) Run(ctx context.Context, t *terminal) error {
	tags, err := c.tagKeys()
	if err != nil {
		return err
	}
	b, err := c.openDLQ(ctx, false)
	if err != nil {
		return err
	}
	defer b.close()
	d, err := b.dlq.Get(ctx, c.ID)
	if err != nil {
		return explain(err, c.ID)
	}
	if err := writeAudit(ctx, b, c.actor(), calls.AuditViewDeadLetter, d); err != nil {
		return err
	}
	return writeJSON(t, newDeadLetterJSON(d, tags, true))
}

// writeAudit writes into the audit log what is about to be done to a dead letter,
// before it is done: one that cannot be written down does not happen.
func writeAudit(ctx context.Context, b *backend, actor, action string, d core.DeadLetter) error {
	es := d.Envelopes
	if len(es) == 0 {
		es = []core.Envelope{{}}
	}
	for _, e := range es {
		if err := calls.WriteAudit(ctx, b.store, calls.AuditEntry{Actor: actor, Action: action, Call: calls.AuditCallRef(e.Call), Detail: string(e.Type)}); err != nil {
			return err
		}
	}
	return nil
}

// A selection names dead letters, in one of three ways.
type selection struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"The dead letters."`
	All  bool     `help:"All of them."`
	Call string   `help:"All of a call." placeholder:"ID"`
}

// ids returns the selected dead letters. Exactly one way is allowed: with two, an
// operator could delete more than was meant.
func (s selection) ids(ctx context.Context, b *backend) ([]string, error) {
	switch n := len(s.IDs); {
	case n > 0 && !s.All && s.Call == "":
		return s.IDs, nil
	case n > 0 || s.All == (s.Call != ""):
		return nil, usageError{errors.New("name dead letters by id, or --all, or --call ID")}
	}
	found, err := b.dlq.List(ctx, 10_000)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range found {
		if s.All || d.HasCall(event.CallID(s.Call)) {
			ids = append(ids, d.ID)
		}
	}
	return ids, nil
}

// dlqRedrive puts dead letters back. The backend delivers them: handlers are not here.
type dlqRedrive struct {
	selection
	storeFlags
	actorFlags
}

func (*dlqRedrive) Help() string {
	return `The backend on the same store delivers them, now or when it starts. Each is marked
as redriven, and gets a full set of attempts.

Examples:
  serverurl dlq redrive 81 82
  serverurl dlq redrive --call CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --actor riley
  serverurl dlq redrive --all`
}

func (c *dlqRedrive) Run(ctx context.Context, t *terminal) error {
	return c.each(ctx, t, c.storeFlags, true, "redriven", func(b *backend, id string) error {
		_, err := core.Redrive(ctx, b.store, b.inbox, b.dlq, id, c.actor())
		return err
	})
}

// dlqDelete gives up dead letters.
type dlqDelete struct {
	selection
	storeFlags
	actorFlags
}

func (*dlqDelete) Help() string {
	return `The event is lost for good. The audit log keeps its type.

Examples:
  serverurl dlq delete 81 --actor riley
  serverurl dlq delete --call CA7c0f3b9e51d24a86b3f0a91d6e2c4478`
}

func (c *dlqDelete) Run(ctx context.Context, t *terminal) error {
	return c.each(ctx, t, c.storeFlags, false, "deleted", func(b *backend, id string) error {
		d, err := b.dlq.Get(ctx, id)
		if err != nil {
			return err
		}
		if err := writeAudit(ctx, b, c.actor(), calls.AuditDeleteDeadLetter, d); err != nil {
			return err
		}
		return b.dlq.Delete(ctx, id)
	})
}

// each calls do for all selected dead letters. If one fails, the others are
// still done: an operator should not have to retry them one by one.
func (s selection) each(ctx context.Context, t *terminal, f storeFlags, put bool, done string, do func(b *backend, id string) error) error {
	b, err := f.openDLQ(ctx, put)
	if err != nil {
		return err
	}
	defer b.close()
	ids, err := s.ids(ctx, b)
	if err != nil {
		return err
	}
	n, failed := 0, false
	for _, id := range ids {
		if err := do(b, id); err != nil {
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
