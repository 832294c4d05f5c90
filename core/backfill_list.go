package core

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

const (
	// listSpan is how far back calls are listed: longer than any call lasts.
	listSpan = 24 * time.Hour

	// listLease is how long other instances do not list, and so the pause after a
	// list that was not finished.
	listLease = 5 * time.Minute

	// maxListSpan is how far back calls are listed after a long downtime.
	maxListSpan = 7 * 24 * time.Hour
)

// A listCursor is the record of the last comparison. It is a lease as well.
type listCursor struct {
	Next time.Time `json:"next"` // no instance lists before
	To   time.Time `json:"to"`   // calls that started earlier were compared
}

func (r *backfillRun) listDue(ctx context.Context) error {
	if r.Backfill.API == nil || r.over() {
		return nil
	}
	recs, err := r.p.on.Store.Get(ctx, callstate.BackfillKey)
	if err != nil {
		return err
	}
	var c listCursor
	if recs[0].Version != 0 && json.Unmarshal(recs[0].Value, &c) != nil {
		c = listCursor{}
	}
	now := r.p.on.Now().UTC()
	if now.Before(c.Next) {
		return nil
	}
	// A call is listed by its start, so the last day is compared again each time.
	from := now.Add(-listSpan)
	if !c.To.IsZero() && c.To.Before(now) {
		from = now.Add(-min(now.Sub(c.To)+listSpan, maxListSpan))
	}
	if err := r.saveListCursor(ctx, recs[0].Version, listCursor{Next: now.Add(listLease), To: c.To}); err != nil {
		if errors.Is(err, records.ErrStale) {
			return nil // another instance lists
		}
		return err
	}
	if err := r.list(ctx, from, now); err != nil {
		if errors.Is(err, errNotAll) {
			return nil // the next sweep after the lease continues
		}
		return err
	}
	if recs, err = r.p.on.Store.Get(ctx, callstate.BackfillKey); err != nil {
		return err
	}
	err = r.saveListCursor(ctx, recs[0].Version, listCursor{Next: now.Add(r.Backfill.Interval), To: now})
	if errors.Is(err, records.ErrStale) {
		return nil
	}
	return err
}

func (r *backfillRun) saveListCursor(ctx context.Context, version int64, c listCursor) error {
	value, err := json.Marshal(c)
	if err != nil {
		return errors.New("core: list cursor encoding failed")
	}
	return r.p.on.Store.Commit(ctx, records.Record{Key: callstate.BackfillKey, Value: value, Version: version})
}

// list compares the calls that started in a span of time with the stored ones,
// and fetches those that are over and have no stored event or no stored report.
func (r *backfillRun) list(ctx context.Context, from, to time.Time) error {
	listed, err := r.listed(ctx, from, to)
	if err != nil {
		return err
	}
	stored, err := r.stored(ctx, listed)
	if err != nil {
		return err
	}
	quiet := r.p.on.Now().Add(-r.p.on.ReportTimeout)
	var all error
	for _, k := range r.missing(listed, stored, quiet) {
		if !k.over() {
			r.InProgress++
			continue
		}
		end := k.end
		if end.IsZero() {
			end = k.start
		}
		if end.After(quiet) {
			continue // its report may be on its way
		}
		if r.spent(k.tenant) {
			all = errNotAll // of this tenant; the others' may be fetched
			continue
		}
		_, known := stored[k.id]
		if err := r.fetchListed(ctx, k.tenant, k.id, known); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.p.log.Warn("backfill failed", "call", r.p.tag(callstate.ScopedID(k.tenant, k.id)), "reason", err)
		}
	}
	return all
}

// listed returns the calls in the API's list, without their members: the list
// of a day is held in memory.
func (r *backfillRun) listed(ctx context.Context, from, to time.Time) (listed []knownCall, err error) {
	ctx, cancel := r.withDeadline(ctx)
	defer cancel()
	for raw, err := range r.Backfill.API.List(ctx, from, to) {
		if err != nil {
			r.Failed++
			return nil, err
		}
		k := readKnown(raw)
		k.members = nil
		owner, known := r.Backfill.owner(k.assistant, r.p.on.Verifier.Tenants())
		if !validID(string(k.id)) || !known {
			continue
		}
		k.tenant = owner
		r.Listed++
		listed = append(listed, k)
	}
	return listed, nil
}

// stored returns the states of those calls that have one; of each only what
// missing looks at.
func (r *backfillRun) stored(ctx context.Context, listed []knownCall) (map[event.CallID]callstate.State, error) {
	states := map[event.CallID]callstate.State{}
	for some := range slices.Chunk(listed, records.MaxCommitRecords) {
		keys := make([]string, len(some))
		for i, k := range some {
			keys[i] = callstate.CallKey(callstate.ScopedID(k.tenant, k.id))
		}
		recs, err := r.p.on.Store.Get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		for i, rec := range recs {
			if rec.Version == 0 {
				continue
			}
			s, err := callstate.DecodeState(rec)
			if err != nil {
				return nil, err
			}
			states[some[i].id] = callstate.State{Report: s.Report, Ended: s.Ended, LastSeen: s.LastSeen, Deleted: s.Deleted}
		}
	}
	return states, nil
}

// missing returns the listed calls of this backend that have no stored event,
// or no stored report. A sweep leaves calls out that have not ended: those are
// fetched when they are overdue.
func (r *backfillRun) missing(listed []knownCall, stored map[event.CallID]callstate.State, quiet time.Time) []knownCall {
	missing := r.Backfill.claimable(listed, func(id event.CallID) bool { _, ok := stored[id]; return ok })
	for _, k := range listed {
		if s, ok := stored[k.id]; ok && s.Report == nil && !s.Deleted && (s.Ended != nil || r.manual && s.LastSeen.Before(quiet)) {
			missing = append(missing, k)
		}
	}
	return missing
}

// fetchListed fetches a call of the list. A sweep claims a known one before.
func (r *backfillRun) fetchListed(ctx context.Context, tenant string, id event.CallID, known bool) error {
	if known && !r.manual {
		recs, err := r.p.on.Store.Get(ctx, callstate.CallKey(callstate.ScopedID(tenant, id)))
		if err != nil {
			return err
		}
		s, err := callstate.DecodeState(recs[0])
		now := r.p.on.Now()
		if err != nil || s.Report != nil || s.Deleted || !mayQuery(&s, now) {
			return err
		}
		if ok, err := r.claim(ctx, s, recs[0], now, true); !ok {
			return err
		}
	}
	return r.fetch(ctx, tenant, id, false)
}
