package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

// ErrHandlerFailed is returned if a handler failed or panicked, and the envelope
// must be delivered again. The handler's error is in the chain of errors. It may
// quote a patient, so it must not be logged.
var ErrHandlerFailed = errors.New("core: a handler failed")

// Deliver processes one envelope of the inbox: it merges the event into the state
// of its call in one commit, then runs the handlers of its effects. It returns
// nil when nothing is left to do; until then the inbox delivers the envelope
// again. For an event that is merged already it runs only the handlers that have
// not succeeded.
func (p *Processor) Deliver(ctx context.Context, env Envelope) error {
	if !p.bound {
		return ErrNotBound
	}
	ctx, cancel := context.WithTimeout(ctx, handlersTimeout)
	defer cancel()
	ev, err := event.Decode(env.Body, env.Received)
	if err != nil || ev.Call.ID == "" {
		// Handle accepts none of these. One that an older version accepted is
		// kept where an operator can look at it.
		return p.quarantine(ctx, calls.QuarantinedBody{Body: env.Body, Received: env.Received, Tenant: env.Tenant, Reason: "undecodable"})
	}
	ev.Tenant, ev.Backfilled, ev.RedriveCount = env.Tenant, env.Backfilled, env.RedriveCount
	ev.Call.ID = callstate.ScopedID(env.Tenant, ev.Call.ID)
	ctx, end := p.begin(ctx, Operation{Event: ev.Type, Call: ev.Call.ID})
	outcome := "failed"
	defer func() { end(outcome) }()
	work, err := p.merge(ctx, env, ev)
	fault.Point("after merge")
	if err == nil && work != nil {
		err = p.runHandlers(ctx, ev.Call.ID, work)
		fault.Point("after handlers")
	}
	if err == nil {
		outcome = "done"
	}
	return err
}

// A dispatch is a merged event on its way to the handlers.
type dispatch struct {
	callstate.Pending
	state *callstate.State // as merged
	input handlerInput
}

// merge commits the change that the event makes, and returns what to dispatch to
// handlers, or nil.
func (p *Processor) merge(ctx context.Context, env Envelope, ev event.Event) (*dispatch, error) {
	id := ev.Call.ID
	a := callstate.NewIncoming(env.ID, env.Body, ev)
	var stored *callstate.Transcript
	for range callstate.MaxTries {
		recs, err := p.on.Store.Get(ctx, callstate.CallKey(id), callstate.OpenKey(id))
		if err != nil {
			return nil, err
		}
		state, err := callstate.DecodeState(recs[0])
		if err != nil {
			return nil, err
		}
		if recs[0].Version != 0 && state.Tenant != env.Tenant && !state.Deleted {
			// Stored when secrets had no names, under an id that its sender chose.
			return nil, p.quarantine(ctx, calls.QuarantinedBody{Body: env.Body, Received: env.Received, Tenant: env.Tenant, Reason: "call of another tenant"})
		}
		if state.Deleted {
			p.log.Info("event of a deleted call", "type", string(ev.Type), "call", p.tag(id))
			return nil, nil
		}
		if i := slices.IndexFunc(state.Pending, func(w callstate.Pending) bool { return w.Envelope == env.ID }); i >= 0 {
			return p.resume(id, ev, state, state.Pending[i]), nil
		}
		c := callstate.Merge(state, a, stored)
		if c.NeedsTranscript {
			if stored, err = callstate.ReadTranscript(ctx, p.on.Store, id); err != nil {
				return nil, err
			}
			c = callstate.Merge(state, a, stored)
		}
		if c.Entry == nil {
			p.observeEvent(env, true)
			return nil, nil
		}
		if fault.Mutated("ack-before-handlers") {
			c.Effects = nil // handlers run from memory, and not again after a crash
		}
		err = p.commit(ctx, &c, callstate.Pending{Envelope: env.ID, Previous: state.Status}, recs)
		if err == nil {
			p.log.Info("event", "type", string(ev.Type), "tenant", ev.Tenant, "call", p.tag(id), "status", string(c.State.Status),
				"messages", c.State.Messages, "late", c.Entry.Stale)
			p.observeEvent(env, false)
			last := len(c.State.Pending) - 1
			if last < 0 || c.State.Pending[last].Envelope != env.ID {
				return nil, nil // it has no handlers
			}
			w := p.resume(id, ev, c.State, c.State.Pending[last])
			w.input.newMessages = func(context.Context) ([]event.Message, error) { return event.DecodeMessages(c.NewMessages), nil }
			return w, nil
		}
		if !errors.Is(err, records.ErrStale) {
			return nil, err
		}
		// Another instance merged an event of the call: decide again.
		stored = nil
		if err := callstate.Pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("core: call is changed too often: %w", records.ErrStale)
}

// commit stores a change: the state of the call, the entry of its log, and the
// records by which the call is listed.
func (p *Processor) commit(ctx context.Context, c *callstate.Change, todo callstate.Pending, recs []records.Record) error {
	s := &c.State
	if wanted := p.handles(s.Tenant, c.Effects); len(wanted) > 0 {
		todo.Entry, todo.Effects = s.Entries, wanted
		s.Pending = append(slices.Clone(s.Pending), todo)
	}
	// The same event merged into the same state gives the same entry, so a blob of
	// this name that exists is from an earlier attempt.
	name := callstate.Digest(todo.Envelope, strconv.FormatInt(recs[0].Version, 10))[:24]
	line, err := callstate.PutValue(ctx, p.on.Store, callstate.BlobsDir(s.ID), name, c.Entry)
	if err != nil {
		return err
	}
	value, err := callstate.EncodeState(*s)
	if err != nil {
		return err
	}
	rs := []records.Record{
		{Key: callstate.CallKey(s.ID), Value: value, Version: recs[0].Version},
		{Key: callstate.LogKey(s.ID, s.Entries), Value: line},
	}
	if recs[0].Version == 0 {
		rs = append(rs, records.Record{Key: callstate.RecentKey(s.ID, s.FirstSeen), Value: []byte(s.ID)})
	}
	rs = append(rs, callstate.OpenRecord(*s, recs[1])...)
	return p.on.Store.Commit(ctx, rs...)
}

// resume returns the dispatch of a merged event from what is stored.
func (p *Processor) resume(id event.CallID, ev event.Event, s callstate.State, w callstate.Pending) *dispatch {
	o := handlerInput{event: ev, previous: w.Previous}
	if s.Report != nil {
		o.revision = s.Report.Revision
	}
	o.newMessages = func(ctx context.Context) ([]event.Message, error) {
		entries, err := callstate.ReadLog(ctx, p.on.Store, id)
		if err != nil {
			return nil, err
		}
		before := callstate.NewTranscript()
		for i, e := range entries {
			if i+1 == w.Entry {
				return event.DecodeMessages(before.Added(e)), nil
			}
			before.Apply(e)
		}
		return []event.Message{}, nil // purged since
	}
	o.ended = func(ctx context.Context) (CallEnded, error) {
		call, err := calls.Read(ctx, p.on.Store, id)
		return CallEnded{Call: call, Reason: call.EndReason}, err
	}
	return &dispatch{Pending: w, state: &s, input: o}
}

// runHandlers runs the handlers that have not succeeded, and stores which have
// now. A failure does not keep the others from running.
func (p *Processor) runHandlers(ctx context.Context, id event.CallID, w *dispatch) error {
	ctx = p.withEventCall(p.withHTTP(ctx, ""), w.state)
	var failed error
	var done []string
	for _, h := range p.handlers {
		if !slices.Contains(w.Effects, h.effect) || slices.Contains(w.Done, h.key) || !serves(h.tenants, w.state.Tenant) {
			continue
		}
		if err := p.safely(ctx, h, &w.input); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		done = append(done, h.key)
	}
	if err := p.markDone(ctx, id, w.Envelope, done, failed == nil); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrHandlerFailed, failed)
	}
	return nil
}

