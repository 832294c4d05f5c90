package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/fault"
)

// ErrHandler reports that a handler of the user's failed or panicked, and that
// the envelope is to be delivered again. What the handler said is in the chain
// of errors; it may hold a patient's data, so it belongs in no log.
var ErrHandler = errors.New("core: a handler failed")

// mergeTries is how often a merge starts again because another instance
// changed the call in between.
const mergeTries = 100

// Deliver takes one envelope from the inbox: it merges the event into the
// state of its call, in one commit, and runs the handlers that its change
// concerns. It returns nil when nothing is left to do; until then the inbox
// delivers the envelope again. An event that was merged before only runs the
// handlers that have not finished.
func (p *Processor) Deliver(ctx context.Context, env Envelope) error {
	if !p.bound {
		return ErrNotBound
	}
	ctx, cancel := context.WithTimeout(ctx, handlerTime)
	defer cancel()
	event, err := decodeEvent(env.Body, env.Received)
	if err != nil || event.Call.ID == "" {
		// Handle lets none of these through. One that comes all the same, from
		// an older version, is kept where it can be looked at.
		return p.quarantine(ctx, env.Body, env.Received, "undecodable")
	}
	event.Repaired, event.Replayed = env.Repaired, env.Replayed
	work, err := p.merge(ctx, env, event)
	fault.Point("after merge")
	if err != nil || work == nil {
		return err
	}
	err = p.runHandlers(ctx, event.Call.ID, work)
	fault.Point("after handlers")
	return err
}

// work is a change on its way to the handlers.
type work struct {
	pending
	occasion occasion
}

