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
	t          *tool
	q          toolRequest
	args       []byte        // canonical
	key        string        // of the record
	idKey      string        // of the record that maps the tool-call id to key, or ""
	idRecorded bool          // that record exists
	window     time.Duration // after which the record expires; 0 is never
}

// newClaim derives the key of a request from the call, if known, the tool, and the
// arguments that identify a request.
func newClaim(t *tool, q toolRequest, canon []byte) *claim {
	c := &claim{t: t, q: q, args: canon}
	dir := callstate.ToolsDir(q.call)
	if q.call == "" {
		dir, c.window = callstate.AnonymousToolsDir(t.Name), anonymousDedupWindow
	}
	c.key = dir + "/" + callstate.Digest("run", string(q.call), t.Name, string(t.keyArguments(canon)))
	if q.id != "" {
		c.idKey = dir + "/id-" + callstate.Digest("id", string(q.call), q.id)
	}
	return c
}

// lookUp reads the record of a request. refusal is the sentence for a request that
// must not run: its tool-call id was used for another one, or its call is over.
func (p *Processor) lookUp(ctx context.Context, c *claim) (rec callstate.ToolRecord, raw records.Record, refusal string, err error) {
	keys := []string{c.key}
	if c.idKey != "" {
		keys = append(keys, c.idKey)
	}
	if c.q.call != "" {
		keys = append(keys, callstate.CallKey(c.q.call))
	}
	recs, err := p.on.Store.Get(ctx, keys...)
	if err != nil {
		return rec, raw, "", err
	}
	raw = recs[0]
	if raw.Version != 0 && json.Unmarshal(raw.Value, &rec) != nil {
		rec = callstate.ToolRecord{} // of another version of the program: V is 0
	}
	for _, r := range recs[1:] {
		switch {
		case r.Version == 0:
		case r.Key == c.idKey:
			c.idRecorded = true
			if string(r.Value) != c.key {
				return rec, raw, sayConflict, nil
			}
		case raw.Version == 0 && p.timeSinceEnd(r.Value) > postCallGrace:
			return rec, raw, sayEnded, nil
		}
	}
	return rec, raw, "", nil
}

// claim makes this instance the owner of the run. It returns records.ErrStale if
// another one was faster.
func (p *Processor) claim(ctx context.Context, c *claim, old callstate.ToolRecord, version int64) (callstate.ToolRecord, error) {
	rec := callstate.ToolRecord{
		V: callstate.ToolRecordVersion, Tool: c.t.Name, Call: c.q.call, State: callstate.ToolRunning,
		Fence: old.Fence + 1, Owner: rand.Text(), Args: c.args, Started: p.on.Now().UTC(),
	}
	if len(rec.Args) > records.MaxRecordBytes/4 {
		rec.Args = nil // they are stored for display only
	}
	err := p.write(ctx, c, rec, version)
	if err == nil || errors.Is(err, records.ErrStale) {
		return rec, err
	}
	// The commit may have happened although its result was lost.
	if now, _, _, again := p.lookUp(ctx, c); again == nil && now.Owner == rec.Owner {
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
	select {
	case <-r.done: // it has run and the store is slow: send the outcome
		if p.on.Now().Sub(mine.Started) >= p.lease(c.t) {
			return <-stored // this process was suspended: another may have answered since
		}
		return r.answer(c.t)
	default:
		return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}
	}
}

// settle stores the outcome of a run for its duplicates, also after its own reply
// deadline. It returns the answer: if a newer owner has superseded this one, the
// newer owner's.
func (p *Processor) settle(ctx context.Context, c *claim, mine callstate.ToolRecord, r *run) toolAnswer {
	a := r.answer(c.t)
	mine.Result, mine.State, mine.Finished = a.result, callstate.ToolState(a.state), p.on.Now().UTC()
	_, unchanged := errors.AsType[*notApplied](r.err)
	switch {
	case unchanged:
		mine.State = callstate.ToolNotApplied
	case mine.State == callstate.ToolFailed && c.t.reconcile != nil && !isSaid(r.err):
		mine.State = callstate.ToolIndeterminate // Reconcile may find out later
	}
	a.state = string(mine.State)

	due, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, time.Until(due))+p.on.BackgroundGrace+leaseSlack/2)
	defer cancel()
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		rec, raw, _, err := p.lookUp(ctx, c)
		if err == nil {
			switch {
			case raw.Version == 0: // expired, or deleted with its call: no duplicate reads it
				return a
			case rec.Owner != mine.Owner && !fault.Mutated("no-fencing"):
				p.log.Warn("tool call superseded", "tool", c.t.Name, "state", callstate.ToolSuperseded)
				if next(c.t, rec, true, 0, time.Hour) == stepReplay {
					return toolAnswer{result: rec.Result, state: string(rec.State), replayed: true}
				}
				return toolAnswer{result: sayWorking, state: callstate.ToolSuperseded}
			case rec.State != callstate.ToolRunning && rec.State != callstate.ToolIndeterminate && !fault.Mutated("no-fencing"): // stored, and the result of the commit was lost
				return a
			}
			err = p.write(ctx, c, mine, raw.Version)
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

// reconcile asks the tool for the outcome of a run whose owner is dead. ok is
// false if the record has changed, and is to be read again.
func (p *Processor) reconcile(ctx context.Context, c *claim, rec callstate.ToolRecord, version int64) (a toolAnswer, ok bool) {
	uncertain := toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)}
	applied := false
	reconciling := *c.t // so that it runs like the tool, with its deadline and recovery
	reconciling.run = func(ctx context.Context, args []byte) (v any, err error) {
		v, applied, err = c.t.reconcile(ctx, args)
		return v, err
	}
	r := p.start(ctx, &reconciling, c.args, c.invocation(rec), 0)
	select {
	case <-r.done:
	case <-ctx.Done():
		return toolAnswer{result: sayWorking, state: callstate.ToolTimedOut}, true
	}
	if r.err != nil {
		return uncertain, true
	}
	rec.State, rec.Finished = callstate.ToolNotApplied, p.on.Now().UTC()
	if applied {
		rec.State, rec.Result = callstate.ToolDone, r.text
	}
	if err := p.write(ctx, c, rec, version); err != nil && !errors.Is(err, records.ErrStale) {
		return uncertain, true
	}
	return toolAnswer{}, false
}

// write commits one transition of a record, and with the first one the mapping of
// the tool-call id.
func (p *Processor) write(ctx context.Context, c *claim, rec callstate.ToolRecord, version int64) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return errors.New("core: tool record encoding failed")
	}
	r := records.Record{Key: c.key, Value: value, Version: version}
	if c.window > 0 {
		r.Expires = p.on.Now().Add(c.window)
	}
	if rec.State != callstate.ToolRunning || c.idKey == "" || c.idRecorded {
		return p.on.Store.Commit(ctx, r)
	}
	return p.on.Store.Commit(ctx, r, records.Record{Key: c.idKey, Value: []byte(c.key), Expires: r.Expires})
}

// invocation returns what the tool is given of the request.
func (c *claim) invocation(rec callstate.ToolRecord) Invocation {
	_, name, _ := records.SplitKey(c.key)
	return Invocation{Tool: c.t.Name, Call: c.q.call, IdempotencyKey: name, FencingToken: rec.Fence}
}
