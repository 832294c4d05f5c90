package core

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/fault"
)

// A claim is a request to a tool that changes something, and where its record is.
type claim struct {
	scope
	t       *tool
	q       toolRequest
	args    []byte // canonical
	key     string // of the record
	request string // a digest of the tool and all arguments
	idKey   string // of the record of the tool call's id, or ""
}

// newClaim derives the key of a request from its scope, the tool, and the
// arguments that identify a request.
func newClaim(t *tool, q toolRequest, canon []byte) *claim {
	s := scopeOf(t, q, canon)
	c := &claim{scope: s, t: t, q: q, args: canon, request: callstate.Digest("request", t.Name, string(t.sentArguments(q.call, canon))+q.listed(t))}
	c.key = s.dir + "/" + callstate.Digest("run", string(q.call), t.Name, string(t.keyArguments(q.call, canon))+q.listed(t))
	if validID(q.id) {
		c.idKey = s.dir + "/id-" + callstate.Digest("id", string(q.call), q.id)
	}
	return c
}

// found is what the store knows of a request.
type found struct {
	rec callstate.ToolRecord // of the latest run; V is 0 if this version cannot read it
	raw records.Record

	delivery callstate.Delivery // of the tool call's id
	id       records.Record     // its record
	count    records.Record     // the count of the scope's outcomes
	same     bool               // the very delivery that began the latest run, again
	ended    bool               // the call is over
}

// lookUp reads what is known of a request.
func (p *Processor) lookUp(ctx context.Context, c *claim) (f found, err error) {
	keys := []string{c.key}
	for _, key := range []string{c.idKey, c.countKey(), c.callKey()} {
		if key != "" {
			keys = append(keys, key)
		}
	}
	recs, err := p.on.Store.Get(ctx, keys...)
	if err != nil {
		return f, err
	}
	f.raw = recs[0]
	f.rec, _ = callstate.DecodeToolRecord(f.raw)
	for _, r := range recs[1:] {
		switch r.Key {
		case c.idKey:
			f.id = r
			if c.window > 0 && r.Age > c.window || r.Version != 0 && json.Unmarshal(r.Value, &f.delivery) != nil {
				f.delivery = callstate.Delivery{} // another caller's, or of an earlier version
			}
		case c.countKey():
			f.count = r
		default:
			f.ended = r.Version != 0 && p.timeSinceEnd(r.Value) > postCallGrace
		}
	}
	d := f.delivery
	f.same = d.Request == c.request && !d.Reused && (d.State != "" || d.Generation == f.rec.Generation)
	return f, nil
}

// claim makes this instance the owner of the run. It returns records.ErrStale if
// another one was faster.
func (p *Processor) claim(ctx context.Context, c *claim, f found, anew bool) (callstate.ToolRecord, error) {
	rec := callstate.ToolRecord{
		V: callstate.ToolRecordVersion, Tool: c.t.Name, Call: c.q.call, Caller: c.caller, State: callstate.ToolRunning,
		Fence: f.rec.Fence + 1, Generation: f.rec.Generation, Began: countOf(f.count), Seq: f.rec.Seq, Owner: rand.Text(), Args: c.args, Started: p.on.Now().UTC(),
	}
	if anew {
		rec.Generation++
	}
	if len(rec.Args) > records.MaxRecordBytes/4 {
		rec.Args = nil // they are stored for display, and to recognize what undoes the request
	}
	err := p.write(ctx, c, f, rec)
	if err == nil || errors.Is(err, records.ErrStale) {
		return rec, err
	}
	// The commit may have happened although its result was lost.
	if now, again := p.lookUp(ctx, c); again == nil && now.rec.Owner == rec.Owner {
		return rec, nil
	}
	return rec, err
}

// runClaimed runs the tool as the owner of its record, and stores the outcome
// before it is sent. At the reply deadline it answers without it.
func (p *Processor) runClaimed(ctx context.Context, c *claim, mine callstate.ToolRecord) toolAnswer {
	fault.Point("after claim")
	r := p.start(ctx, c.t, c.args, c.invocation(mine), p.on.BackgroundGrace)
	stored := make(chan toolAnswer, 1)
	p.work.Go(func() {
		<-r.done
		if c.q.call == "" {
			p.reads.noteChange(c.q.from.tenant())
		} else {
			p.lastEffect.note(c.q.from.tenant())
		}
		fault.Point("after effect")
		a := p.settle(ctx, c, mine, r)
		fault.Point("after store")
		stored <- a
	})
	select {
	case a := <-stored:
		return a
	case <-ctx.Done():
	}
	if p.on.BackgroundGrace == 0 { // the tool's context has just ended: its result counts if it comes at once
		select {
		case <-r.done:
		case <-time.After(lastWord):
		}
	}
	select {
	case <-r.done: // it has run and the store is slow: send the outcome
		if p.on.Now().Sub(mine.Started) >= p.lease(c.t) {
			return <-stored // this process was suspended: another may have answered since
		}
		return r.answer(c.t, c.q.say)
	default:
		return toolAnswer{result: c.q.say().Working, state: callstate.ToolTimedOut}
	}
}

