package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// newLoad returns a load on the processes that are listening.
func newLoad(s environment, prefix string, size int, rate float64, h *history) (*load, error) {
	events, err := callEvents(size)
	if err != nil {
		return nil, err
	}
	return &load{urls: s.urls, client: newClient(), events: events, prefix: prefix, rate: rate, duplicateShare: 0.1, calls: 20, h: h, slots: make(chan struct{}, 512)}, nil
}

// roundCycles is after how many kills a new database is created. Each start of the
// program checks the whole database, so it must not grow too large.
const roundCycles = 100

// crash kills processes under load, repeatedly.
func (r *runner) crash(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "crash", Store: r.store}
	began, rnd := time.Now(), r.random("crash")
	var starts []time.Duration
	acked, tried := 0, 0
	var killed atomic.Int64 // also read by the progress log
	done := 0
	for round := 0; done < p.cycles && ctx.Err() == nil; round++ {
		n := min(roundCycles, p.cycles-done)
		h := newHistory()
		before := acked
		stop := r.every(5*time.Second, func() string {
			return fmt.Sprintf("crash: %d of %d, %d events acknowledged", killed.Load(), p.cycles, before+h.acknowledged())
		})
		err := r.with(&res, r.processes, func(s environment) error {
			l, err := newLoad(s, fmt.Sprintf("CK%d-%d", r.seed%1000, round), 0, p.killRate, h)
			if err != nil {
				return err
			}
			stopLoad := background(ctx, func(ctx context.Context) error {
				l.run(ctx, rand.New(rand.NewPCG(r.seed, uint64(round))))
				return nil
			})
			for k := 0; k < n && ctx.Err() == nil; k++ {
				if err := waitForAcks(ctx, h, 1+rnd.IntN(40)); err != nil {
					_ = stopLoad()
					return err
				}
				took, err := s.kill(rnd, k%10 == 9)
				if err != nil {
					_ = stopLoad()
					return err
				}
				starts = append(starts, took)
				done++
				killed.Store(int64(done))
			}
			_ = stopLoad()
			// What a killed process was delivering is redelivered after a while.
			settle := p.drain
			if done < p.cycles {
				settle = min(settle, 2*time.Second)
			}
			return r.verifyEvents(context.WithoutCancel(ctx), s, h, &res, settle)
		})
		stop()
		acked, tried = acked+h.count, tried+h.tried
		res.Summary = fmt.Sprintf("%d kills, %d events acknowledged of %d sent", done, acked, tried)
		if err != nil {
			return res, err
		}
		if !res.ok() {
			break // keep the files of this round
		}
		if res.Figures = ""; p.cycles > roundCycles {
			r.progress("crash: %d of %d, %s: %v", done, p.cycles, res.Summary, res.Counts)
		}
	}
	if r.store != "dynamodb" {
		res.Figures += fmt.Sprintf("; restart until serving: median %d ms, 99%% within %d ms", quantile(starts, 0.5).Milliseconds(), quantile(starts, 0.99).Milliseconds())
	}
	res.Duration = time.Since(began)
	return res, nil
}

// waitForAcks waits for n more acknowledgments.
func waitForAcks(ctx context.Context, h *history, n int) error {
	want := h.acknowledged() + n
	for end := time.Now().Add(3 * time.Minute); h.acknowledged() < want && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("events are no longer acknowledged")
		}
	}
	return nil
}

// dbRestart restarts the database under load.
func (r *runner) dbRestart(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "db-restart", Store: r.store}
	began, rnd, h := time.Now(), r.random("db-restart"), newHistory()
	var stopped atomic.Int64
	stop := r.every(5*time.Second, func() string {
		return fmt.Sprintf("db-restart: %d of %d, %d events acknowledged", stopped.Load(), p.stops, h.acknowledged())
	})
	defer stop()
	err = r.with(&res, r.processes, func(s environment) error {
		l, err := newLoad(s, "CS", 0, p.killRate, h)
		if err != nil {
			return err
		}
		stopLoad := background(ctx, func(ctx context.Context) error { l.run(ctx, rand.New(rand.NewPCG(r.seed, 0))); return nil })
		tools := newReplies()
		stopTools := background(ctx, func(ctx context.Context) error {
			r.bookUntil(ctx, s, rand.New(rand.NewPCG(r.seed, 2)), tools)
			return nil
		})
		for ; stopped.Load() < int64(p.stops) && ctx.Err() == nil; stopped.Add(1) {
			if err = waitForAcks(ctx, h, 50+rnd.IntN(200)); err != nil {
				break
			}
			if err = s.restart(time.Duration(rnd.Int64N(int64(2 * time.Second)))); err != nil {
				break
			}
		}
		_ = stopLoad()
		_ = stopTools()
		if err != nil {
			return err
		}
		if err := r.verifyEvents(context.WithoutCancel(ctx), s, h, &res, p.drain); err != nil {
			return err
		}
		return r.verifyTools(s, tools, &res, 0)
	})
	res.Summary = fmt.Sprintf("%d restarts after 0 to 2 s, %d events acknowledged, %d answered 503", stopped.Load(), h.count, h.busy)
	res.Duration = time.Since(began)
	return res, err
}

