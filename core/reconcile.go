package core

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// ask calls the tool's Reconcile about the run of a record. late is true if the
// reply deadline comes first.
func (p *Processor) ask(ctx context.Context, c *claim, rec callstate.ToolRecord) (result string, applied, late bool, err error) {
	asked := *c.t // so that it runs like the tool, with its deadline and recovery
	asked.run = func(ctx context.Context, args []byte) (v any, err error) {
		v, applied, err = c.t.reconcile(ctx, args)
		if err == nil && !applied {
			return "", nil // its result means nothing
		}
		return v, err
	}
	r := p.start(ctx, &asked, c.args, c.invocation(rec), 0)
	select {
	case <-r.done:
		return r.result(c.t, c.q.say), applied, false, r.err
	case <-ctx.Done():
		return "", false, true, context.Cause(ctx)
	}
}

// reconcile asks the tool for the outcome of a run that is unknown. ok is false
// if the record has changed, and is to be read again.
func (p *Processor) reconcile(ctx context.Context, c *claim, f found) (a toolAnswer, ok bool) {
	uncertain := toolAnswer{result: c.q.say().Uncertain, state: string(callstate.ToolIndeterminate)}
	result, applied, late, err := p.ask(ctx, c, f.rec)
	switch {
	case late:
		return toolAnswer{result: c.q.say().Working, state: callstate.ToolTimedOut}, true
	case err != nil:
		return uncertain, true
	}
	rec := f.rec
	rec.Began = countOf(f.count)
	rec.State, rec.Result, rec.Finished = callstate.ToolAbsent, "", p.on.Now().UTC()
	if applied {
		rec.State, rec.Result = callstate.ToolDone, result
	}
	if err := p.write(ctx, c, f, rec); err != nil && !errors.Is(err, records.ErrStale) {
		return uncertain, true
	}
	return toolAnswer{}, false
}

// askAgain asks the tool whether an effect still holds that was done before. If
// not, the tool runs again.
func (p *Processor) askAgain(ctx, opening context.Context, c *claim, f found) (a toolAnswer, ok bool) {
	result, applied, late, err := p.ask(ctx, c, f.rec)
	switch {
	case late:
		return toolAnswer{result: c.q.say().Working, state: callstate.ToolTimedOut}, true
	case err != nil:
		return p.decline(ctx, c, f), true
	case !applied:
		return p.claimAndRun(ctx, opening, c, f, true)
	}
	// From now on it counts as the latest of what was done.
	rec := f.rec
	rec.Began, rec.Result = countOf(f.count), result
	if err := p.write(ctx, c, f, rec); errors.Is(err, records.ErrStale) {
		return toolAnswer{}, false
	}
	return toolAnswer{result: result, state: string(rec.State), replayed: result == f.rec.Result}, true
}
