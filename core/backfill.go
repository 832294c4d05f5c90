package core

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An Backfiller is a [Backfill], or nil where a platform asks nobody. It is an interface
// so that the linker leaves repair out of programs that have none, such as a
// Worker, which starts the faster the smaller it is.
type Backfiller interface {
	round(p *Processor) backfiller
}

// backfiller is what a sweep asks for: see round.
type backfiller interface {
	overdue(ctx context.Context, s *callstate.State, recs []records.Record, now time.Time) (wait bool, err error)
	listDue(ctx context.Context) error
	log()
}

// A Backfill says how [Processor.Sweep] asks for what was never sent. The zero
// value of each field means its default, and without Calls nothing is asked.
type Backfill struct {
	API CallsAPI

	// Assistants are those whose calls are ours, by id, or "*" for all of the
	// account. A call that we never heard of is taken over only when it is of
	// one of them, or of one that had a call with us in the same list.
	Assistants []string

	// MaxRequests is how many calls one sweep asks for. Default 200.
	MaxRequests int

	// Timeout is how long one sweep may ask. Default 45 s.
	Timeout time.Duration

	// GiveUpAfter is how long a call that is overdue is asked for until it ends
	// without an answer. Default 15 minutes.
	GiveUpAfter time.Duration

	// Interval is how often the list of the last day's calls is compared with
	// ours. Default 1 hour.
	Interval time.Duration
}

// claimable tells which of the listed calls that we never heard of are claimable to take
// over: had says which we have.
func (r *Backfill) claimable(listed []knownCall, had func(event.CallID) bool) []knownCall {
	assistants := map[string]bool{}
	for _, a := range r.Assistants {
		assistants[a] = true
	}
	for _, k := range listed {
		if k.assistant != "" && had(k.id) {
			assistants[k.assistant] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(listed), func(k knownCall) bool {
		return had(k.id) || !assistants["*"] && !assistants[k.assistant]
	})
}

// validBody reports whether an answer is JSON of a size and depth that we take.
func (p *Processor) validBody(raw []byte) bool {
	return len(raw) <= p.on.Limits.MaxBodyBytes && p.on.Limits.validate(bytes.TrimSpace(raw)) == nil
}

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

func (r Backfill) withDefaults() Backfill {
	r.MaxRequests = cmp.Or(r.MaxRequests, 200)
	r.Timeout = cmp.Or(r.Timeout, 45*time.Second)
	r.GiveUpAfter = cmp.Or(r.GiveUpAfter, 15*time.Minute)
	r.Interval = cmp.Or(r.Interval, time.Hour)
	return r
}

// BackfillStats counts what one look at the API came to.
type BackfillStats struct {
	Listed     int `json:"listed"`     // calls of the API's
	Queried    int `json:"queried"`    // asked for one by one
	Recovered  int `json:"recovered"`  // put into the inbox, as if they had been sent
	NotFound   int `json:"notFound"`   // not known to the API
	InProgress int `json:"inProgress"` // not over yet
	Failed     int `json:"failed"`     // no answer that can be used
}

// A backfillStep is what to do about a call that is overdue.
type backfillStep int

const (
	backfillEnd   backfillStep = iota // nobody can be asked, or nobody knew for long enough
	backfillQuery                     // ask now
	backfillWait                      // asked a while ago: wait
)

// next decides about a call that is overdue.
func (r *Backfill) next(s *callstate.State, now time.Time) backfillStep {
	switch {
	case r.API == nil || s.BackfillAttempts >= askLimit || !s.OverdueSince.IsZero() && now.Sub(s.OverdueSince) >= r.GiveUpAfter:
		return backfillEnd
	case !mayQuery(s, now):
		return backfillWait
	}
	return backfillQuery
}

// mayQuery reports whether the pause after the last time is over.
func mayQuery(s *callstate.State, now time.Time) bool {
	pause := askLast
	if s.BackfillAttempts < 5 {
		pause = min(askLast, askPause<<max(0, s.BackfillAttempts-1))
	}
	return s.BackfillAttempts < askLimit && (s.BackfillAttempts == 0 || now.Sub(s.LastBackfill) >= pause)
}

// A backfillRun is what one sweep, or one repair by hand, may ask and has asked.
type backfillRun struct {
	BackfillStats
	Backfill
	p        *Processor
	byHand   bool
	until    time.Time // zero: no end of its own
	requests int       // left; negative: no limit
	failures int       // one after the other
}

// round begins the round of a sweep.
func (r Backfill) round(p *Processor) backfiller {
	r = r.withDefaults()
	return &backfillRun{Backfill: r, p: p, until: time.Now().Add(r.Timeout), requests: r.MaxRequests}
}

// spent reports whether no more may be asked.
func (r *backfillRun) spent() bool {
	return r.requests == 0 || r.failures >= askFailures || !r.until.IsZero() && !time.Now().Before(r.until)
}

// withDeadline bounds a request by what is left of the round's time.
func (r *backfillRun) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.until)
}

