package main

import (
	"context"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// auditCommand prints the audit log, oldest entry first.
type auditCommand struct {
	storeFlags
	Call string `help:"Only the entries of this call." placeholder:"ID"`
	JSON bool   `help:"As JSON, for other programs."`
}

func (*auditCommand) Help() string {
	return `Shows who did what to stored calls with this command line or the page: dead
letters that were shown, redriven or deleted, bodies in quarantine that were
shown, retried or deleted, calls that were exported, deleted, held or released. A call is named by a digest of its id, so that the entry may
outlive the call.

Examples:
  serverurl audit
  serverurl audit --call CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --json`
}

func (c *auditCommand) Run(ctx context.Context, t *terminal) error {
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	all := struct {
		Audit []calls.AuditEntry `json:"audit"`
	}{[]calls.AuditEntry{}}
	for after := ""; ; {
		entries, next, err := calls.ReadAudit(ctx, r.store, after, 500)
		if err != nil {
			return err
		}
		for _, a := range entries {
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
