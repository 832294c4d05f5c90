package core

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// What quarantine holds of a tenant at most. Nothing ends up there in ordinary operation, so
// these leave days to look at what a change of the sender's has caused. If it is
// full, the oldest are deleted: they were there to be seen for the longest time,
// and a new kind of body is what the operator does not know yet.
const (
	maxQuarantined      = 1000
	maxQuarantinedBytes = 64 << 20
)

// ErrStillUnreadable is returned for a quarantined body that this program cannot
// decode as an event either.
var ErrStillUnreadable = errors.New("core: the quarantined body is not an event that can be accepted")

// quarantine stores a body under its own hash, so that a repeated one changes
// nothing.
func (p *Processor) quarantine(ctx context.Context, q calls.QuarantinedBody) error {
	sum := sha256.Sum256(q.Body)
	q.ID, q.Received, q.TriedBy = hex.EncodeToString(sum[:16]), q.Received.UTC(), program()
	if q.Tenant != "" { // the same body of another tenant is another one
		q.ID = callstate.Digest("quarantine", q.Tenant, q.ID)[:32]
	}
	q.Body = p.on.Verifier.Redact(nil, q.Body)
	if !wordsPattern.MatchString(q.Encoding) { // as sent, and shown to operators
		q.Encoding = ""
	}
	if err := callstate.PutQuarantined(ctx, p.on.Store, q); err != nil {
		p.log.Log(ctx, p.outage.Level(p.on.Now(), err, records.ErrStale), "quarantine write failed", "reason", err, "bytes", len(q.Body))
		return fmt.Errorf("core: quarantine: %w", err)
	}
	return nil
}

// readerVersion is increased when bodies are read that were not before. Builds
// without version control have no other sign of it.
const readerVersion = 2

// program returns a digest of the running program. Another build may decode what
// this one cannot.
var program = sync.OnceValue(func() string {
	build := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.String()
	}
	return callstate.Digest("program", fmt.Sprint(readerVersion), build)[:16]
})

// RetryQuarantined puts a quarantined body into the inbox as an event of the time
// at which it was received, and deletes it from quarantine. It returns
// [ErrStillUnreadable] if this program cannot decode it either, and
// [calls.ErrNotQuarantined] if there is no such body. Before it does anything it
// writes to the audit log that actor did so. If it is cut off, the event is
// delivered twice, which changes nothing.
func RetryQuarantined(ctx context.Context, s records.Store, in Inbox, id, actor string) error {
	return retryQuarantined(ctx, s, in, Limits{}, &auth.Verifier{}, id, actor)
}

func retryQuarantined(ctx context.Context, s records.Store, in Inbox, l Limits, v *auth.Verifier, id, actor string) error {
	q, err := callstate.GetQuarantined(ctx, s, id)
	if err != nil {
		return err
	}
	body, err := l.open(q.Encoding, q.Body)
	if err != nil {
		return ErrStillUnreadable
	}
	typ, call, err := event.Peek(body)
	if err != nil || !validID(string(call)) || kindOf(typ) == KindToolCall { // nobody waits for a tool any more
		return ErrStillUnreadable
	}
	of := callstate.ScopedID(q.Tenant, call)
	line := calls.AuditEntry{Actor: actor, Action: calls.AuditRetryQuarantine, Call: calls.AuditCallRef(of), Detail: string(typ)}
	if err := calls.WriteAudit(ctx, s, line); err != nil {
		return err
	}
	env := Envelope{ID: envelopeID(q.Tenant, body, q.Received), Received: q.Received, Type: typ, Tenant: q.Tenant, Call: of, Body: v.Redact(nil, body)}
	if err := in.Put(ctx, env); err != nil {
		return fmt.Errorf("core: retry of a quarantined body: %w", err)
	}
	if err := callstate.DeleteQuarantined(ctx, s, id); err != nil && !errors.Is(err, calls.ErrNotQuarantined) {
		return err
	}
	return nil
}

// sweepQuarantine tries what was stored by another program, and keeps quarantine
// within its bounds.
func (p *Processor) sweepQuarantine(ctx context.Context) error {
	all, err := listQuarantine(ctx, p.on.Store)
	if err != nil {
		return err
	}
	var errs []error
	kept := all[:0]
	keep, now := p.on.Retention.Quarantine, p.on.Now()
	for _, q := range all {
		accepted := false
		if keep > 0 && !q.Received.IsZero() && now.Sub(q.Received) >= keep { // its record is younger than it if it was tried since
			errs = append(errs, callstate.DeleteQuarantined(ctx, p.on.Store, q.ID))
			continue
		}
		if q.TriedBy != program() && q.Bytes > 0 { // the record of one without bytes is damaged
			accepted, err = p.retry(ctx, q)
			errs = append(errs, err)
		}
		if !accepted {
			kept = append(kept, q)
		}
	}
	return errors.Join(append(errs, p.boundQuarantine(ctx, kept))...)
}

func listQuarantine(ctx context.Context, s records.Store) (all []calls.QuarantinedBody, err error) {
	for after := ""; ; {
		some, err := callstate.ListQuarantine(ctx, s, after, 100)
		all = append(all, some...)
		if err != nil || len(some) < 100 {
			return all, err
		}
		after = some[len(some)-1].ID
	}
}

// retry tries one body, once for each program.
func (p *Processor) retry(ctx context.Context, q calls.QuarantinedBody) (accepted bool, err error) {
	err = retryQuarantined(ctx, p.on.Store, p.on.Inbox, p.on.Limits, &p.on.Verifier, q.ID, "serverurl")
	switch {
	case err == nil:
		p.log.Info("quarantined body accepted", "reason", q.Reason, "bytes", q.Bytes)
		return true, nil
	case errors.Is(err, calls.ErrNotQuarantined): // another instance was faster
		return true, nil
	case errors.Is(err, ErrStillUnreadable), errors.Is(err, callstate.ErrBadRecord):
		err = callstate.MarkQuarantined(ctx, p.on.Store, q.ID, program())
	}
	if errors.Is(err, records.ErrStale) {
		err = nil
	}
	return false, err
}

// boundQuarantine deletes the oldest bodies while there are too many.
func (p *Processor) boundQuarantine(ctx context.Context, all []calls.QuarantinedBody) error {
	slices.SortFunc(all, func(a, b calls.QuarantinedBody) int {
		return cmp.Or(b.Received.Compare(a.Received), cmp.Compare(a.ID, b.ID)) // the newest first
	})
	var errs []error
	type held struct{ bodies, bytes int }
	of, dropped := map[string]held{}, 0 // by tenant: none takes the others' space
	for _, q := range all {
		h := of[q.Tenant]
		h.bodies, h.bytes = h.bodies+1, h.bytes+q.Bytes
		if of[q.Tenant] = h; h.bodies <= maxQuarantined && h.bytes <= maxQuarantinedBytes {
			continue
		}
		if err := callstate.DeleteQuarantined(ctx, p.on.Store, q.ID); err != nil && !errors.Is(err, calls.ErrNotQuarantined) {
			errs = append(errs, err)
			continue
		}
		dropped++
	}
	if dropped > 0 {
		p.log.Error("quarantine is full", "state", "oldest deleted", "count", dropped, "limit", maxQuarantined)
	}
	return errors.Join(errs...)
}
