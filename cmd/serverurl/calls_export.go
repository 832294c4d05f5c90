package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// callsExport writes what a data subject may ask for.
type callsExport struct {
	ID string `arg:"" help:"The call."`
	storeFlags
	actorFlags
	Out string `help:"The file to write, for this user only. Default: stdout." placeholder:"FILE" type:"path"`
}

func (*callsExport) Help() string {
	return `Writes what people said: the conversation, every event as it arrived (masked),
the report, the tools, the dead letters, and the call's entries of the audit log.
The export is itself an entry there.

Examples:
  serverurl calls export CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --out call.json`
}

// exportJSON is a call with its dead letters, which are not in the store.
type exportJSON struct {
	calls.ExportedCall
	DeadLetters []deadLetterJSON `json:"deadLetters"`
}

func (c *callsExport) Run(ctx context.Context, t *terminal) error {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	id := event.CallID(c.ID)
	e, err := calls.Export(ctx, b.store, id)
	if err != nil {
		return explain(err, c.ID)
	}
	all := exportJSON{e, []deadLetterJSON{}}
	letters, err := deadLettersOf(ctx, b, id)
	if err != nil {
		return err
	}
	for _, d := range letters {
		all.DeadLetters = append(all.DeadLetters, newDeadLetterJSON(d, nil, true))
	}
	if err := calls.WriteAudit(ctx, b.store, calls.AuditEntry{Actor: c.actor(), Action: calls.AuditExport, Call: calls.AuditCallRef(id)}); err != nil {
		return err
	}
	if c.Out == "" {
		return writeJSON(t, all)
	}
	// It never overwrites: an export of another call may be what is there.
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write %s: name a file that does not exist yet", c.Out)
	}
	err = json.MarshalWrite(f, all, jsontext.WithIndent("  "))
	if _, err2 := io.WriteString(f, "\n"); err == nil {
		err = err2
	}
	return errors.Join(err, f.Close())
}

// deadLettersOf returns the dead letters of a call.
func deadLettersOf(ctx context.Context, b *backend, id event.CallID) (of []core.DeadLetter, err error) {
	if b.dlq == nil {
		return nil, nil
	}
	letters, err := b.dlq.List(ctx, 10_000)
	for _, d := range letters {
		if d.HasCall(id) {
			of = append(of, d)
		}
	}
	return of, err
}