// settle stores the outcome of a run for its duplicates, also after its own reply
// deadline. It returns the answer: if a newer owner has superseded this one, the
// newer owner's.
func (p *Processor) settle(ctx context.Context, c *claim, mine callstate.ToolRecord, r *run) toolAnswer {
	a := r.answer(c.t, c.q.say)
	mine.Result, mine.State, mine.Finished = a.result, callstate.ToolState(a.state), p.on.Now().UTC()
	if mine.State == callstate.ToolIndeterminate && !isSaid(r.err) {
		mine.Result = "" // a later request gets other words
	}
	due, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, time.Until(due))+p.on.BackgroundGrace+leaseSlack/2)
	defer cancel()
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		f, err := p.lookUp(ctx, c)
		if err == nil {
			switch {
			case f.raw.Version == 0: // expired, or deleted with its call: no duplicate reads it
				return a
			case f.rec.Owner != mine.Owner && !fault.Mutated("no-fencing"):
				p.log.Warn("tool call superseded", "tool", c.t.Name, "state", callstate.ToolSuperseded)
				if f.rec.State == callstate.ToolDone {
					return toolAnswer{result: f.rec.Result, state: string(f.rec.State), replayed: true}
				}
				return toolAnswer{result: c.q.say().Working, state: callstate.ToolSuperseded}
			case f.rec.State != callstate.ToolRunning && f.rec.State != callstate.ToolIndeterminate && !fault.Mutated("no-fencing"): // stored, and the result of the commit was lost
				return a
			}
			err = p.write(ctx, c, f, mine)
		}
		if err == nil {
			return a
		}
		select {
		case <-ctx.Done():
			return a
		case <-time.After(pause):
		}
	}
}

// write commits one transition of a record: with it the number of the outcome,
// and what is known under the tool call's id.
func (p *Processor) write(ctx context.Context, c *claim, f found, rec callstate.ToolRecord) error {
	var rs []records.Record
	if c.counted && (rec.State == callstate.ToolDone || rec.State == callstate.ToolIndeterminate) {
		rec.Seq = countOf(f.count) + 1
		rs = append(rs, p.expiring(c, f.count, callstate.ToolCount{N: rec.Seq}))
	}
	rec.V = callstate.ToolRecordVersion
	a := toolAnswer{}
	if rec.State == callstate.ToolDone || rec.State == callstate.ToolNotApplied {
		a = toolAnswer{result: rec.Result, state: string(rec.State)}
	}
	if d, changed := c.deliveryOf(f, rec.Generation, a); changed {
		rs = append(rs, p.expiring(c, f.id, d))
	}
	return p.on.Store.Commit(ctx, append(rs, p.expiring(c, f.raw, rec))...)
}

// noteDelivery stores the answer that a tool call's id was given, so that the
// same delivery gets it again whatever happens in between. If it cannot be stored
// the next one is decided anew.
func (p *Processor) noteDelivery(ctx context.Context, c *claim, f found, a toolAnswer) {
	if d, changed := c.deliveryOf(f, f.rec.Generation, a); changed {
		_ = p.on.Store.Commit(ctx, p.expiring(c, f.id, d))
	}
}

// deliveryOf returns what to store under the tool call's id, given the answer if
// it is final; changed is false if that is stored already, or there is no id. An
// id with which requests came that differ identifies none of them.
func (c *claim) deliveryOf(f found, generation int, a toolAnswer) (d callstate.Delivery, changed bool) {
	d = f.delivery
	switch {
	case c.idKey == "" || d.Reused:
		return d, false
	case d.Request != "" && d.Request != c.request:
		return callstate.Delivery{Request: d.Request, Reused: true}, true
	case d.State != "":
		return d, false
	}
	now := callstate.Delivery{Request: c.request, Generation: generation, State: callstate.ToolState(a.state), Result: a.result}
	return now, now != d
}

// expiring returns the next version of a record of the claim's scope.
func (p *Processor) expiring(c *claim, r records.Record, v any) records.Record {
	b, err := json.Marshal(v)
	if err != nil {
		panic("core: tool record encoding failed") // of our own types
	}
	next := records.Record{Key: r.Key, Value: b, Version: r.Version}
	if c.window > 0 {
		next.Expires = p.on.Now().Add(anonymousKeep)
	}
	return next
}

// invocation returns what the tool is given of the request.
func (c *claim) invocation(rec callstate.ToolRecord) Invocation {
	return Invocation{Tool: c.t.Name, Call: c.q.call, IdempotencyKey: idempotencyKey(c.key, rec.Generation), FencingToken: rec.Fence}
}