// throughput sends at a fixed rate and measures latencies.
func (r *runner) throughput(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "throughput", Store: r.store}
	began, h, stalled := time.Now(), newHistory(), stalls(ctx)
	missed := 0
	stop := r.every(5*time.Second, func() string { return fmt.Sprintf("throughput: %d events acknowledged", h.acknowledged()) })
	defer stop()
	err = r.with(&res, 1, func(s environment) error {
		l, err := newLoad(s, "CR", 8200, p.rate, h)
		if err != nil {
			return err
		}
		l.duplicateShare, l.calls = 0, 200
		loading, cancel := context.WithTimeout(ctx, p.rateFor)
		l.run(loading, r.random("throughput"))
		cancel()
		missed = l.missed
		return r.verifyEvents(ctx, s, h, &res, 10*time.Minute)
	})
	p50, p99, p999 := quantile(h.times, 0.5), quantile(h.times, 0.99), quantile(h.times, 0.999)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	res.Summary = fmt.Sprintf("%d events of 10 kB at %.0f/s, %d acknowledged", h.tried+missed, p.rate, h.count)
	res.Figures = fmt.Sprintf("median %.1f ms, 99%% within %.1f ms, 99.9%% within %.1f ms; the machine stalled for up to %.1f ms", ms(p50), ms(p99), ms(p999), ms(stalled())) + res.Figures
	if h.count != h.tried || missed > 0 {
		res.fail("%d events were not acknowledged", h.tried+missed-h.count)
	}
	if p.p99 > 0 && p99 > p.p99 {
		res.fail("99%% within %.1f ms, want %v", ms(p99), p.p99)
	}
	res.Duration = time.Since(began)
	return res, err
}

// fsync reads a trace of the program's system calls: it must have waited for the
// disk between the request of an event and its 200.
func (r *runner) fsync(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "fsync", Store: r.store}
	strace, err := exec.LookPath("strace")
	if err != nil {
		return res, fmt.Errorf("strace is required to observe writes to the disk: %w", err)
	}
	began := time.Now()
	events, err := callEvents(0)
	if err != nil {
		return res, err
	}
	dir := filepath.Join(r.dir, "fsync")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return res, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return res, err
	}
	defer log.Close()
	trace := filepath.Join(dir, "trace")
	program, err := start(strace, log, []string{"-D", "-f", "-qq", "-s", "16", "-e", "trace=write,fsync,fdatasync", "-o", trace,
		r.programs.server, "-addr", "127.0.0.1:0", "-database", filepath.Join(dir, "serverurl.db")}, append([]string{"SERVERURL_SECRET=" + secret}, r.env...))
	if err != nil {
		return res, err
	}
	defer program.kill()
	client, acked := newClient(), 0
	for i := range p.fsyncs {
		status, _, err := post(ctx, client, program.root+"/events", events[0].of(fmt.Sprintf("CW-%d", i), fmt.Sprintf("w.%d", i)))
		if err != nil {
			return res, err
		}
		if status == 200 {
			acked++
		}
	}
	client.CloseIdleConnections()
	if err := program.stop(); err != nil {
		res.fail("%v", err)
	}
	f, err := os.Open(trace)
	if err != nil {
		return res, err
	}
	defer f.Close()
	answers, syncs, since := 0, 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "sync") && strings.Contains(line, "= 0"):
			syncs, since = syncs+1, since+1
		case strings.Contains(line, `"HTTP/1.1 200`):
			if answers++; since == 0 {
				res.Counts.Unsynced++
			}
			since = 0
		}
	}
	if answers < acked {
		res.fail("%d replies in the trace, want %d", answers, acked)
	}
	res.Summary = fmt.Sprintf("%d events in sequence, %d waits for the disk in the system calls", acked, syncs)
	res.Duration = time.Since(began)
	return res, nil
}
