package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// callsCommands are what can be done with calls. Listing is what calls does by
// itself.
type callsCommands struct {
	List   callsCommand `cmd:"" default:"withargs" help:"List the calls, or show all that is known of one."`
	Export callsExport  `cmd:"" help:"Write all that is kept of a call, as JSON."`
	Delete callsDelete  `cmd:"" help:"Delete all that is kept of a call."`
	Hold   callsHold    `cmd:"" help:"Keep a call from being deleted."`
	Free   callsFree    `cmd:"" help:"End a hold."`
}

func (*callsCommands) Help() string {
	return `Shows what people said, so mind who looks on.

Examples:
  serverurl calls
  serverurl calls CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --json
  serverurl calls export CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --out call.json
  serverurl calls --database-url postgres://localhost/desk`
}

type callsExport struct {
	ID string `arg:"" help:"The call."`
	placeFlags
	asFlags
	Out string `help:"The file to write, for this user only. Default: stdout." placeholder:"FILE" type:"path"`
}

func (*callsExport) Help() string {
	return `Holds what people said: the conversation, every event as it came (masked), the
report, the tools, and the journal's lines about the call.

Examples:
  serverurl calls export CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --out call.json`
}

// exported is a call with what the inbox has of it.
type exported struct {
	calls.ExportedCall
	Dead []letterShown `json:"dead"`
}

func (c *callsExport) Run(ctx context.Context, t *terminal) error {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	id := event.CallID(c.ID)
	e, err := calls.Export(ctx, p.store, id)
	if err != nil {
		return trouble(err, c.ID)
	}
	all := exported{e, []letterShown{}}
	letters, err := ofCall(ctx, p, id)
	if err != nil {
		return err
	}
	for _, d := range letters {
		all.Dead = append(all.Dead, showLetter(d, true))
	}
	if err := calls.WriteAudit(ctx, p.store, calls.AuditEntry{Actor: c.who(), Action: calls.AuditExport, Call: calls.AuditCallRef(id)}); err != nil {
		return err
	}
	if c.Out == "" {
		return writeJSON(t, all)
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write %s: name a file that is not there yet", c.Out)
	}
	err = json.MarshalWrite(f, all, jsontext.WithIndent("  "))
	if _, err2 := io.WriteString(f, "\n"); err == nil {
		err = err2
	}
	return errors.Join(err, f.Close())
}

// ofCall returns the dead letters of a call.
func ofCall(ctx context.Context, p *place, id event.CallID) (of []core.DeadLetter, err error) {
	if p.dead == nil {
		return nil, nil
	}
	letters, err := p.dead.List(ctx, 10_000)
	for _, d := range letters {
		if d.HasCall(id) {
			of = append(of, d)
		}
	}
	return of, err
}

type callsDelete struct {
	ID string `arg:"" help:"The call."`
	placeFlags
	asFlags
	Yes bool `help:"It is meant." required:""`
}

func (*callsDelete) Help() string {
	return `Deletes the events, what was said, the records of tools, and the call's dead
letters. The id is remembered for 35 days, so that an event which comes late
does not bring the call back. Backups, logs, and what the app keeps by itself are
not touched.

Examples:
  serverurl calls delete CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --yes`
}

func (c *callsDelete) Run(ctx context.Context, t *terminal) error {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	id := event.CallID(c.ID)
	// First the dead, as long as the call tells what there is.
	letters, err := ofCall(ctx, p, id)
	if err != nil {
		return err
	}
	if err := calls.WriteAudit(ctx, p.store, calls.AuditEntry{Actor: c.who(), Action: calls.AuditDelete, Call: calls.AuditCallRef(id)}); err != nil {
		return err
	}
	err = calls.Delete(ctx, p.store, id)
	if err != nil && !(errors.Is(err, callstate.ErrNotFound) && len(letters) > 0) {
		return trouble(err, c.ID)
	}
	for _, d := range letters {
		if err := p.dead.Delete(ctx, d.ID); err != nil && !errors.Is(err, core.ErrDeadLetterNotFound) {
			return err
		}
	}
	fmt.Fprintf(t.out, "deleted, with %d dead letters\n", len(letters))
	return nil
}

type callsHold struct {
	ID string `arg:"" help:"The call."`
	placeFlags
	asFlags
}

func (c *callsHold) Run(ctx context.Context, t *terminal) error {
	return heldOrFree(ctx, c.placeFlags, c.ID, calls.AuditEntry{Actor: c.who(), Action: calls.AuditHold}, calls.PlaceHold)
}

type callsFree struct {
	ID string `arg:"" help:"The call."`
	placeFlags
	asFlags
}

func (c *callsFree) Run(ctx context.Context, t *terminal) error {
	return heldOrFree(ctx, c.placeFlags, c.ID, calls.AuditEntry{Actor: c.who(), Action: calls.AuditReleaseHold}, calls.ReleaseHold)
}

func heldOrFree(ctx context.Context, f placeFlags, id string, a calls.AuditEntry, do func(context.Context, records.Store, event.CallID) error) error {
	p, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	a.Call = calls.AuditCallRef(event.CallID(id))
	if err := calls.WriteAudit(ctx, p.store, a); err != nil {
		return err
	}
	return trouble(do(ctx, p.store, event.CallID(id)), id)
}

type auditCommand struct {
	placeFlags
	Call string `help:"Only of this call." placeholder:"ID"`
	JSON bool   `help:"As JSON, for other programs."`
}

func (*auditCommand) Help() string {
	return `Shows what people did with this command line to what is kept: dead letters that
were shown, replayed or dropped, calls that were exported, deleted or held. Calls
stand under a digest of their id.`
}

func (c *auditCommand) Run(ctx context.Context, t *terminal) error {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	all := struct {
		Audit []calls.AuditEntry `json:"audit"`
	}{[]calls.AuditEntry{}}
	for after := ""; ; {
		lines, next, err := calls.ReadAudit(ctx, p.store, after, 500)
		if err != nil {
			return err
		}
		for _, a := range lines {
			if c.Call != "" && a.Call != calls.AuditCallRef(event.CallID(c.Call)) {
				continue
			}
			all.Audit = append(all.Audit, a)
			if !c.JSON {
				fmt.Fprintf(t.out, "%s  %-12s %-22s %s %s\n", a.At.Local().Format(time.DateTime), a.Actor, a.Action, a.Call, a.Detail)
			}
		}
		if after = next; after == "" {
			break
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	return nil
}