var errHandlerPanicked = errors.New("core: a handler panicked")

// safely runs a handler, recovers its panic, and reports its failure.
func (p *Processor) safely(ctx context.Context, h handler, o *handlerInput) (err error) {
	f := Failure{Kind: FailureHandler, Name: h.function, Effect: string(h.effect), Event: o.event.Type, Place: h.line, function: h.function}
	defer func() {
		if v := recover(); v != nil {
			err = errHandlerPanicked // the panic's text may quote a patient
			p.reportFailure(ctx, f.panicked(v))
		} else if err != nil {
			p.reportFailure(ctx, f.returned(err))
		}
	}()
	return h.run(ctx, o)
}

// markDone stores which handlers have succeeded, or that all have.
func (p *Processor) markDone(ctx context.Context, id event.CallID, envelope string, done []string, all bool) error {
	if len(done) == 0 && !all {
		return nil
	}
	return p.changeCall(ctx, id, func(s *callstate.State) bool {
		i := slices.IndexFunc(s.Pending, func(w callstate.Pending) bool { return w.Envelope == envelope })
		if i < 0 {
			return false // another delivery of the envelope was faster
		}
		s.Pending = slices.Clone(s.Pending)
		if all {
			s.Pending = slices.Delete(s.Pending, i, i+1)
		} else {
			s.Pending[i].Done = append(slices.Clone(s.Pending[i].Done), done...)
		}
		return true
	})
}

// changeCall commits what f changes in the state of a call that is stored, unless
// f returns false. f may be called again, with a newer state.
func (p *Processor) changeCall(ctx context.Context, id event.CallID, f func(s *callstate.State) bool) error {
	for range callstate.MaxTries {
		recs, err := p.on.Store.Get(ctx, callstate.CallKey(id), callstate.OpenKey(id))
		if err != nil || recs[0].Version == 0 {
			return err
		}
		s, err := callstate.DecodeState(recs[0])
		if err != nil || s.Deleted || !f(&s) {
			return err
		}
		value, err := callstate.EncodeState(s)
		if err != nil {
			return err
		}
		rs := append([]records.Record{{Key: callstate.CallKey(id), Value: value, Version: recs[0].Version}}, callstate.OpenRecord(s, recs[1])...)
		if err = p.on.Store.Commit(ctx, rs...); err == nil || !errors.Is(err, records.ErrStale) {
			return err
		}
		if err := callstate.Pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("core: call is changed too often: %w", records.ErrStale)
}
