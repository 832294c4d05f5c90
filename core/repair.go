package core

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// askPause is the pause after a call was asked for; it doubles up to
	// askLast. A little less than the minute between two sweeps, so that a
	// sweep that comes early does not miss it.
	askPause, askLast = 50 * time.Second, 8 * time.Minute

	// askLimit is how often a call is asked for in all: one that the API has
	// going on for ever ends all the same.
	askLimit = 40

	// askFailures is how many requests may fail, one after the other, until a
	// sweep asks no more.
	askFailures = 3

	// listSpan is how far back the calls are listed, listLease how long nobody
	// else lists them.
	listSpan, listLease = 24 * time.Hour, 5 * time.Minute

	// listLast is how far back is listed after a long stop.
	listLast = 7 * 24 * time.Hour
)

var errBadAnswer = errors.New("core: the API's answer is no call")

func (r Repair) withDefaults() Repair {
	r.Requests = cmp.Or(r.Requests, 200)
	r.Time = cmp.Or(r.Time, 45*time.Second)
	r.Wait = cmp.Or(r.Wait, 15*time.Minute)
	r.Every = cmp.Or(r.Every, time.Hour)
	return r
}

// Repaired counts what one look at the API came to.
type Repaired struct {
	Listed   int `json:"listed"`   // calls of the API's
	Asked    int `json:"asked"`    // asked for one by one
	Repaired int `json:"repaired"` // put into the inbox, as if they had been sent
	Unknown  int `json:"unknown"`  // not known to the API
	Going    int `json:"going"`    // not over yet
	Failed   int `json:"failed"`   // no answer that can be used
}

// A repairStep is what to do about a call that is overdue.
type repairStep int

const (
	repairEnd  repairStep = iota // nobody can be asked, or nobody knew for long enough
	repairAsk                    // ask now
	repairWait                   // asked a while ago: wait
)

// next decides about a call that is overdue.
func (r *Repair) next(s *callState, now time.Time) repairStep {
	switch {
	case r.Calls == nil || s.Asked >= askLimit || !s.Wanted.IsZero() && now.Sub(s.Wanted) >= r.Wait:
		return repairEnd
	case !mayQuery(s, now):
		return repairWait
	}
	return repairAsk
}

// mayQuery reports whether the pause after the last time is over.
func mayQuery(s *callState, now time.Time) bool {
	pause := askLast
	if s.Asked < 5 {
		pause = min(askLast, askPause<<max(0, s.Asked-1))
	}
	return s.Asked < askLimit && (s.Asked == 0 || now.Sub(s.AskedAt) >= pause)
}

// A round is what one sweep, or one repair by hand, may ask and has asked.
type round struct {
	Repaired
	Repair
	p        *Processor
	byHand   bool
	until    time.Time // zero: no end of its own
	requests int       // left; negative: no limit
	failures int       // one after the other
}

// round begins the round of a sweep.
func (r Repair) round(p *Processor) rounds {
	r = r.withDefaults()
	return &round{Repair: r, p: p, until: time.Now().Add(r.Time), requests: r.Requests}
}

// spent reports whether no more may be asked.
func (r *round) spent() bool {
	return r.requests == 0 || r.failures >= askFailures || !r.until.IsZero() && !time.Now().Before(r.until)
}

// within bounds a request by what is left of the round's time.
func (r *round) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.until)
}

// overdue asks for a call of which we have been told too little, and reports
// whether it is to go on waiting.
func (r *round) overdue(ctx context.Context, s *callState, recs []Record, now time.Time) (wait bool, err error) {
	switch r.Repair.next(s, now) {
	case repairEnd:
		return false, nil
	case repairWait:
		return true, nil
	case repairAsk:
	}
	spent := r.spent()
	if spent && !s.Wanted.IsZero() {
		return true, nil
	}
	if ok, err := r.claim(ctx, *s, recs[0], now, !spent); !ok || spent {
		return true, err
	}
	return true, r.ask(ctx, s.ID, s.Report == nil)
}

