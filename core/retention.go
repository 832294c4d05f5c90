package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

const (
	// retainEvery is the pause after all was looked at, retainAtOnce how many
	// calls one sweep looks at, retainTime how long it may take for that.
	retainEvery  = time.Hour
	retainAtOnce = 500
	retainTime   = 20 * time.Second

	// repurgeAfter is when a deleted call is deleted once more: what was on its way
	// is there by then.
	repurgeAfter = 10 * time.Minute
)

type retainState struct {
	Next  time.Time `json:"next"`  // nobody goes on before
	After string    `json:"after"` // the call to go on from
}

// retain deletes what has been kept for long enough, some of it in each sweep.
func (p *Processor) retain(ctx context.Context) error {
	recs, err := p.on.Store.Get(ctx, callstate.RetainKey)
	if err != nil {
		return err
	}
	var s retainState
	if recs[0].Version != 0 && json.Unmarshal(recs[0].Value, &s) != nil {
		s = retainState{}
	}
	now := p.on.Now().UTC()
	if now.Before(s.Next) {
		return nil
	}
	mark := func(rec records.Record, s retainState) error {
		value, err := json.Marshal(s)
		if err != nil {
			return errors.New("core: a time cannot be encoded")
		}
		return p.on.Store.Commit(ctx, records.Record{Key: callstate.RetainKey, Value: value, Version: rec.Version})
	}
	// Nobody else meanwhile.
	if err := mark(recs[0], retainState{Next: now.Add(2 * retainTime), After: s.After}); err != nil {
		if errors.Is(err, records.ErrStale) {
			return nil
		}
		return err
	}
	after, failed := p.retainSome(ctx, s.After, now)
	if recs, err = p.on.Store.Get(ctx, callstate.RetainKey); err != nil {
		return errors.Join(failed, err)
	}
	next := now
	if after == "" {
		next = now.Add(retainEvery)
	}
	if err := mark(recs[0], retainState{Next: next, After: after}); err != nil && !errors.Is(err, records.ErrStale) {
		failed = errors.Join(failed, err)
	}
	return failed
}

// retainSome looks at some calls and, at the start of a round, at the rest. It
// returns where to go on, "" after the last.
func (p *Processor) retainSome(ctx context.Context, after string, now time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, retainTime)
	defer cancel()
	keep := p.on.Retention
	if after == "" {
		if err := p.purgeUnowned(ctx, now); err != nil {
			return "", err
		}
	}
	least := cmp.Or(keep.Content, keep.Calls)
	if least == 0 {
		return "", nil
	}
	if after == "" {
		// The list is newest first: what began later than this is too young.
		after = fmt.Sprintf("%013d", max(0, 9_999_999_999_999-now.Add(-least).UnixMilli()))
	}
	var errs []error
	for range retainAtOnce / 100 {
		recs, err := p.on.Store.Range(ctx, callstate.RecentDir, after, 100)
		if err != nil {
			return after, errors.Join(append(errs, err)...)
		}
		for _, r := range recs {
			if err := p.retainCall(ctx, event.CallID(r.Value), now); err != nil && !errors.Is(err, callstate.ErrOnHold) && !errors.Is(err, callstate.ErrNotFound) {
				if ctx.Err() != nil {
					return after, errors.Join(append(errs, err)...)
				}
				errs = append(errs, err)
			}
			_, after, _ = records.SplitKey(r.Key)
		}
		if len(recs) < 100 {
			return "", errors.Join(errs...)
		}
	}
	return after, errors.Join(errs...)
}

func (p *Processor) retainCall(ctx context.Context, id event.CallID, now time.Time) error {
	old := func(s callstate.State, keep time.Duration) bool {
		return keep > 0 && s.Ended != nil && len(s.Pending) == 0 && now.Sub(s.LastSeen) >= keep
	}
	recs, err := p.on.Store.Get(ctx, callstate.CallKey(id), callstate.HoldKey(id))
	if err != nil || recs[0].Version == 0 || recs[1].Version != 0 {
		return err
	}
	s, err := callstate.DecodeState(recs[0])
	keep := p.on.Retention
	switch {
	case err != nil:
		return err
	case old(s, keep.Calls):
		p.log.Info("call deleted", "call", p.tag(id), "age", now.Sub(s.LastSeen))
		return callstate.Delete(ctx, p.on.Store, id, now, func(s callstate.State) bool { return old(s, keep.Calls) })
	case old(s, keep.Content) && !s.ContentPurged:
		s.ContentPurged = true
		value, err := callstate.EncodeState(s)
		if err != nil {
			return err
		}
		// First nothing may look for it; what is cut off here is done again
		// when the call itself is deleted.
		if err := callstate.Purge(ctx, p.on.Store, id); err != nil {
			return err
		}
		err = p.on.Store.Commit(ctx, records.Record{Key: recs[0].Key, Value: value, Version: recs[0].Version})
		if err != nil && !errors.Is(err, records.ErrStale) {
			return err
		}
		p.log.Info("content deleted", "call", p.tag(id), "age", now.Sub(s.LastSeen))
	}
	return nil
}

// purgeUnowned deletes what belongs to no call, and once more what was deleted.
func (p *Processor) purgeUnowned(ctx context.Context, now time.Time) error {
	keep := p.on.Retention
	var errs []error
	older := func(dir string, keep time.Duration) {
		if keep > 0 {
			_, err := callstate.DeleteDir(ctx, p.on.Store, dir, func(r records.Record) bool { return r.Age >= keep })
			errs = append(errs, err)
		}
	}
	older(callstate.QuarantineDir, keep.Quarantine)
	older(callstate.QuarantineDir+"/blobs", keep.Quarantine)
	older(callstate.AuditDir, keep.Audit)
	if d, ok := p.on.Inbox.(interface{ DeadLetters() DeadLetters }); ok && keep.DeadLetters > 0 && d.DeadLetters() != nil {
		errs = append(errs, dropOld(ctx, d.DeadLetters(), now.Add(-keep.DeadLetters)))
	}
	for after := ""; ; {
		recs, err := p.on.Store.Range(ctx, callstate.DeletedDir, after, 100)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			if r.Age < repurgeAfter {
				continue
			}
			if err := callstate.Purge(ctx, p.on.Store, event.CallID(r.Value)); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := p.on.Store.Commit(ctx, records.Record{Key: r.Key, Version: r.Version}); err != nil && !errors.Is(err, records.ErrStale) {
				errs = append(errs, err)
			}
		}
		if len(recs) < 100 {
			return errors.Join(errs...)
		}
	}
}

// dropOld drops the dead letters that died before a time.
func dropOld(ctx context.Context, dead DeadLetters, before time.Time) error {
	letters, err := dead.List(ctx, 10_000)
	if err != nil {
		return err
	}
	for _, d := range letters {
		if d.DeadAt.IsZero() || !d.DeadAt.Before(before) {
			continue
		}
		if err := dead.Delete(ctx, d.ID); err != nil && !errors.Is(err, ErrDeadLetterNotFound) {
			return err
		}
	}
	return nil
}
