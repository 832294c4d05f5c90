package core

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/serverurl/serverurl/internal/callstate"
)

// keepRead is how long after it has finished the result of a read is kept for a
// request that asks again: the reply said to ask in a moment.
const keepRead = 20 * time.Second

// reads are the runs of [ReadOnly] tools that have outlived their reply, within
// this instance. The next request for the same joins the run, so that a slow
// tool is answered in the end. It does not join if something was changed since
// the run began: what was read may be history.
type reads struct {
	mu      sync.Mutex
	late    map[string]*lateRead
	changed map[string]int64 // how many side effects of a tenant without a call have ended here
}

// A lateRead is a run that goes on after its reply.
type lateRead struct {
	*run
	began   time.Time
	changed int64
}

// read answers a request to a tool that changes nothing.
func (p *Processor) read(ctx context.Context, t *tool, q toolRequest, canon []byte) toolAnswer {
	key := callstate.Digest("read", q.from.tenant(), t.Name, string(q.call), string(canon)+q.listed(t))
	r := p.joinRead(ctx, key, q)
	if r == nil {
		r = &lateRead{began: time.Now(), changed: p.reads.changes(q.from.tenant())}
		r.run = p.start(ctx, t, canon, Invocation{Tool: t.Name, Call: q.call}, p.on.BackgroundGrace)
	}
	select {
	case <-r.done:
		if r.outOfTime {
			break // its context ended first, and its error says no more than that
		}
		p.reads.forget(key, r)
		return r.answer(t, q.say)
	case <-ctx.Done():
		if p.on.BackgroundGrace > 0 {
			p.reads.keep(key, r)
			return toolAnswer{result: q.say().Working, state: callstate.ToolTimedOut}
		}
	}
	p.reads.forget(key, r)
	return toolAnswer{result: q.say().TooSlow, state: callstate.ToolTimedOut}
}

// joinRead returns the run of the same read that goes on, or nil if there is
// none, or it may have read what has changed since.
func (p *Processor) joinRead(ctx context.Context, key string, q toolRequest) *lateRead {
	r := p.reads.find(key)
	if r == nil || r.changed != p.reads.changes(q.from.tenant()) && q.call == "" {
		return nil
	}
	if q.call == "" {
		return r
	}
	recs, err := p.on.Store.Get(ctx, scope{dir: callstate.ToolsDir(q.call), counted: true}.countKey())
	if err != nil || recs[0].Version != 0 && recs[0].Age <= time.Since(r.began) {
		return nil
	}
	return r
}

func (rs *reads) changes(tenant string) int64 {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.changed[tenant]
}

// noteChange is called when a side effect of a tenant without a call has ended.
func (rs *reads) noteChange(tenant string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.changed == nil {
		rs.changed = map[string]int64{}
	}
	rs.changed[tenant]++
}

func (rs *reads) find(key string) *lateRead {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.late[key]; r != nil && !r.isOld() {
		return r
	}
	return nil
}

// keep keeps a run, and lets go of those that nobody asked about again.
func (rs *reads) keep(key string, r *lateRead) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.late == nil {
		rs.late = map[string]*lateRead{}
	}
	maps.DeleteFunc(rs.late, func(_ string, r *lateRead) bool { return r.isOld() })
	rs.late[key] = r
}

// isOld reports whether a run has finished too long ago.
func (r *lateRead) isOld() bool {
	select {
	case <-r.done:
		return time.Since(r.ended) > keepRead
	default:
		return false
	}
}

func (rs *reads) forget(key string, r *lateRead) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.late[key] == r {
		delete(rs.late, key)
	}
}
