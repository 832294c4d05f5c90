package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
)

// A fakeTable is what a batcher inserts into. Each insert takes a millisecond.
type fakeTable struct {
	fail func(jobs []river.InsertManyParams) error

	mu      sync.Mutex
	batches [][]string
}

func (f *fakeTable) insert(ctx context.Context, jobs []river.InsertManyParams) error {
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		if err := fail(jobs); err != nil {
			return err
		}
	}
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = string(j.Args.(eventArgs).Packed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, names)
	return nil
}

func (f *fakeTable) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = nil
}

func named(names ...string) []river.InsertManyParams {
	jobs := make([]river.InsertManyParams, len(names))
	for i, n := range names {
		jobs[i].Args = eventArgs{Packed: []byte(n)}
	}
	return jobs
}

func putJobs(ctx context.Context, b *batcher, jobs []river.InsertManyParams, size int) error {
	return b.put(ctx, &put{jobs: jobs, size: size})
}

// inBubble runs a batcher over f while the test runs, on a fake clock.
func inBubble(t *testing.T, f *fakeTable, test func(t *testing.T, b *batcher, stop func() error)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(1, f.insert)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.run(ctx) }()
		stop := sync.OnceValue(func() error { cancel(); return <-ended })
		defer stop()
		test(t, b, stop)
	})
}

func TestBatchLonePutDoesNotWait(t *testing.T) {
	inBubble(t, new(fakeTable), func(t *testing.T, b *batcher, _ func() error) {
		start := time.Now()
		if err := putJobs(t.Context(), b, named("a"), 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("took %v; want the time of one insert", took)
		}
	})
}

func TestBatchSharesCommits(t *testing.T) {
	f := new(fakeTable)
	inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if err := putJobs(t.Context(), b, named(fmt.Sprint(i), fmt.Sprint(i, "+")), 1000); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(f.batches); n < 2000/maxBatchJobs || n > 2000/maxBatchJobs+2 {
			t.Errorf("%d commits for 2000 jobs; want batches of %d", n, maxBatchJobs)
		}
		for _, names := range f.batches {
			if len(names) > maxBatchJobs {
				t.Errorf("a commit of %d jobs", len(names))
			}
		}
		if b.bytes != 0 {
			t.Errorf("%d bytes still count as waiting", b.bytes)
		}
	})
}

func TestBatchBoundsBytesOfACommit(t *testing.T) {
	f := new(fakeTable)
	inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
		var wg sync.WaitGroup
		for i := range 9 {
			wg.Go(func() { _ = putJobs(t.Context(), b, named(fmt.Sprint(i)), maxBatchBytes/2) })
		}
		wg.Wait()
		for _, names := range f.batches {
			if len(names) > 2 {
				t.Errorf("%d halves in a commit", len(names))
			}
		}
	})
}

func TestBatchOneBadPutFailsAlone(t *testing.T) {
	f := &fakeTable{fail: func(jobs []river.InsertManyParams) error {
		if slices.ContainsFunc(jobs, func(j river.InsertManyParams) bool { return string(j.Args.(eventArgs).Packed) == "bad" }) {
			return stateError("22P02")
		}
		return nil
	}}
	inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
		var wg sync.WaitGroup
		for i := range 20 {
			name, wantErr := fmt.Sprint(i), i == 7
			if wantErr {
				name = "bad"
			}
			wg.Go(func() {
				if err := putJobs(t.Context(), b, named(name), 1); (err != nil) != wantErr {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestBatchRidesOutARestart(t *testing.T) {
	start := time.Time{}
	f := &fakeTable{fail: func([]river.InsertManyParams) error {
		if time.Since(start) < retryTime/2 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}}
	inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
		start = time.Now()
		if err := putJobs(t.Context(), b, named("a"), 1); err != nil {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestBatchGivesUp(t *testing.T) {
	for name, fail := range map[string]error{"connection lost": io.EOF, "busy": codeError(5), "full": codeError(13), "unknown": errors.New("?")} {
		t.Run(name, func(t *testing.T) {
			f := &fakeTable{fail: func([]river.InsertManyParams) error { return fail }}
			inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
				start := time.Now()
				err := putJobs(t.Context(), b, named("a"), 1)
				if !errors.Is(err, fail) || time.Since(start) > 2*retryTime {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				f.heal()
				if err := putJobs(t.Context(), b, named("b"), 1); err != nil {
					t.Errorf("the next put: %v", err)
				}
			})
		})
	}
}

// After a failed fsync nobody knows what is on the disk: no more promises.
func TestBatchStopsAfterDiskError(t *testing.T) {
	f := &fakeTable{fail: func([]river.InsertManyParams) error { return codeError(10 | 4<<8) }}
	inBubble(t, f, func(t *testing.T, b *batcher, stop func() error) {
		if err := putJobs(t.Context(), b, named("a"), 1); err == nil {
			t.Error("a put that met a disk error succeeded")
		}
		f.heal()
		if err := putJobs(t.Context(), b, named("b"), 1); err == nil {
			t.Error("a put after a disk error succeeded")
		}
		if err := stop(); kindOf(err) != errorDisk {
			t.Errorf("run returned %v", err)
		}
	})
}

func TestBatchRefusesTooMuch(t *testing.T) {
	f := &fakeTable{fail: func([]river.InsertManyParams) error { return io.EOF }}
	inBubble(t, f, func(t *testing.T, b *batcher, _ func() error) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _ = putJobs(ctx, b, named("a"), maxQueuedBytes/8) })
		}
		synctest.Wait()
		if err := putJobs(ctx, b, named("b"), 1); !errors.Is(err, ErrOverloaded) {
			t.Errorf("got %v; want ErrOverloaded", err)
		}
		cancel()
		wg.Wait()
		f.heal()
		time.Sleep(2 * retryTime)
		synctest.Wait()
		if err := putJobs(t.Context(), b, named("c"), 1); err != nil || b.bytes != 0 {
			t.Errorf("later: %v, %d bytes wait", err, b.bytes)
		}
	})
}

func TestBatchStopCommitsWhatWaits(t *testing.T) {
	f := new(fakeTable)
	inBubble(t, f, func(t *testing.T, b *batcher, stop func() error) {
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				if err := putJobs(t.Context(), b, named(fmt.Sprint(i)), 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
		wg.Wait()
		if err := putJobs(t.Context(), b, named("late"), 1); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v; want ErrStopped", err)
		}
	})
}

func TestBatchCallerLeaves(t *testing.T) {
	inBubble(t, new(fakeTable), func(t *testing.T, b *batcher, _ func() error) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Microsecond)
		defer cancel()
		if err := putJobs(ctx, b, named("a"), 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := putJobs(t.Context(), b, named("b"), 1); err != nil {
			t.Error(err)
		}
	})
}

type stateError string

func (e stateError) Error() string    { return "CANARY" }
func (e stateError) SQLState() string { return string(e) }

type codeError int

func (e codeError) Error() string { return "CANARY" }
func (e codeError) Code() int     { return int(e) }
