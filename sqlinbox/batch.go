package sqlinbox

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/serverurl/serverurl/core/event"
)

// ErrOverloaded reports that more events wait for a commit than memory should
// hold. Nothing was stored; the sender may try again.
var ErrOverloaded = errors.New("sqlinbox: too many events wait for the database")

// ErrStopped reports a Put after the inbox has stopped. Nothing was stored.
var ErrStopped = errors.New("sqlinbox: the inbox has stopped")

// A put is the events of one Put, on their way into a commit.
type put struct {
	ctx  context.Context // of who waits
	jobs []river.InsertManyParams
	size int
	done chan error // has room for the answer

	lane   int     // 1 first; 0 counts as 1
	update *update // it is one conversation-update
	stands []*put  // for these, which are not stored
}

// awaited reports whether somebody still waits for p.
func (p *put) awaited() bool {
	return p.ctx.Err() == nil || slices.ContainsFunc(p.stands, (*put).awaited)
}

// answer tells everybody who waits for p.
func (p *put) answer(err error) {
	p.done <- err
	for _, o := range p.stands {
		o.answer(err)
	}
}

// A batcher lets concurrent puts share a commit: whatever has come while one
// commit was waiting for the disk goes into the next. It adds no delay of its
// own, so a lone put costs one commit and many cost little more.
type batcher struct {
	// insert stores all jobs in one transaction, or none.
	insert     func(ctx context.Context, jobs []river.InsertManyParams) error
	committers int

	mu      sync.Mutex
	waiting []*put
	bytes   int // of waiting puts and of those in a commit
	stopped bool
	fatal   error
	wake    chan struct{}

	commits, committed, coalesced int // for tests and benchmarks
}

func newBatcher(committers int, insert func(context.Context, []river.InsertManyParams) error) *batcher {
	return &batcher{insert: insert, committers: committers, wake: make(chan struct{}, committers)}
}

// put waits until the jobs are committed. When ctx ends before, they may be
// stored or not.
func (b *batcher) put(ctx context.Context, jobs []river.InsertManyParams, size int) error {
	return b.putIn(ctx, &put{jobs: jobs, size: size})
}

func (b *batcher) putIn(ctx context.Context, p *put) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p.ctx, p.done = ctx, make(chan error, 1)
	if err := b.enqueue(p); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *batcher) enqueue(p *put) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fatal != nil:
		return b.fatal
	case b.stopped:
		return ErrStopped
	case b.bytes > 0 && b.bytes+p.size > share(p.lane):
		return ErrOverloaded
	}
	b.waiting = append(b.waiting, p)
	b.bytes += p.size
	b.signal()
	return nil
}

// busy reports whether anybody waits for a commit.
func (b *batcher) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes > 0
}

// share is how many bytes may wait when one of the lane comes, so that a flood
// of what matters less leaves room for what matters more.
func share(lane int) int {
	switch {
	case lane <= 1:
		return maxQueued
	case lane < updateLane:
		return maxQueued * 3 / 4
	}
	return maxQueued / 2
}

func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // as many wake-ups as committers are on their way
	}
}

// run commits until ctx ends, then commits what still waits and returns nil. It
// returns early with the error after which the database cannot be trusted.
func (b *batcher) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range b.committers {
		group.Go(func() error { return b.commitUntil(ctx) })
	}
	err := group.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, p := range b.waiting { // only after an error; else commitUntil has emptied it
		p.answer(ErrStopped)
	}
	b.waiting = nil
	return err
}

func (b *batcher) commitUntil(ctx context.Context) error {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			b.mu.Lock()
			b.stopped = true
			b.mu.Unlock()
		}
		for batch := b.take(); len(batch) > 0; batch = b.take() {
			b.commit(context.WithoutCancel(ctx), batch)
		}
		b.mu.Lock()
		stopped, fatal := b.stopped, b.fatal
		b.mu.Unlock()
		if stopped || fatal != nil {
			return fatal
		}
	}
}

// take removes the next batch from what waits.
func (b *batcher) take() []*put {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > maxBatch || b.bytes > maxBatchBytes {
		b.crowd()
	}
	var batch []*put
	jobs, size, n := 0, 0, 0
	for _, p := range b.waiting {
		if len(batch) > 0 && (jobs+len(p.jobs) > maxBatch || size+p.size > maxBatchBytes) {
			break
		}
		n++
		if !p.awaited() { // nobody waits for it any more
			b.bytes -= p.size
			continue
		}
		batch = append(batch, p)
		jobs += len(p.jobs)
		size += p.size
	}
	clear(b.waiting[:n])
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	} else {
		b.signal()
	}
	return batch
}

// crowd orders what waits by lane, and lets the newest update of a call stand
// for those that it covers.
func (b *batcher) crowd() {
	newest := map[event.CallID]*put{}
	for _, p := range b.waiting {
		if p.update == nil || !p.awaited() {
			continue
		}
		if n := newest[p.update.call]; n == nil || p.update.received.After(n.update.received) && len(p.update.body) >= len(n.update.body) {
			newest[p.update.call] = p
		}
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(p *put) bool {
		if p.update == nil || p.update.tried {
			return false
		}
		n := newest[p.update.call]
		if n == nil || n == p {
			return false
		}
		if !n.update.covers(p.update) {
			p.update.tried = true // comparing takes time
			return false
		}
		n.stands = append(n.stands, p)
		b.bytes -= p.size
		p.jobs = nil // it is not stored, so it need not be held
		b.coalesced++
		return true
	})
	slices.SortStableFunc(b.waiting, func(p, q *put) int { return cmp.Compare(max(1, p.lane), max(1, q.lane)) })
}

// commit stores a batch and answers everybody in it. One that cannot be stored
// at all does not keep the others out.
func (b *batcher) commit(ctx context.Context, batch []*put) {
	err := b.store(ctx, batch)
	if len(batch) > 1 && kindOf(err) == errorOfData {
		for _, p := range batch {
			b.commit(ctx, []*put{p})
		}
		return
	}
	b.mu.Lock()
	if kindOf(err) == errorOfDisk {
		b.fatal = err
	}
	for _, p := range batch {
		b.bytes -= p.size
	}
	if err == nil {
		b.commits++
		b.committed += len(batch)
	}
	b.mu.Unlock()
	for _, p := range batch {
		p.answer(err)
	}
}

// store inserts a batch, again and again while the database is only away or
// busy. A try whose answer was lost may have stored it, so an event can be in
// the inbox twice: an inbox delivers at least once.
func (b *batcher) store(ctx context.Context, batch []*put) error {
	var jobs []river.InsertManyParams
	for _, p := range batch {
		jobs = append(jobs, p.jobs...)
	}
	start := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, commitTime)
		err := b.insert(try, jobs)
		cancel()
		if err == nil {
			return nil
		}
		err = wrap("put", err)
		if kindOf(err) != errorOfAvailability || ctx.Err() != nil || time.Since(start) > patience {
			return err
		}
		time.Sleep(rand.N(pause))
	}
}
