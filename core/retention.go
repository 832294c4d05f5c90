package core

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

const (
	// retainInterval is the pause between two passes over all calls. A pass is
	// spread over several sweeps: each takes up to maxRetainCalls calls and
	// maxRetainTime, so that it does not delay the sweep's other work.
	retainInterval = time.Hour
	maxRetainCalls = 500
	maxRetainTime  = 20 * time.Second

	// repurgeAfter is when a deleted call is purged once more: what was being
	// written at the time of the deletion is there by then.
	repurgeAfter = 10 * time.Minute
)

// A retentionCursor is how far a pass has come. It is one record, which also
// keeps other instances out: a lease.
type retentionCursor struct {
	Next  time.Time `json:"next"`  // no instance continues before
	After string    `json:"after"` // position in the list of calls
}

// retain deletes what has been stored for long enough, a part of it in each
// sweep.
func (p *Processor) retain(ctx context.Context) error {
	recs, err := p.on.Store.Get(ctx, callstate.RetentionKey)
	if err != nil {
		return err
	}
	var s retentionCursor
	if recs[0].Version != 0 && json.Unmarshal(recs[0].Value, &s) != nil {
		s = retentionCursor{}
	}
	now := p.on.Now().UTC()
	if now.Before(s.Next) {
		return nil
	}
	if err := p.saveCursor(ctx, recs[0], retentionCursor{Next: now.Add(2 * maxRetainTime), After: s.After}); err != nil {
		if errors.Is(err, records.ErrStale) {
			return nil // another instance does it
		}
		return err
	}
	after, failed := p.retainSome(ctx, s.After, now)
	if recs, err = p.on.Store.Get(ctx, callstate.RetentionKey); err != nil {
		return errors.Join(failed, err)
	}
	next := now
	if after == "" {
		next = now.Add(retainInterval)
	}
	if err := p.saveCursor(ctx, recs[0], retentionCursor{Next: next, After: after}); err != nil && !errors.Is(err, records.ErrStale) {
		failed = errors.Join(failed, err)
	}
	return failed
}

func (p *Processor) saveCursor(ctx context.Context, rec records.Record, s retentionCursor) error {
	value, err := json.Marshal(s)
	if err != nil {
		return errors.New("core: retention cursor encoding failed")
	}
	return p.on.Store.Commit(ctx, records.Record{Key: rec.Key, Value: value, Version: rec.Version})
}

// retainSome continues a pass over the calls after a position, and returns the
// position to continue from, "" after the last. At the start of a pass it
// deletes what belongs to no call.
func (p *Processor) retainSome(ctx context.Context, after string, now time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxRetainTime)
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
		// The list is newest first: calls that began later are too young.
		after = callstate.NewestFirst(now.Add(-least))
	}
	var errs []error
	for range maxRetainCalls / 100 {
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

// retainCall deletes a call, or its content, if it is old enough.
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
		s.ContentPurged, s.About = true, s.About.WithoutContent()
		value, err := callstate.EncodeState(s)
		if err != nil {
			return err
		}
		// The mark comes last, so that a purge that is cut off is repeated.
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

// purgeUnowned deletes what belongs to no call: the directories whose class has
// a retention of its own, and dead letters. It also purges deleted calls once
// more.
func (p *Processor) purgeUnowned(ctx context.Context, now time.Time) error {
	keep := p.on.Retention
	var errs []error
	byClass := map[callstate.Class]time.Duration{callstate.ClassQuarantine: keep.Quarantine, callstate.ClassAudit: keep.Audit}
	for _, d := range callstate.Directories {
		if age := byClass[d.Class]; age > 0 {
			errs = append(errs, callstate.DeleteDir(ctx, p.on.Store, d.Path, "", func(r records.Record) bool { return r.Age >= age }))
		}
	}
	if keep.Content > 0 {
		errs = append(errs, callstate.DeleteDir(ctx, p.on.Store, callstate.RequestsDir, callstate.RequestsBefore(now.Add(-keep.Content)), isAnonymousRequest))
	}
	if d, ok := p.on.Inbox.(interface{ DeadLetters() DeadLetters }); ok && keep.DeadLetters > 0 && d.DeadLetters() != nil {
		errs = append(errs, deleteOldDeadLetters(ctx, d.DeadLetters(), now.Add(-keep.DeadLetters)))
	}
	return errors.Join(append(errs, p.repurge(ctx))...)
}

// isAnonymousRequest reports whether a recorded tool request names no call.
// Those that do are content of their call.
func isAnonymousRequest(r records.Record) bool {
	var request struct {
		Call event.CallID `json:"call"`
	}
	return json.Unmarshal(r.Value, &request) == nil && request.Call == ""
}

// repurge purges the calls once more that were deleted a while ago.
func (p *Processor) repurge(ctx context.Context) error {
	var errs []error
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

// maxDeadLetters is how many dead letters one pass looks at. There is no need to
// continue: each of them is an incident that an operator has to clear.
const maxDeadLetters = 10_000

// deleteOldDeadLetters deletes dead letters that died before a time.
func deleteOldDeadLetters(ctx context.Context, dead DeadLetters, before time.Time) error {
	letters, err := dead.List(ctx, maxDeadLetters)
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
