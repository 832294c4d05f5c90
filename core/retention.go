package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A Retention is how long each class of what is kept stays; zero is for ever.
// A call's time counts from the last that was heard of it, after it has ended.
// A call that goes on, one whose handlers are not done, and one that is held
// (see [HoldCall]) stay. Tool records without a call end by themselves.
type Retention struct {
	Content    time.Duration // what was said and sent, and what tools were asked and answered
	Calls      time.Duration // all the rest of a call
	Quarantine time.Duration // bodies that could not be understood
	Dead       time.Duration // events that could not be delivered, where the inbox leaves that to us
	Audit      time.Duration // the journal of what people did
}

// ParseRetention reads "content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y":
// d is days, y is 365 days, h hours; a class that is not named stays for ever.
func ParseRetention(text string) (Retention, error) {
	var r Retention
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, long, _ := strings.Cut(part, "=")
		to, ok := map[string]*time.Duration{"content": &r.Content, "calls": &r.Calls, "quarantine": &r.Quarantine, "dead": &r.Dead, "audit": &r.Audit}[name]
		if !ok {
			return r, fmt.Errorf("core: retention has no class %q; there are content, calls, quarantine, dead and audit", name)
		}
		unit := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'y': 365 * 24 * time.Hour}
		var u time.Duration
		if long != "" {
			u = unit[long[len(long)-1]]
		}
		n, err := strconv.Atoi(strings.TrimRight(long, "hdy"))
		if err != nil || n <= 0 || u == 0 || n > 100_000 {
			return r, fmt.Errorf("core: retention of %s: want a number and h, d or y, such as 90d", name)
		}
		*to = time.Duration(n) * u
	}
	if r.Content > 0 && r.Calls > 0 && r.Content > r.Calls {
		return r, errors.New("core: retention: content cannot stay longer than its call")
	}
	return r, nil
}

const (
	// retainEvery is the pause after all was looked at, retainAtOnce how many
	// calls one sweep looks at, retainTime how long it may take for that.
	retainEvery  = time.Hour
	retainAtOnce = 500
	retainTime   = 20 * time.Second

	// goneAgain is when a deleted call is deleted once more: what was on its way
	// is there by then.
	goneAgain = 10 * time.Minute
)

// retainKey is the record of how far retention has come.
const retainKey = "retention/at"

type retainState struct {
	Next  time.Time `json:"next"`  // nobody goes on before
	After string    `json:"after"` // the call to go on from
}

// retain deletes what has been kept for long enough, some of it in each sweep.
func (p *Processor) retain(ctx context.Context) error {
	recs, err := p.on.Store.Get(ctx, retainKey)
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
	mark := func(rec Record, s retainState) error {
		value, err := json.Marshal(s)
		if err != nil {
			return errors.New("core: a time cannot be encoded")
		}
		return p.on.Store.Commit(ctx, Record{Key: retainKey, Value: value, Version: rec.Version})
	}
	// Nobody else meanwhile.
	if err := mark(recs[0], retainState{Next: now.Add(2 * retainTime), After: s.After}); err != nil {
		if errors.Is(err, ErrStale) {
			return nil
		}
		return err
	}
	after, failed := p.retainSome(ctx, s.After, now)
	if recs, err = p.on.Store.Get(ctx, retainKey); err != nil {
		return errors.Join(failed, err)
	}
	next := now
	if after == "" {
		next = now.Add(retainEvery)
	}
	if err := mark(recs[0], retainState{Next: next, After: after}); err != nil && !errors.Is(err, ErrStale) {
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
		if err := p.retainRest(ctx, now); err != nil {
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
		recs, err := p.on.Store.Range(ctx, recentDir, after, 100)
		if err != nil {
			return after, errors.Join(append(errs, err)...)
		}
		for _, r := range recs {
			if err := p.retainCall(ctx, CallID(r.Value), now); err != nil && !errors.Is(err, ErrHeld) && !errors.Is(err, ErrNoCall) {
				if ctx.Err() != nil {
					return after, errors.Join(append(errs, err)...)
				}
				errs = append(errs, err)
			}
			_, after, _ = SplitKey(r.Key)
		}
		if len(recs) < 100 {
			return "", errors.Join(errs...)
		}
	}
	return after, errors.Join(errs...)
}

func (p *Processor) retainCall(ctx context.Context, id CallID, now time.Time) error {
	old := func(s callState, keep time.Duration) bool {
		return keep > 0 && s.Ended != nil && len(s.Pending) == 0 && now.Sub(s.Last) >= keep
	}
	recs, err := p.on.Store.Get(ctx, callKey(id), holdKey(id))
	if err != nil || recs[0].Version == 0 || recs[1].Version != 0 {
		return err
	}
	s, err := decodeState(recs[0])
	keep := p.on.Retention
	switch {
	case err != nil:
		return err
	case old(s, keep.Calls):
		p.log.Info("call deleted", "call", p.tag(id), "age", now.Sub(s.Last))
		return deleteCall(ctx, p.on.Store, id, now, func(s callState) bool { return old(s, keep.Calls) })
	case old(s, keep.Content) && !s.Emptied:
		s.Emptied = true
		value, err := encodeState(s)
		if err != nil {
			return err
		}
		// First nothing may look for it; what is cut off here is done again
		// when the call itself is deleted.
		if err := purge(ctx, p.on.Store, id); err != nil {
			return err
		}
		err = p.on.Store.Commit(ctx, Record{Key: recs[0].Key, Value: value, Version: recs[0].Version})
		if err != nil && !errors.Is(err, ErrStale) {
			return err
		}
		p.log.Info("content deleted", "call", p.tag(id), "age", now.Sub(s.Last))
	}
	return nil
}

// retainRest deletes what belongs to no call, and once more what was deleted.
func (p *Processor) retainRest(ctx context.Context, now time.Time) error {
	keep := p.on.Retention
	var errs []error
	older := func(dir string, keep time.Duration) {
		if keep > 0 {
			_, err := deleteDir(ctx, p.on.Store, dir, func(r Record) bool { return r.Age >= keep })
			errs = append(errs, err)
		}
	}
	older(quarantineDir, keep.Quarantine)
	older(quarantineDir+"/blobs", keep.Quarantine)
	older(auditDir, keep.Audit)
	if d, ok := p.on.Inbox.(interface{ DeadLetters() DeadLetters }); ok && keep.Dead > 0 && d.DeadLetters() != nil {
		errs = append(errs, dropOld(ctx, d.DeadLetters(), now.Add(-keep.Dead)))
	}
	for after := ""; ; {
		recs, err := p.on.Store.Range(ctx, goneDir, after, 100)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, r := range recs {
			_, after, _ = SplitKey(r.Key)
			if r.Age < goneAgain {
				continue
			}
			if err := purge(ctx, p.on.Store, CallID(r.Value)); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := p.on.Store.Commit(ctx, Record{Key: r.Key, Version: r.Version}); err != nil && !errors.Is(err, ErrStale) {
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
		if d.Died.IsZero() || !d.Died.Before(before) {
			continue
		}
		if err := dead.Drop(ctx, d.ID); err != nil && !errors.Is(err, ErrNotDead) {
			return err
		}
	}
	return nil
}
