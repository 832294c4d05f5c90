package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A plan has the amounts of load and faults.
type plan struct {
	drain      time.Duration // how long deliveries may take after the faults
	cycles     int           // of SIGKILL and restart
	killRate   float64
	keys, dups int
	keyRate    float64 // new requests per second, each with its duplicates
	settle     bool    // wait for the leases of killed owners, and retry
	minds      int     // callers who change theirs
	turns      int     // how often
	staleOwner bool
	stops      int // restarts of the database
	rate       float64
	rateFor    time.Duration
	p99        time.Duration // the limit; 0: none
	replies    int           // tool calls
	replyRate  float64
	slowest    time.Duration // latency of the store
	fsyncs     int
}

// deadline is when a caller hears silence (docs/events.md#hang).
const deadline = 5 * time.Second

func planOf(store string, quick bool) plan {
	p := plan{
		drain: 100 * time.Second, cycles: 500, killRate: 400, keys: 2000, dups: 20, keyRate: 50, settle: true, minds: 200, turns: 20, staleOwner: true, stops: 30,
		rate: 1000, rateFor: 2 * time.Minute, p99: 50 * time.Millisecond, replies: 5000, replyRate: 100, slowest: 8 * time.Second, fsyncs: 300,
	}
	if quick {
		p.drain, p.cycles, p.keys, p.settle, p.minds, p.turns, p.staleOwner, p.stops = 5*time.Second, 20, 60, false, 10, 10, false, 2
		p.rate, p.rateFor, p.p99, p.replies, p.replyRate, p.fsyncs = 300, 4*time.Second, 0, 300, 50, 50
	}
	switch store {
	case "sqlite":
		p.stops = 0
	case "postgres":
		p.fsyncs = 0
	case "dynamodb": // moto handles some hundred writes per second
		p.stops, p.rate, p.fsyncs, p.staleOwner, p.settle = 0, 0, 0, false, false
		p.killRate, p.keys, p.keyRate, p.replies, p.replyRate = 20, min(p.keys, 200), 2, min(p.replies, 300), 6
		if quick {
			p.cycles, p.keys, p.replies = 10, 20, 40
		}
	}
	return p
}

// A runner runs experiments on one kind of store.
type runner struct {
	store     string
	processes int
	programs  programs
	dir       string // for the files of all of them
	keep      bool   // keep the files of experiments that passed
	env       []string
	seed      uint64
	log       io.Writer // progress

	n int
}

// A Result is the outcome of an experiment.
type Result struct {
	Name     string
	Store    string
	Summary  string // "500 kills, 61,204 events acknowledged"
	Figures  string // measured, without limits
	Counts   Counts
	Failed   []string // violations that Counts does not have
	Duration time.Duration
}

func (r Result) ok() bool { return r.Counts.zero() && len(r.Failed) == 0 }

func (r *Result) fail(format string, args ...any) {
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// with runs f in a fresh environment, and then closes it. If a promise was broken,
// the files are kept for inspection.
func (r *runner) with(res *Result, processes int, f func(environment) error) error {
	r.n++
	dir := filepath.Join(r.dir, fmt.Sprintf("%s-%d", r.store, r.n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := openEnvironment(r.store, options{dir: dir, processes: processes, programs: r.programs, env: r.env})
	if err != nil {
		return err
	}
	err = f(s)
	s.close()
	if err == nil && res.ok() && !r.keep {
		err = os.RemoveAll(dir)
	}
	return err
}

// random returns the source of an experiment's faults. Each has its own, so that it
// does the same alone as among others.
func (r *runner) random(name string) *rand.Rand {
	sum := r.seed
	for _, c := range name + r.store {
		sum = sum*1099511628211 + uint64(c)
	}
	return rand.New(rand.NewPCG(sum, 1))
}

func (r *runner) progress(format string, args ...any) {
	fmt.Fprintf(r.log, "%s %s: %s\n", time.Now().UTC().Format("15:04:05"), r.store, fmt.Sprintf(format, args...))
}

// every logs what() at an interval until it is stopped.
func (r *runner) every(d time.Duration, what func() string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(d):
				r.progress("%s", what())
			}
		}
	}()
	return func() { close(done); <-ended }
}

// verifyEvents stops the processes and compares the store with the history.
func (r *runner) verifyEvents(ctx context.Context, s environment, h *history, res *Result, settle time.Duration) error {
	began := time.Now()
	if err := s.settle(ctx, settle); err != nil {
		return err
	}
	drained := time.Since(began)
	if err := s.stop(); err != nil {
		res.fail("%v", err)
	}
	v, err := s.view(ctx)
	if err != nil {
		return err
	}
	c, waiting, err := checkEvents(ctx, v, h)
	if err == nil {
		var files Counts
		files, err = checkFiles(v.files, s.logs())
		c.add(files)
	}
	if failed := v.close(); err == nil {
		err = failed
	}
	res.Counts.add(c)
	if v.dead > 0 {
		res.Figures += fmt.Sprintf("; %d dead letters", v.dead)
	}
	if waiting > v.dead {
		res.Figures += fmt.Sprintf("; %d not delivered yet", waiting-v.dead)
	} else {
		res.Figures += fmt.Sprintf("; all delivered %.1f s later", drained.Seconds())
	}
	for status, n := range h.unexpected {
		res.fail("%d events were answered %s", n, status)
	}
	return err
}

// stalls measures this machine: it returns the longest delay of a goroutine that
// only had to wake up. Replies cannot be faster.
func stalls(ctx context.Context) (longest func() time.Duration) {
	var maxStall time.Duration
	stop := background(ctx, func(ctx context.Context) error {
		const tick = 10 * time.Millisecond
		for last := time.Now(); ctx.Err() == nil; {
			time.Sleep(tick)
			now := time.Now()
			maxStall = max(maxStall, now.Sub(last)-tick)
			last = now
		}
		return nil
	})
	return func() time.Duration { _ = stop(); return maxStall }
}

// background runs f until stop is called, which returns the error of f.
func background(ctx context.Context, f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = f(ctx) })
	return func() error { cancel(); wg.Wait(); return err }
}
