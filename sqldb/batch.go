package sqldb

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/serverurl/serverurl/internal/errcode"
)

// ErrOverloaded is returned by Put if the events that wait for a commit would
// take too much memory. Nothing was stored; the sender may try again.
var ErrOverloaded = errcode.Passing("sqldb: too many events wait for the database")

// ErrStopped is returned by Put after the inbox has stopped. Nothing was stored.
var ErrStopped = errcode.Passing("sqldb: the inbox has stopped")

// A put is the events of one Put that wait for a commit.
type put struct {
	ctx  context.Context // of the caller
	jobs []river.InsertManyParams
	size int
	done chan error // buffered

	priority  int     // 1 is first; 0 counts as 1
	update    *update // set if it is one conversation-update
	coalesced []*put  // earlier updates that this one is stored instead of
}

// hasWaiter reports whether any caller still waits for p.
func (p *put) hasWaiter() bool {
	return p.ctx.Err() == nil || slices.ContainsFunc(p.coalesced, (*put).hasWaiter)
}

// finish returns err to every caller that waits for p.
func (p *put) finish(err error) {
	p.done <- err
	for _, o := range p.coalesced {
		o.finish(err)
	}
}

// A batcher lets concurrent puts share a commit: those that arrive while one
// commit waits for the disk go into the next. It adds no delay of its own, so a
// single put costs one commit and many cost little more.
type batcher struct {
	// insert stores all jobs in one transaction, or none.
	insert     func(ctx context.Context, jobs []river.InsertManyParams) error
	committers int

	mu      sync.Mutex
	waiting []*put
	bytes   int // of waiting puts and of those in a commit
	stopped bool
	fatal   error // the error after which the database cannot be trusted
	wake    chan struct{}

	commits, committed, coalesced int // for tests and benchmarks
}

func newBatcher(committers int, insert func(context.Context, []river.InsertManyParams) error) *batcher {
	return &batcher{insert: insert, committers: committers, wake: make(chan struct{}, committers)}
}

// put waits until p is committed. If ctx ends first, p may or may not be stored.
func (b *batcher) put(ctx context.Context, p *put) error {
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
	case b.bytes > 0 && b.bytes+p.size > queueLimit(p.priority):
		return ErrOverloaded
	}
	b.waiting = append(b.waiting, p)
	b.bytes += p.size
	b.signal()
	return nil
}

// busy reports whether any put waits for a commit.
func (b *batcher) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes > 0
}

// queueLimit is how many bytes may wait if a put of the priority is to be
// accepted, so that a burst of less important events leaves memory for more
// important ones.
func queueLimit(priority int) int {
	switch {
	case priority <= 1:
		return maxQueuedBytes
	case priority < lowestPriority:
		return maxQueuedBytes * 3 / 4
	}
	return maxQueuedBytes / 2
}

func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // there are as many wake-ups as committers already
	}
}

// run commits until ctx ends, then commits the puts that still wait and returns
// nil. It returns early with an error after which the database cannot be
// trusted.
func (b *batcher) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range b.committers {
		group.Go(func() error { return b.commitUntil(ctx) })
	}
	err := group.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, p := range b.waiting { // only after an error; otherwise there are none
		p.finish(ErrStopped)
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

// take removes the next batch from the waiting puts.
func (b *batcher) take() []*put {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > maxBatchJobs || b.bytes > maxBatchBytes {
		b.prioritize()
	}
	var batch []*put
	jobs, size, n := 0, 0, 0
	for _, p := range b.waiting {
		if len(batch) > 0 && (jobs+len(p.jobs) > maxBatchJobs || size+p.size > maxBatchBytes) {
			break
		}
		n++
		if !p.hasWaiter() { // every caller has given up
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

// commit stores a batch and finishes its puts. One that can never be stored does
// not prevent the others.
func (b *batcher) commit(ctx context.Context, batch []*put) {
	err := b.store(ctx, batch)
	if len(batch) > 1 && kindOf(err) == errorPermanent {
		for _, p := range batch {
			b.commit(ctx, []*put{p})
		}
		return
	}
	b.mu.Lock()
	if kindOf(err) == errorDisk {
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
		p.finish(err)
	}
}

// store inserts a batch and retries while the database is unavailable or busy.
// An attempt whose result was lost may have stored it, so an event can be in the
// inbox twice: an inbox delivers at least once.
func (b *batcher) store(ctx context.Context, batch []*put) error {
	var jobs []river.InsertManyParams
	for _, p := range batch {
		jobs = append(jobs, p.jobs...)
	}
	start := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, commitTimeout)
		err := b.insert(try, jobs)
		cancel()
		if err == nil {
			return nil
		}
		err = wrap("put", err)
		if !kindOf(err).temporary() || ctx.Err() != nil || time.Since(start) > retryTime {
			return err
		}
		time.Sleep(rand.N(pause))
	}
}
