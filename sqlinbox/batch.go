package sqlinbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"
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

	commits, committed int // for tests and benchmarks
}

func newBatcher(committers int, insert func(context.Context, []river.InsertManyParams) error) *batcher {
	return &batcher{insert: insert, committers: committers, wake: make(chan struct{}, committers)}
}

// put waits until the jobs are committed. When ctx ends before, they may be
// stored or not.
func (b *batcher) put(ctx context.Context, jobs []river.InsertManyParams, size int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p := &put{ctx: ctx, jobs: jobs, size: size, done: make(chan error, 1)}
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
	case b.bytes > 0 && b.bytes+p.size > maxQueued:
		return ErrOverloaded
	}
	b.waiting = append(b.waiting, p)
	b.bytes += p.size
	b.signal()
	return nil
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
		p.done <- ErrStopped
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
	var batch []*put
	jobs, size, n := 0, 0, 0
	for _, p := range b.waiting {
		if len(batch) > 0 && (jobs+len(p.jobs) > maxBatch || size+p.size > maxBatchBytes) {
			break
		}
		n++
		if p.ctx.Err() != nil { // nobody waits for it any more
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
		p.done <- err
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
