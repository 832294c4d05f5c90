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

// A plan says how much of everything.
type plan struct {
	drain      time.Duration // how long deliveries may take after the kills
	cycles     int           // of SIGKILL
	killRate   float64
	keys, dups int
	keyRate    float64 // new requests per second, each with its duplicates
	settle     bool    // wait until the owners that died count as dead, and ask again
	zombie     bool
	stops      int // of the database
	rate       float64
	rateFor    time.Duration
	p99        time.Duration // 0: measured only
	replies    int
	replyRate  float64
	slowest    time.Duration
	synced     int
}

// deadline is when a caller hears that nothing is said (docs/events.md#hang).
const deadline = 5 * time.Second

func planOf(store string, quick bool) plan {
	p := plan{
		drain: 100 * time.Second, cycles: 500, killRate: 400, keys: 2000, dups: 20, keyRate: 50, settle: true, zombie: true, stops: 30,
		rate: 1000, rateFor: 2 * time.Minute, p99: 50 * time.Millisecond, replies: 5000, replyRate: 100, slowest: 8 * time.Second, synced: 300,
	}
	if quick {
		p.drain, p.cycles, p.keys, p.settle, p.zombie, p.stops = 5*time.Second, 20, 60, false, false, 2
		p.rate, p.rateFor, p.p99, p.replies, p.replyRate, p.synced = 300, 4*time.Second, 0, 300, 50, 50
	}
	switch store {
	case "sqlite":
		p.stops = 0
	case "postgres":
		p.synced = 0
	case "dynamodb": // moto takes some hundred writes a second
		p.stops, p.rate, p.synced, p.zombie, p.settle = 0, 0, 0, false, false
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
	keep      bool   // leaves the files of failed ones
	env       []string
	seed      uint64
	say       io.Writer // progress

	n int
}

// A Result is what came of an experiment.
type Result struct {
	Name    string
	Store   string
	Did     string // "500 kills, 61,204 events acknowledged"
	Figures string // measured, not judged
	Counts  Counts
	Failed  []string // what else is not as it has to be
	Took    time.Duration
}

func (r Result) ok() bool { return r.Counts.zero() && len(r.Failed) == 0 }

func (r *Result) fail(format string, args ...any) {
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// with runs f on a fresh site, and then ends it. Files of a broken promise are
// left, to be looked at.
func (r *runner) with(res *Result, processes int, f func(site) error) error {
	r.n++
	dir := filepath.Join(r.dir, fmt.Sprintf("%s-%d", r.store, r.n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := openSite(r.store, options{dir: dir, processes: processes, programs: r.programs, env: r.env})
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

// random is the source of an experiment's faults, its own so that one
// experiment alone does what it did among others.
func (r *runner) random(name string) *rand.Rand {
	sum := r.seed
	for _, c := range name + r.store {
		sum = sum*1099511628211 + uint64(c)
	}
	return rand.New(rand.NewPCG(sum, 1))
}

func (r *runner) progress(format string, args ...any) {
	fmt.Fprintf(r.say, "%s %s: %s\n", time.Now().UTC().Format("15:04:05"), r.store, fmt.Sprintf(format, args...))
}

// every says something from time to time until it is stopped.
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

// look ends the processes and holds what is kept against the history.
func (r *runner) look(ctx context.Context, s site, h *history, res *Result, settle time.Duration) error {
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
		res.Figures += fmt.Sprintf("; %d events dead", v.dead)
	}
	if waiting > v.dead {
		res.Figures += fmt.Sprintf("; %d not delivered yet", waiting-v.dead)
	} else {
		res.Figures += fmt.Sprintf("; all delivered %.1f s later", drained.Seconds())
	}
	for status, n := range h.odd {
		res.fail("%d events answered %s", n, status)
	}
	return err
}

// stalls watches this machine: it returns the longest time for which a process
// that only had to wake up did not. Replies cannot be quicker.
func stalls(ctx context.Context) (longest func() time.Duration) {
	var most time.Duration
	stop := background(ctx, func(ctx context.Context) error {
		const tick = 10 * time.Millisecond
		for last := time.Now(); ctx.Err() == nil; {
			time.Sleep(tick)
			now := time.Now()
			most = max(most, now.Sub(last)-tick)
			last = now
		}
		return nil
	})
	return func() time.Duration { _ = stop(); return most }
}

// background runs f until stop, which returns what f returned.
func background(ctx context.Context, f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = f(ctx) })
	return func() error { cancel(); wg.Wait(); return err }
}
