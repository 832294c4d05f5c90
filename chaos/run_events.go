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

// newLoad is senders that follow what listens.
func newLoad(s site, prefix string, size int, rate float64, h *history) (*load, error) {
	ways, err := course(size)
	if err != nil {
		return nil, err
	}
	return &load{urls: s.urls, client: newClient(), ways: ways, prefix: prefix, rate: rate, twice: 0.1, calls: 20, h: h, slots: make(chan struct{}, 512)}, nil
}

// roundCycles bounds how large a database grows in the kills, since each start
// of the program reads it through: a new one is begun after so many.
const roundCycles = 100

// kills kills processes in the middle of the load, again and again.
func (r *runner) kills(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "kills", Store: r.store}
	began, rnd := time.Now(), r.random("kills")
	var starts []time.Duration
	acked, tried := 0, 0
	var killed atomic.Int64 // also read by who tells how far it is
	done := 0
	for round := 0; done < p.cycles && ctx.Err() == nil; round++ {
		n := min(roundCycles, p.cycles-done)
		h := newHistory()
		before := acked
		stop := r.every(5*time.Second, func() string {
			return fmt.Sprintf("kills: %d of %d, %d events acknowledged", killed.Load(), p.cycles, before+h.acknowledged())
		})
		err := r.with(&res, r.processes, func(s site) error {
			l, err := newLoad(s, fmt.Sprintf("CK%d-%d", r.seed%1000, round), 0, p.killRate, h)
			if err != nil {
				return err
			}
			stopLoad := background(ctx, func(ctx context.Context) error {
				l.run(ctx, rand.New(rand.NewPCG(r.seed, uint64(round))))
				return nil
			})
			for k := 0; k < n && ctx.Err() == nil; k++ {
				if err := someMore(ctx, h, 1+rnd.IntN(40)); err != nil {
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
			// What a killed process was delivering is given out again after a while.
			settle := p.drain
			if done < p.cycles {
				settle = min(settle, 2*time.Second)
			}
			return r.look(context.WithoutCancel(ctx), s, h, &res, settle)
		})
		stop()
		acked, tried = acked+h.count, tried+h.tried
		res.Did = fmt.Sprintf("%d kills, %d events acknowledged of %d sent", done, acked, tried)
		if err != nil {
			return res, err
		}
		if !res.ok() {
			break // the files of this round are what to look at
		}
		if res.Figures = ""; p.cycles > roundCycles {
			r.progress("kills: %d of %d, %s: %v", done, p.cycles, res.Did, res.Counts)
		}
	}
	if r.store != "dynamodb" {
		res.Figures += fmt.Sprintf("; restart to serving: half in %d ms, 99%% in %d ms", quantile(starts, 0.5).Milliseconds(), quantile(starts, 0.99).Milliseconds())
	}
	res.Took = time.Since(began)
	return res, nil
}

// someMore waits for n more acknowledgements.
func someMore(ctx context.Context, h *history, n int) error {
	want := h.acknowledged() + n
	for end := time.Now().Add(3 * time.Minute); h.acknowledged() < want && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("no event is acknowledged any more")
		}
	}
	return nil
}

// stops stops the database in the middle of the load.
func (r *runner) stops(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "stops", Store: r.store}
	began, rnd, h := time.Now(), r.random("stops"), newHistory()
	var stopped atomic.Int64
	stop := r.every(5*time.Second, func() string {
		return fmt.Sprintf("database stops: %d of %d, %d events acknowledged", stopped.Load(), p.stops, h.acknowledged())
	})
	defer stop()
	err = r.with(&res, r.processes, func(s site) error {
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
			if err = someMore(ctx, h, 50+rnd.IntN(200)); err != nil {
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
		if err := r.look(context.WithoutCancel(ctx), s, h, &res, p.drain); err != nil {
			return err
		}
		return r.lookAtTools(s, tools, &res, 0)
	})
	res.Did = fmt.Sprintf("%d stops of 0 to 2 s, %d events acknowledged, %d answered 503", stopped.Load(), h.count, h.busy)
	res.Took = time.Since(began)
	return res, err
}

// steady sends at one rate, to measure.
func (r *runner) steady(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "rate", Store: r.store}
	began, h, stalled := time.Now(), newHistory(), stalls(ctx)
	missed := 0
	stop := r.every(5*time.Second, func() string { return fmt.Sprintf("rate: %d events acknowledged", h.acknowledged()) })
	defer stop()
	err = r.with(&res, 1, func(s site) error {
		l, err := newLoad(s, "CR", 8200, p.rate, h)
		if err != nil {
			return err
		}
		l.twice, l.calls = 0, 200
		loading, cancel := context.WithTimeout(ctx, p.rateFor)
		l.run(loading, r.random("rate"))
		cancel()
		missed = l.missed
		return r.look(ctx, s, h, &res, 10*time.Minute)
	})
	p50, p99, p999 := quantile(h.times, 0.5), quantile(h.times, 0.99), quantile(h.times, 0.999)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	res.Did = fmt.Sprintf("%d events of 10 kB at %.0f/s, %d acknowledged", h.tried+missed, p.rate, h.count)
	res.Figures = fmt.Sprintf("half within %.1f ms, 99%% within %.1f ms, 99.9%% within %.1f ms; the machine itself stood still for up to %.1f ms", ms(p50), ms(p99), ms(p999), ms(stalled())) + res.Figures
	if h.count != h.tried || missed > 0 {
		res.fail("%d events were not acknowledged", h.tried+missed-h.count)
	}
	if p.p99 > 0 && p99 > p.p99 {
		res.fail("99%% within %.1f ms, want %v", ms(p99), p.p99)
	}
	res.Took = time.Since(began)
	return res, err
}

// synced looks at the program's system calls: between an event's request and
// its 200 the disk was waited for.
func (r *runner) synced(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "synced", Store: r.store}
	strace, err := exec.LookPath("strace")
	if err != nil {
		return res, fmt.Errorf("strace is needed to see what reaches the disk: %w", err)
	}
	began := time.Now()
	ways, err := course(0)
	if err != nil {
		return res, err
	}
	dir := filepath.Join(r.dir, "synced")
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
	for i := range p.synced {
		status, _, err := post(ctx, client, program.root+"/events", ways[0].of(fmt.Sprintf("CW-%d", i), fmt.Sprintf("w.%d", i)))
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
		res.fail("%d answers in the trace of %d", answers, acked)
	}
	res.Did = fmt.Sprintf("%d events one after the other, %d waits for the disk in the system calls", acked, syncs)
	res.Took = time.Since(began)
	return res, nil
}