// merge commits what the event changes, and returns what the handlers have to
// be told, or nil.
func (p *Processor) merge(ctx context.Context, env Envelope, event Event) (*work, error) {
	id := event.Call.ID
	a := newArrival(env.ID, env.Body, event)
	var stored *view
	for range mergeTries {
		recs, err := p.on.Store.Get(ctx, callKey(id), openKey(id))
		if err != nil {
			return nil, err
		}
		state, err := decodeState(recs[0])
		if err != nil {
			return nil, err
		}
		if state.Gone {
			p.log.Info("event of a deleted call", "type", string(event.Type), "call", p.tag(id))
			return nil, nil
		}
		if i := slices.IndexFunc(state.Pending, func(w pending) bool { return w.Envelope == env.ID }); i >= 0 {
			return p.resume(id, event, state, state.Pending[i]), nil
		}
		c := merge(state, a, stored)
		if c.needsView {
			if stored, err = readView(ctx, p.on.Store, id); err != nil {
				return nil, err
			}
			c = merge(state, a, stored)
		}
		if c.entry == nil {
			p.arrived(env, true)
			return nil, nil
		}
		if fault.Mutated("merged is done") {
			c.effects = nil // handlers run from memory, and not again after a crash
		}
		err = p.commit(ctx, &c, pending{Envelope: env.ID, Previous: state.Status}, recs)
		if err == nil {
			p.log.Info("event", "type", string(event.Type), "call", p.tag(id), "status", string(c.state.Status),
				"messages", c.state.Messages, "late", c.entry.Late)
			p.arrived(env, false)
			if len(c.state.Pending) == len(state.Pending) {
				return nil, nil
			}
			w := p.resume(id, event, c.state, c.state.Pending[len(c.state.Pending)-1])
			w.occasion.fresh = func(context.Context) ([]Message, error) { return decodeMessages(c.fresh), nil }
			return w, nil
		}
		if !errors.Is(err, ErrStale) {
			return nil, err
		}
		// Somebody else merged another event of the call. Decide again.
		stored = nil
		if err := pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("core: call is changed too often: %w", ErrStale)
}

// commit writes a change: the state of the call, the entry of its log, and
// where the call can be found.
func (p *Processor) commit(ctx context.Context, c *change, todo pending, recs []Record) error {
	s := &c.state
	if wanted := p.handles(c.effects); len(wanted) > 0 {
		todo.Entry, todo.Effects = s.Entries, wanted
		s.Pending = append(slices.Clone(s.Pending), todo)
	}
	// Merge comes from the same state and the same event to the same entry.
	name := digest(todo.Envelope, strconv.FormatInt(recs[0].Version, 10))[:24]
	line, err := putValue(ctx, p.on.Store, callDir(s.ID)+"/blobs", name, c.entry)
	if err != nil {
		return err
	}
	value, err := encodeState(*s)
	if err != nil {
		return err
	}
	rs := []Record{
		{Key: callKey(s.ID), Value: value, Version: recs[0].Version},
		{Key: logKey(s.ID, s.Entries), Value: line},
	}
	if recs[0].Version == 0 {
		rs = append(rs, Record{Key: recentKey(s.ID, s.First), Value: []byte(s.ID)})
	}
	rs = append(rs, openRecord(*s, recs[1])...)
	return p.on.Store.Commit(ctx, rs...)
}

// openRecord is what has to be written so that the sweep finds the call
// exactly as long as there is something to do for it.
func openRecord(s callState, now Record) []Record {
	busy := s.Ended == nil || len(s.Pending) > 0
	switch {
	case busy && now.Version == 0:
		return []Record{{Key: openKey(s.ID), Value: []byte(s.ID)}}
	case !busy && now.Version != 0:
		return []Record{{Key: openKey(s.ID), Version: now.Version}}
	}
	return nil
}

// resume puts together what the handlers of a merged change are told, from
// what is stored.
func (p *Processor) resume(id CallID, event Event, s callState, w pending) *work {
	o := occasion{event: event, previous: w.Previous}
	if s.Report != nil {
		o.revision = s.Report.Revision
	}
	o.fresh = func(ctx context.Context) ([]Message, error) {
		entries, err := readLog(ctx, p.on.Store, id)
		if err != nil {
			return nil, err
		}
		var before view
		var fresh []jsontext.Value
		for i, e := range entries[:min(w.Entry, len(entries))] {
			if i+1 < w.Entry {
				before.apply(e)
				continue
			}
			for _, raw := range e.New {
				if !before.told(readSpoken(raw)) {
					fresh = append(fresh, raw)
				}
			}
		}
		return decodeMessages(fresh), nil
	}
	o.ended = func(ctx context.Context) (CallEnded, error) {
		call, err := ReadCall(ctx, p.on.Store, id)
		return CallEnded{Call: call, Reason: call.EndReason}, err
	}
	return &work{pending: w, occasion: o}
}

// runHandlers runs the handlers that are not done, and writes down which are.
// One that fails does not keep the others from running.
func (p *Processor) runHandlers(ctx context.Context, id CallID, w *work) error {
	var failed error
	var done []string
	for _, h := range p.handlers {
		if !slices.Contains(w.Effects, h.effect) || slices.Contains(w.Done, h.name) {
			continue
		}
		if err := safely(ctx, h, &w.occasion); err != nil {
			p.log.Warn("handler failed", "effect", string(h.effect), "call", p.tag(id))
			failed = errors.Join(failed, err)
			continue
		}
		done = append(done, h.name)
	}
	if err := p.markDone(ctx, id, w.Envelope, done, failed == nil); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrHandler, failed)
	}
	return nil
}

var errHandlerPanicked = errors.New("core: a handler panicked")

func safely(ctx context.Context, h handler, o *occasion) (err error) {
	err = errHandlerPanicked // what a panic says may quote a patient
	defer func() { _ = recover() }()
	return h.run(ctx, o)
}

// markDone takes handlers that are done off the call's list.
func (p *Processor) markDone(ctx context.Context, id CallID, envelope string, done []string, all bool) error {
	if len(done) == 0 && !all {
		return nil
	}
	for range mergeTries {
		recs, err := p.on.Store.Get(ctx, callKey(id), openKey(id))
		if err != nil {
			return err
		}
		s, err := decodeState(recs[0])
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Pending, func(w pending) bool { return w.Envelope == envelope })
		if i < 0 {
			return nil // another delivery of it was faster
		}
		s.Pending = slices.Clone(s.Pending)
		if all {
			s.Pending = slices.Delete(s.Pending, i, i+1)
		} else {
			s.Pending[i].Done = append(slices.Clone(s.Pending[i].Done), done...)
		}
		value, err := encodeState(s)
		if err != nil {
			return err
		}
		rs := append([]Record{{Key: callKey(id), Value: value, Version: recs[0].Version}}, openRecord(s, recs[1])...)
		if err = p.on.Store.Commit(ctx, rs...); err == nil || !errors.Is(err, ErrStale) {
			return err
		}
		if err := pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("core: call is changed too often: %w", ErrStale)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
