package core

import (
	"context"
	"errors"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A backfillRun is the backfill of one sweep, or a manual one, and how much of
// its limits is left.
type backfillRun struct {
	BackfillStats
	Backfill
	p      *Processor
	manual bool
	until  time.Time // zero: no deadline of its own
	used   map[string]*quota
}

// A quota is what was used up for one tenant, so that none uses up the others'.
type quota struct {
	requests int
	failures int // in a row
}

// start begins the backfill of a sweep.
func (r Backfill) start(p *Processor) backfiller {
	r = r.withDefaults()
	return &backfillRun{Backfill: r, p: p, until: time.Now().Add(r.Timeout), used: map[string]*quota{}}
}

// of returns what was used up for a tenant.
func (r *backfillRun) of(tenant string) *quota {
	if r.used[tenant] == nil {
		r.used[tenant] = &quota{}
	}
	return r.used[tenant]
}

// over reports whether the time of the run is.
func (r *backfillRun) over() bool { return !r.until.IsZero() && !time.Now().Before(r.until) }

// spent reports whether nothing more may be fetched for a tenant: each has an equal
// part.
func (r *backfillRun) spent(tenant string) bool {
	q := r.of(tenant)
	most := max(1, r.MaxRequests/len(r.p.tenants()))
	return r.over() || q.failures >= maxFetchFailures || !r.manual && q.requests >= most
}

// withDeadline bounds a request by the deadline of the run.
func (r *backfillRun) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.until)
}

func (r *backfillRun) overdue(ctx context.Context, s *callstate.State, recs []records.Record, now time.Time) (wait bool, err error) {
	switch r.Backfill.next(s, now) {
	case backfillEnd:
		return false, nil
	case backfillWait:
		return true, nil
	case backfillQuery:
	}
	spent := r.spent(s.Tenant)
	if spent && !s.OverdueSince.IsZero() {
		return true, nil
	}
	if ok, err := r.claim(ctx, *s, recs[0], now, !spent); !ok || spent {
		return true, err
	}
	return true, r.fetch(ctx, s.Tenant, callstate.SentID(s.Tenant, s.ID), s.Report == nil)
}

// claim marks a call as overdue and, if fetching is set, as fetched, before it
// is: so no two instances fetch at a time, and GiveUpAfter counts from the first
// mark. ok is false if another instance was faster.
func (r *backfillRun) claim(ctx context.Context, s callstate.State, rec records.Record, now time.Time, fetching bool) (ok bool, err error) {
	if s.OverdueSince.IsZero() {
		s.OverdueSince = now.UTC()
	}
	if fetching {
		s.BackfillAttempts, s.LastBackfill = s.BackfillAttempts+1, now.UTC()
	}
	value, err := callstate.EncodeState(s)
	if err != nil {
		return false, err
	}
	err = r.p.on.Store.Commit(ctx, records.Record{Key: rec.Key, Value: value, Version: rec.Version})
	if errors.Is(err, records.ErrStale) {
		return false, nil
	}
	return err == nil, err
}

// fetch fetches one call and puts what the API returns into the inbox, as the
// event that would have said it. A call that is not over is put there only if
// inProgress is set.
func (r *backfillRun) fetch(ctx context.Context, tenant string, id event.CallID, inProgress bool) error {
	r.Queried++
	q := r.of(tenant)
	q.requests++
	fetching, cancel := r.withDeadline(ctx)
	defer cancel()
	raw, err := r.Backfill.API.Get(fetching, string(id))
	if err == nil && raw == nil {
		r.NotFound++
		q.failures = 0
		return nil
	}
	if err == nil {
		raw, err = r.p.plainAnswer(raw)
	}
	if err != nil {
		r.Failed++
		q.failures++
		return err
	}
	q.failures = 0
	known := readKnown(raw)
	if owner, ok := r.Backfill.owner(known.assistant, r.p.on.Verifier.Tenants()); !ok || owner != tenant {
		// The id was sent by somebody who knows it, and need not be whose call it is.
		r.NotFound++
		r.p.log.Warn("backfill left out a call: Backfill.Assistants does not name its assistant as this tenant's", "tenant", tenant,
			"call", r.p.tag(callstate.ScopedID(tenant, id)))
		return nil
	}
	if !known.over() {
		r.InProgress++
		if !inProgress {
			return nil
		}
	}
	body, err := known.event(id)
	if err != nil {
		r.Failed++
		return err
	}
	return r.put(ctx, tenant, id, known, body)
}

// put accepts the event of a fetched call.
func (r *backfillRun) put(ctx context.Context, tenant string, id event.CallID, known knownCall, body []byte) error {
	typ, _, err := event.Peek(body)
	if err != nil {
		return errBadAnswer
	}
	now := r.p.on.Now()
	env := Envelope{ID: envelopeID(tenant, body, now), Received: now.UTC(), Type: typ, Tenant: tenant, Call: callstate.ScopedID(tenant, id), Backfilled: true,
		Body: r.p.on.Verifier.Redact(nil, body)}
	if err := r.p.on.Inbox.Put(ctx, env); err != nil {
		return err
	}
	if known.over() {
		r.Recovered++
	}
	r.p.log.Info("call backfilled", "call", r.p.tag(env.Call), "status", string(known.status), "bytes", len(body))
	return nil
}

// plainAnswer returns a response of the API as a request's body would be read.
func (p *Processor) plainAnswer(raw []byte) ([]byte, error) {
	if len(raw) > p.on.Limits.MaxBodyBytes {
		return nil, errBadAnswer
	}
	plain, err := p.on.Limits.normalize(raw)
	if err != nil {
		return nil, errBadAnswer
	}
	return plain, nil
}

func (r *backfillRun) log() {
	if r.Queried+r.Listed > 0 {
		r.p.log.Info("backfill finished", "calls", r.Listed, "count", r.Recovered, "asked", r.Queried, "failed", r.Failed, "unknown", r.NotFound)
	}
}