// overdue asks for a call of which we have been told too little, and reports
// whether it is to go on waiting.
func (r *backfillRun) overdue(ctx context.Context, s *callstate.State, recs []records.Record, now time.Time) (wait bool, err error) {
	switch r.Backfill.next(s, now) {
	case backfillEnd:
		return false, nil
	case backfillWait:
		return true, nil
	case backfillQuery:
	}
	spent := r.spent()
	if spent && !s.OverdueSince.IsZero() {
		return true, nil
	}
	if ok, err := r.claim(ctx, *s, recs[0], now, !spent); !ok || spent {
		return true, err
	}
	return true, r.ask(ctx, s.ID, s.Report == nil)
}

// claim writes into a call's record that it is wanted, and asked for, before
// it is: so no two instances ask at a time, and how long nobody knows is known.
func (r *backfillRun) claim(ctx context.Context, s callstate.State, rec records.Record, now time.Time, asked bool) (ok bool, err error) {
	if s.OverdueSince.IsZero() {
		s.OverdueSince = now.UTC()
	}
	if asked {
		s.BackfillAttempts, s.LastBackfill = s.BackfillAttempts+1, now.UTC()
	}
	value, err := callstate.EncodeState(s)
	if err != nil {
		return false, err
	}
	err = r.p.on.Store.Commit(ctx, records.Record{Key: rec.Key, Value: value, Version: rec.Version})
	if errors.Is(err, records.ErrStale) {
		return false, nil // it moved, or another instance asks
	}
	return err == nil, err
}

