package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// callsDelete deletes a call from the store and from the dead letters. It asks no
// question, because scripts run it too: --yes is the answer.
type callsDelete struct {
	ID string `arg:"" help:"The call."`
	storeFlags
	actorFlags
	Yes bool `help:"Confirm. There is no way back." required:""`
}

func (*callsDelete) Help() string {
	return `Deletes the events, the transcript, the records of tools, and the call's dead
letters. The id is remembered for 35 days, so that an event which arrives late
does not bring the call back. Backups, logs, and what your own code stores are
not touched.

Examples:
  serverurl calls delete CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --yes`
}

func (c *callsDelete) Run(ctx context.Context, t *terminal) error {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	id := event.CallID(c.ID)
	// Listing them first means that a queue which cannot be read leaves the call as it
	// was, and not half deleted.
	letters, err := deadLettersOf(ctx, b, id)
	if err != nil {
		return err
	}
	if err := calls.WriteAudit(ctx, b.store, calls.AuditEntry{Actor: c.actor(), Action: calls.AuditDelete, Call: calls.AuditCallRef(id)}); err != nil {
		return err
	}
	err = calls.Delete(ctx, b.store, id)
	if err != nil && !(errors.Is(err, callstate.ErrNotFound) && len(letters) > 0) {
		return explain(err, c.ID)
	}
	for _, d := range letters {
		if err := b.dlq.Delete(ctx, d.ID); err != nil && !errors.Is(err, core.ErrDeadLetterNotFound) {
			return err
		}
	}
	fmt.Fprintf(t.out, "deleted, with %d dead letters\n", len(letters))
	return nil
}

// callsHold keeps a call from deletion and retention.
type callsHold struct {
	ID string `arg:"" help:"The call."`
	storeFlags
	actorFlags
}

func (*callsHold) Help() string {
	return `A call on hold is not deleted, by no command and no retention, until it is
released.

Examples:
  serverurl calls hold CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --actor riley`
}

func (c *callsHold) Run(ctx context.Context, t *terminal) error {
	return setHold(ctx, c.storeFlags, c.ID, calls.AuditEntry{Actor: c.actor(), Action: calls.AuditHold}, calls.PlaceHold)
}

// callsRelease ends what callsHold began.
type callsRelease struct {
	ID string `arg:"" help:"The call."`
	storeFlags
	actorFlags
}

func (*callsRelease) Help() string {
	return `Examples:
  serverurl calls release CA7c0f3b9e51d24a86b3f0a91d6e2c4478 --actor riley`
}

func (c *callsRelease) Run(ctx context.Context, t *terminal) error {
	return setHold(ctx, c.storeFlags, c.ID, calls.AuditEntry{Actor: c.actor(), Action: calls.AuditReleaseHold}, calls.ReleaseHold)
}

// setHold writes the audit log first, so that nothing is done without an entry.
func setHold(ctx context.Context, f storeFlags, id string, a calls.AuditEntry, do func(context.Context, records.Store, event.CallID) error) error {
	b, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	a.Call = calls.AuditCallRef(event.CallID(id))
	if err := calls.WriteAudit(ctx, b.store, a); err != nil {
		return err
	}
	return explain(do(ctx, b.store, event.CallID(id)), id)
}