// claim writes into a call's record that it is wanted, and asked for, before
// it is: so no two instances ask at a time, and how long nobody knows is known.
func (r *round) claim(ctx context.Context, s callState, rec Record, now time.Time, asked bool) (ok bool, err error) {
	if s.Wanted.IsZero() {
		s.Wanted = now.UTC()
	}
	if asked {
		s.Asked, s.AskedAt = s.Asked+1, now.UTC()
	}
	value, err := encodeState(s)
	if err != nil {
		return false, err
	}
	err = r.p.on.Store.Commit(ctx, Record{Key: rec.Key, Value: value, Version: rec.Version})
	if errors.Is(err, ErrStale) {
		return false, nil // it moved, or another instance asks
	}
	return err == nil, err
}

// ask asks for one call and puts what is answered into the inbox, as the event
// that would have told it. goingToo says whether a call that is not over is of
// interest.
func (r *round) ask(ctx context.Context, id CallID, goingToo bool) error {
	r.Asked++
	r.requests--
	asking, cancel := r.within(ctx)
	defer cancel()
	raw, err := r.Repair.Calls.Object(asking, string(id))
	if err == nil && raw == nil {
		r.Unknown++
		r.failures = 0
		return nil
	}
	if err == nil && !r.p.sound(raw) {
		err = errBadAnswer
	}
	if err != nil {
		r.Failed++
		r.failures++
		return err
	}
	r.failures = 0
	known := readKnown(raw)
	if !known.over() {
		r.Going++
		if !goingToo {
			return nil
		}
	}
	body, err := known.event(id)
	if err != nil {
		r.Failed++
		return err
	}
	now := r.p.on.Now()
	typ, _, err := peek(body)
	if err != nil {
		return errBadAnswer
	}
	env := Envelope{ID: envelopeID(body, now), Received: now.UTC(), Type: typ, Call: id, Repaired: true,
		Body: r.p.on.Sender.Redact(nil, body)}
	if err := r.p.on.Inbox.Put(ctx, env); err != nil {
		return err
	}
	if known.over() {
		r.Repaired.Repaired++
	}
	r.p.log.Info("call repaired", "call", r.p.tag(id), "status", string(known.status), "bytes", len(body))
	return nil
}

// list compares the calls that started in a span with ours, and asks for those
// that are over and that we never heard of, or whose report we do not have.
func (r *round) list(ctx context.Context, from, to time.Time) error {
	listing, cancel := r.within(ctx)
	defer cancel()
	quiet := r.p.on.Now().Add(-r.p.on.ReportWait)
	var listed []knownCall
	for raw, err := range r.Repair.Calls.Objects(listing, from, to) {
		if err != nil {
			r.Failed++
			r.failures++
			return err
		}
		k := readKnown(raw)
		k.members = nil // a day's calls are kept in memory
		if !validID(string(k.id)) {
			continue
		}
		r.Listed++
		listed = append(listed, k)
	}
	have := map[CallID]callState{}
	for some := range slices.Chunk(listed, MaxRecords) {
		keys := make([]string, len(some))
		for i, k := range some {
			keys[i] = callKey(k.id)
		}
		recs, err := r.p.on.Store.Get(ctx, keys...)
		if err != nil {
			return err
		}
		for i, rec := range recs {
			if rec.Version == 0 {
				continue
			}
			s, err := decodeState(rec)
			if err != nil {
				return err
			}
			have[some[i].id] = callState{Report: s.Report, Ended: s.Ended, Last: s.Last, Gone: s.Gone}
		}
	}
	had := func(id CallID) bool { _, ok := have[id]; return ok }
	wanted := r.Repair.ours(listed, had)
	for _, k := range listed {
		// By a sweep, one that is open is asked for when it is overdue.
		if s, ok := have[k.id]; ok && s.Report == nil && !s.Gone && (s.Ended != nil || r.byHand && s.Last.Before(quiet)) {
			wanted = append(wanted, k)
		}
	}
	for _, k := range wanted {
		if !k.over() {
			r.Going++
			continue
		}
		end := k.end
		if end.IsZero() {
			end = k.start
		}
		if end.After(quiet) {
			continue // its report may be on the way
		}
		if r.spent() {
			return errNotAll
		}
		if err := r.listed(ctx, k.id, had(k.id)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.p.log.Warn("repair", "call", r.p.tag(k.id), "reason", err)
		}
	}
	return nil
}