// ask asks for one call and puts what is answered into the inbox, as the event
// that would have told it. goingToo says whether a call that is not over is of
// interest.
func (r *backfillRun) ask(ctx context.Context, id event.CallID, goingToo bool) error {
	r.Queried++
	r.requests--
	asking, cancel := r.withDeadline(ctx)
	defer cancel()
	raw, err := r.Backfill.API.Get(asking, string(id))
	if err == nil && raw == nil {
		r.NotFound++
		r.failures = 0
		return nil
	}
	if err == nil && !r.p.validBody(raw) {
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
		r.InProgress++
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
	typ, _, err := event.Peek(body)
	if err != nil {
		return errBadAnswer
	}
	env := Envelope{ID: envelopeID(body, now), Received: now.UTC(), Type: typ, Call: id, Backfilled: true,
		Body: r.p.on.Verifier.Redact(nil, body)}
	if err := r.p.on.Inbox.Put(ctx, env); err != nil {
		return err
	}
	if known.over() {
		r.BackfillStats.Recovered++
	}
	r.p.log.Info("call repaired", "call", r.p.tag(id), "status", string(known.status), "bytes", len(body))
	return nil
}

// list compares the calls that started in a span with ours, and asks for those
// that are over and that we never heard of, or whose report we do not have.
func (r *backfillRun) list(ctx context.Context, from, to time.Time) error {
	listing, cancel := r.withDeadline(ctx)
	defer cancel()
	quiet := r.p.on.Now().Add(-r.p.on.ReportTimeout)
	var listed []knownCall
	for raw, err := range r.Backfill.API.List(listing, from, to) {
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
	have := map[event.CallID]callstate.State{}
	for some := range slices.Chunk(listed, records.MaxCommitRecords) {
		keys := make([]string, len(some))
		for i, k := range some {
			keys[i] = callstate.CallKey(k.id)
		}
		recs, err := r.p.on.Store.Get(ctx, keys...)
		if err != nil {
			return err
		}
		for i, rec := range recs {
			if rec.Version == 0 {
				continue
			}
			s, err := callstate.DecodeState(rec)
			if err != nil {
				return err
			}
			have[some[i].id] = callstate.State{Report: s.Report, Ended: s.Ended, LastSeen: s.LastSeen, Deleted: s.Deleted}
		}
	}
	had := func(id event.CallID) bool { _, ok := have[id]; return ok }
	wanted := r.Backfill.claimable(listed, had)
	for _, k := range listed {
		// By a sweep, one that is open is asked for when it is overdue.
		if s, ok := have[k.id]; ok && s.Report == nil && !s.Deleted && (s.Ended != nil || r.byHand && s.LastSeen.Before(quiet)) {
			wanted = append(wanted, k)
		}
	}
	for _, k := range wanted {
		if !k.over() {
			r.InProgress++
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
		if err := r.backfillListed(ctx, k.id, had(k.id)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.p.log.Warn("repair", "call", r.p.tag(k.id), "reason", err)
		}
	}
	return nil
}

// backfillListed asks for a call of the list.
func (r *backfillRun) backfillListed(ctx context.Context, id event.CallID, had bool) error {
	if had && !r.byHand {
		recs, err := r.p.on.Store.Get(ctx, callstate.CallKey(id))
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
	return r.ask(ctx, id, false)
}

// errNotAll reports that a list is longer than what a sweep may ask for: the
// next goes on with it.
var errNotAll = errors.New("core: calls are left for the next sweep")

type listState struct {
	Next time.Time `json:"next"` // nobody lists before
	To   time.Time `json:"to"`   // compared up to here
}

// listDue compares the list where that is due, on one instance.
func (r *backfillRun) listDue(ctx context.Context) error {
	if r.Backfill.API == nil || r.spent() {
		return nil
	}
	recs, err := r.p.on.Store.Get(ctx, callstate.BackfillKey)
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
		return r.p.on.Store.Commit(ctx, records.Record{Key: callstate.BackfillKey, Value: value, Version: version})
	}
	if err := mark(recs[0].Version, listState{Next: now.Add(listLease), To: s.To}); err != nil {
		if errors.Is(err, records.ErrStale) {
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
	recs, err = r.p.on.Store.Get(ctx, callstate.BackfillKey)
	if err != nil {
		return err
	}
	if err := mark(recs[0].Version, listState{Next: now.Add(r.Backfill.Interval), To: now}); !errors.Is(err, records.ErrStale) {
		return err
	}
	return nil
}

// ErrBackfillNotConfigured reports a repair where nobody can be asked.
var ErrBackfillNotConfigured = errors.New("core: the platform has no Repair.Calls to ask")

// Backfill asks for all calls that started in a span: those that we never heard
// of, and those whose report we do not have. What is answered is put into the
// inbox, as if it had been sent, and marked as repaired; the inbox delivers it.
// It may run beside Sweep, on any instance: what is repaired twice changes
// nothing.
func (p *Processor) Backfill(ctx context.Context, from, to time.Time) (BackfillStats, error) {
	if !p.bound {
		return BackfillStats{}, ErrNotBound
	}
	by, ok := p.on.Backfill.(Backfill)
	if !ok || by.API == nil {
		return BackfillStats{}, ErrBackfillNotConfigured
	}
	r := &backfillRun{Backfill: by.withDefaults(), p: p, byHand: true, requests: -1}
	err := r.list(ctx, from, to)
	return r.BackfillStats, err
}

// log logs what a sweep came to, where it did anything.
func (r *backfillRun) log() {
	if r.Queried+r.Listed > 0 {
		r.p.log.Info("repair", "calls", r.Listed, "count", r.BackfillStats.Recovered, "asked", r.Queried, "failed", r.Failed, "unknown", r.NotFound)
	}
}
