package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

type deadCommand struct {
	List   deadList   `cmd:"" default:"withargs" help:"List the dead letters, without their contents."`
	Show   deadShow   `cmd:"" help:"Show one, with what it holds."`
	Replay deadReplay `cmd:"" help:"Put dead letters back into the inbox."`
	Drop   deadDrop   `cmd:"" help:"Remove dead letters for good."`
}

func (*deadCommand) Help() string {
	return `A dead letter is an event whose delivery failed as often as it may. Nothing is
lost with it: mend what failed, and replay it. What was merged is not merged
again, handlers that were done do not run again, tools do not run at all.

Examples:
  serverurl dead
  serverurl dead show 81
  serverurl dead replay --all
  serverurl dead list --table serverurl --queue https://sqs... --dead-queue https://sqs...`
}

type deadList struct {
	placeFlags
	Limit int  `help:"How many to list." default:"100" placeholder:"N"`
	JSON  bool `help:"As JSON, for other programs."`
}

// letterShown is a dead letter as other programs read it.
type letterShown struct {
	ID       string       `json:"id"`
	Reason   string       `json:"reason"`
	Attempts int          `json:"attempts"`
	Died     time.Time    `json:"died,omitzero"`
	Events   []eventShown `json:"events"`
}

type eventShown struct {
	Type     event.Type     `json:"type"`
	Call     event.CallID   `json:"call"`
	Received time.Time      `json:"received"`
	Repaired bool           `json:"repaired,omitempty"`
	Replayed int            `json:"replayed,omitempty"`
	Bytes    int            `json:"bytes"`
	Body     jsontext.Value `json:"body,omitempty"`
}

func showLetter(d core.DeadLetter, bodies bool) letterShown {
	s := letterShown{ID: d.ID, Reason: d.Reason, Attempts: d.Attempts, Died: d.DeadAt, Events: []eventShown{}}
	for _, e := range d.Envelopes {
		v := eventShown{Type: e.Type, Call: e.Call, Received: e.Received, Repaired: e.Backfilled, Replayed: e.RedriveCount, Bytes: len(e.Body)}
		if bodies {
			v.Body = e.Body
		}
		s.Events = append(s.Events, v)
	}
	return s
}

func (c *deadList) Run(ctx context.Context, t *terminal) error {
	p, err := c.openDead(ctx, false)
	if err != nil {
		return err
	}
	defer p.close()
	letters, err := p.dead.List(ctx, c.Limit)
	if err != nil {
		return err
	}
	all := struct {
		Dead []letterShown `json:"dead"`
	}{[]letterShown{}}
	for _, d := range letters {
		s := showLetter(d, false)
		all.Dead = append(all.Dead, s)
		if c.JSON {
			continue
		}
		died := "-"
		if !d.DeadAt.IsZero() {
			died = d.DeadAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t.out, "%s  %s  %2d attempts  %s\n", d.ID, died, d.Attempts, d.Reason)
		for _, e := range s.Events {
			fmt.Fprintf(t.out, "    %-20s %s  %d bytes\n", e.Type, e.Call, e.Bytes)
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	if len(letters) == 0 {
		fmt.Fprintln(t.out, "no dead letters")
	}
	return nil
}

type deadShow struct {
	ID string `arg:"" help:"The dead letter."`
	placeFlags
	asFlags
}

func (*deadShow) Help() string {
	return "Shows what people said, so mind who looks on. That it was shown is in the journal: serverurl audit."
}

func (c *deadShow) Run(ctx context.Context, t *terminal) error {
	p, err := c.openDead(ctx, false)
	if err != nil {
		return err
	}
	defer p.close()
	d, err := p.dead.Get(ctx, c.ID)
	if err != nil {
		return trouble(err, c.ID)
	}
	if err := note(ctx, p, c.who(), calls.AuditViewDeadLetter, d); err != nil {
		return err
	}
	return writeJSON(t, showLetter(d, true))
}

// note writes into the journal what is about to be done to a dead letter.
func note(ctx context.Context, p *place, who, what string, d core.DeadLetter) error {
	es := d.Envelopes
	if len(es) == 0 {
		es = []core.Envelope{{}}
	}
	for _, e := range es {
		if err := calls.WriteAudit(ctx, p.store, calls.AuditEntry{Actor: who, Action: what, Call: calls.AuditCallRef(e.Call), Detail: string(e.Type)}); err != nil {
			return err
		}
	}
	return nil
}

// someDead are dead letters that are chosen.
type someDead struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"The dead letters."`
	All  bool     `help:"All of them."`
	Call string   `help:"All of this call." placeholder:"ID"`
}

func (s someDead) choose(ctx context.Context, p *place) ([]string, error) {
	switch n := len(s.IDs); {
	case n > 0 && !s.All && s.Call == "":
		return s.IDs, nil
	case n > 0 || s.All == (s.Call != ""):
		return nil, usageError{errors.New("want ids, or --all, or --call ID")}
	}
	letters, err := p.dead.List(ctx, 10_000)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range letters {
		if s.All || d.HasCall(event.CallID(s.Call)) {
			ids = append(ids, d.ID)
		}
	}
	return ids, nil
}

type deadReplay struct {
	someDead
	placeFlags
	asFlags
}

func (*deadReplay) Help() string {
	return `The backend on the same data delivers them, now or when it starts. Each is marked
as replayed, and gets a full set of attempts.`
}

func (c *deadReplay) Run(ctx context.Context, t *terminal) error {
	return c.each(ctx, t, c.placeFlags, true, "replayed", func(p *place, id string) error {
		_, err := core.Redrive(ctx, p.store, p.inbox, p.dead, id, c.who())
		return err
	})
}

type deadDrop struct {
	someDead
	placeFlags
	asFlags
}

func (c *deadDrop) Run(ctx context.Context, t *terminal) error {
	return c.each(ctx, t, c.placeFlags, false, "dropped", func(p *place, id string) error {
		d, err := p.dead.Get(ctx, id)
		if err != nil {
			return err
		}
		if err := note(ctx, p, c.who(), calls.AuditDeleteDeadLetter, d); err != nil {
			return err
		}
		return p.dead.Delete(ctx, id)
	})
}

// each does one thing to all that are chosen. One that fails does not keep it
// from the others.
func (s someDead) each(ctx context.Context, t *terminal, f placeFlags, put bool, done string, do func(p *place, id string) error) error {
	p, err := f.openDead(ctx, put)
	if err != nil {
		return err
	}
	defer p.close()
	ids, err := s.choose(ctx, p)
	if err != nil {
		return err
	}
	n, failed := 0, false
	for _, id := range ids {
		if err := do(p, id); err != nil {
			fmt.Fprintln(t.err, "serverurl:", trouble(err, id))
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