// listed asks for a call of the list.
func (r *round) listed(ctx context.Context, id CallID, had bool) error {
	if had && !r.byHand {
		recs, err := r.p.on.Store.Get(ctx, callKey(id))
		if err != nil {
			return err
		}
		s, err := decodeState(recs[0])
		now := r.p.on.Now()
		if err != nil || s.Report != nil || s.Gone || !mayQuery(&s, now) {
			return err
		}
		if ok, err := r.claim(ctx, s, recs[0], now, true); !ok {
			return err
		}
	}
	return r.ask(ctx, id, false)
}

// errNotAll reports that a list is longer than what a sweep may ask for: the
// next goes on with it.
var errNotAll = errors.New("core: calls are left for the next sweep")

// listKey is the record of when the list was last compared.
const listKey = "repair/list"

type listState struct {
	Next time.Time `json:"next"` // nobody lists before
	To   time.Time `json:"to"`   // compared up to here
}

// listDue compares the list where that is due, on one instance.
func (r *round) listDue(ctx context.Context) error {
	if r.Repair.Calls == nil || r.spent() {
		return nil
	}
	recs, err := r.p.on.Store.Get(ctx, listKey)
	if err != nil {
		return err
	}
	var s listState
	if recs[0].Version != 0 && json.Unmarshal(recs[0].Value, &s) != nil {
		s = listState{}
	}
	now := r.p.on.Now().UTC()
	if now.Before(s.Next) {
		return nil
	}
	// After a long stop, what was missed meanwhile; a call is listed by its
	// start, so a day is looked at again.
	from := now.Add(-listSpan)
	if !s.To.IsZero() && s.To.Before(now) {
		from = now.Add(-min(now.Sub(s.To)+listSpan, listLast))
	}
	mark := func(version int64, s listState) error {
		value, err := json.Marshal(s)
		if err != nil {
			return errors.New("core: a time cannot be encoded")
		}
		return r.p.on.Store.Commit(ctx, Record{Key: listKey, Value: value, Version: version})
	}
	if err := mark(recs[0].Version, listState{Next: now.Add(listLease), To: s.To}); err != nil {
		if errors.Is(err, ErrStale) {
			return nil // another instance lists
		}
		return err
	}
	if err := r.list(ctx, from, now); err != nil {
		if errors.Is(err, errNotAll) {
			return nil // the lease is the pause
		}
		return err
	}
	recs, err = r.p.on.Store.Get(ctx, listKey)
	if err != nil {
		return err
	}
	if err := mark(recs[0].Version, listState{Next: now.Add(r.Repair.Every), To: now}); !errors.Is(err, ErrStale) {
		return err
	}
	return nil
}

// ErrNoCalls reports a repair where nobody can be asked.
var ErrNoCalls = errors.New("core: the platform has no Repair.Calls to ask")

// Repair asks for all calls that started in a span: those that we never heard
// of, and those whose report we do not have. What is answered is put into the
// inbox, as if it had been sent, and marked as repaired; the inbox delivers it.
// It may run beside Sweep, on any instance: what is repaired twice changes
// nothing.
func (p *Processor) Repair(ctx context.Context, from, to time.Time) (Repaired, error) {
	if !p.bound {
		return Repaired{}, ErrNotBound
	}
	by, ok := p.on.Repair.(Repair)
	if !ok || by.Calls == nil {
		return Repaired{}, ErrNoCalls
	}
	r := &round{Repair: by.withDefaults(), p: p, byHand: true, requests: -1}
	err := r.list(ctx, from, to)
	return r.Repaired, err
}

// say logs what a sweep came to, where it did anything.
func (r *round) say() {
	if r.Asked+r.Listed > 0 {
		r.p.log.Info("repair", "calls", r.Listed, "count", r.Repaired.Repaired, "asked", r.Asked, "failed", r.Failed, "unknown", r.Unknown)
	}
}
