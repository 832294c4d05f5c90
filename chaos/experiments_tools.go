package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/chaos/backend"
)

// atMostOnce reports whether the effects of a tool must not be repeated.
func atMostOnce(what string) bool { return what == "book" }

// An order is a request that is sent repeatedly.
type order struct {
	call string
	args backend.Order
}

func (o order) send(ctx context.Context, client *http.Client, url string, to *replies) toolReply {
	a := ask(ctx, client, url, "book", o.call, o.args)
	to.add(o.call+"/"+o.args.Item, a)
	return a
}

// idempotency sends many requests, each of them many times and to all processes,
// while those are killed and paused.
func (r *runner) idempotency(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "idempotency", Store: r.store}
	began, rnd, tools := time.Now(), r.random("idempotency"), newReplies()
	var kills, pauses atomic.Int64
	stop := r.every(5*time.Second, func() string {
		tools.mu.Lock()
		defer tools.mu.Unlock()
		return fmt.Sprintf("idempotency: %d replies, %d kills, %d pauses", tools.n, kills.Load(), pauses.Load())
	})
	defer stop()
	err = r.with(&res, 4, func(s environment) error {
		client := newClient()
		defer client.CloseIdleConnections()
		faults := rand.New(rand.NewPCG(r.seed, 3))
		stopFaults := background(ctx, func(ctx context.Context) error {
			for ctx.Err() == nil {
				sleep(ctx, time.Duration(200+faults.IntN(800))*time.Millisecond)
				if faults.IntN(2) == 0 {
					if _, err := s.kill(faults, false); err != nil {
						return err
					}
					kills.Add(1)
					continue
				}
				if err := s.pause(ctx, faults, time.Duration(50+faults.IntN(2500))*time.Millisecond); err != nil {
					return err
				}
				pauses.Add(1)
			}
			return nil
		})
		var wg sync.WaitGroup
		var orders []order
		for i := range p.keys {
			o := order{fmt.Sprintf("CB-%d", i), backend.Order{Item: fmt.Sprint(i), Before: rnd.IntN(80), After: rnd.IntN(80)}}
			orders = append(orders, o)
			first := began.Add(time.Duration(float64(i) / p.keyRate * float64(time.Second)))
			for range p.dups {
				due, pick := first, rnd.Int()
				if i%2 == 0 { // the others arrive at once
					due = first.Add(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				}
				wg.Go(func() {
					sleep(ctx, time.Until(due))
					if urls := s.urls(); len(urls) > 0 && ctx.Err() == nil {
						o.send(context.WithoutCancel(ctx), client, urls[pick%len(urls)], tools)
					}
				})
			}
		}
		wg.Wait()
		if err := stopFaults(); err != nil {
			return err
		}
		if p.settle {
			if err := r.retryUnresolved(ctx, s, client, orders, tools, &res); err != nil {
				return err
			}
		}
		if err := s.stop(); err != nil {
			res.fail("%v", err)
		}
		return r.verifyTools(s, tools, &res, 0)
	})
	res.Summary = fmt.Sprintf("%d requests × %d over 4 processes, %d kills, %d pauses, %d replies", p.keys, p.dups, kills.Load(), pauses.Load(), tools.n)
	res.Duration = time.Since(began)
	return res, err
}

// lease is after which time core takes a request over from its owner: budget,
// background grace and slack, with the defaults of this server.
const lease = (4 + 20 + 30) * time.Second

// retryUnresolved waits until the leases of killed owners have expired, and retries
// the requests without a result. Then each has one.
func (r *runner) retryUnresolved(ctx context.Context, s environment, client *http.Client, orders []order, tools *replies, res *Result) error {
	r.progress("idempotency: waiting %v for the leases of killed owners", lease+2*time.Second)
	sleep(ctx, lease+2*time.Second)
	open, unresolved := 0, 0
	for _, o := range orders {
		if booked(tools.by[o.call+"/"+o.args.Item]) {
			continue
		}
		open++
		for range 5 {
			o.send(ctx, client, s.urls()[open%len(s.urls())], tools)
			if booked(tools.by[o.call+"/"+o.args.Item]) {
				break
			}
		}
		if !booked(tools.by[o.call+"/"+o.args.Item]) {
			unresolved++
		}
	}
	res.Figures += fmt.Sprintf("; %d requests without a result after the kills, %d of them after a retry", open, unresolved)
	if unresolved > 0 {
		res.fail("%d requests have no result", unresolved)
	}
	return nil
}

func booked(as []toolReply) bool {
	for _, a := range as {
		if strings.HasPrefix(a.result, "Booked") {
			return true
		}
	}
	return false
}

func (r *runner) verifyTools(s environment, tools *replies, res *Result, deadline time.Duration) error {
	effects, err := backend.Read(s.effects())
	if err != nil {
		return err
	}
	res.Counts.add(checkTools(tools, effects, atMostOnce, deadline))
	files, err := checkFiles(nil, s.logs())
	res.Counts.add(files)
	return err
}

// bookUntil sends requests, each of them three times, until ctx ends.
func (r *runner) bookUntil(ctx context.Context, s environment, rnd *rand.Rand, tools *replies) {
	client := newClient()
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; ctx.Err() == nil; i++ {
		o := order{fmt.Sprintf("CU-%d", i), backend.Order{Item: fmt.Sprint(i), Before: rnd.IntN(30)}}
		for range 3 {
			urls := s.urls()
			if len(urls) == 0 {
				continue
			}
			url := urls[rnd.IntN(len(urls))]
			wg.Go(func() { o.send(context.WithoutCancel(ctx), client, url, tools) })
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// deadlines calls tools while the store is slow, and measures the replies.
func (r *runner) deadlines(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "deadlines", Store: r.store}
	began, rnd, tools, stalled := time.Now(), r.random("deadlines"), newReplies(), stalls(ctx)
	stop := r.every(5*time.Second, func() string {
		tools.mu.Lock()
		defer tools.mu.Unlock()
		return fmt.Sprintf("deadlines: %d of %d", tools.n, p.replies)
	})
	defer stop()
	err = r.with(&res, r.processes, func(s environment) error {
		client := newClient()
		defer client.CloseIdleConnections()
		stopSlow := background(ctx, func(ctx context.Context) error { return s.slow(ctx, rand.New(rand.NewPCG(r.seed, 4)), p.slowest) })
		urls := s.urls()
		var wg sync.WaitGroup
		began := time.Now()
		for i := range p.replies {
			sleep(ctx, time.Until(began.Add(time.Duration(float64(i)/p.replyRate*float64(time.Second)))))
			if ctx.Err() != nil {
				break
			}
			url, tool := urls[rnd.IntN(len(urls))], []string{"book", "book", "look"}[rnd.IntN(3)]
			call, item := fmt.Sprintf("CL-%d", i/3), fmt.Sprint(i/3) // each about two times
			work := 0
			if i%20 == 0 {
				tool, work = "look", 7000 // longer than a reply may take
			}
			wg.Go(func() {
				a := ask(context.WithoutCancel(ctx), client, url, tool, call, backend.Order{Item: item, Before: work})
				tools.add(tool+"/"+item, a)
			})
		}
		wg.Wait()
		if err := stopSlow(); err != nil {
			return err
		}
		if err := s.stop(); err != nil {
			res.fail("%v", err)
		}
		return r.verifyTools(s, tools, &res, deadline)
	})
	var times []time.Duration
	results := 0
	for _, all := range tools.by {
		for _, a := range all {
			times = append(times, a.latency)
			if strings.HasPrefix(a.result, "Booked") || strings.HasPrefix(a.result, "Seen") {
				results++
			}
		}
	}
	res.Summary = fmt.Sprintf("%d tool calls while the store took 0 to %v", tools.n, p.slowest)
	res.Figures = fmt.Sprintf("slowest reply %.2f s; %d with a result, the others with a sentence; the machine stalled for up to %.2f s",
		quantile(times, 1).Seconds(), results, stalled().Seconds()) + res.Figures
	res.Duration = time.Since(began)
	return res, err
}

// staleOwner suspends an owner until another process has taken its requests over,
// and resumes it. It must not overwrite the results of the other.
func (r *runner) staleOwner(ctx context.Context, _ plan) (res Result, err error) {
	res = Result{Name: "stale-owner", Store: r.store}
	began, tools := time.Now(), newReplies()
	r.progress("stale-owner: an owner is suspended for %v", lease+5*time.Second)
	const n = 20
	err = r.with(&res, 2, func(s environment) error {
		all := s.(*servers)
		client := newClient()
		defer client.CloseIdleConnections()
		one, two := s.urls()[0], s.urls()[1]
		var wg sync.WaitGroup
		send := func(url string, i int) {
			tools.add(fmt.Sprint(i), ask(context.WithoutCancel(ctx), client, url, "put", fmt.Sprintf("CZ-%d", i), backend.Order{Item: fmt.Sprint(i), Before: 2000}))
		}
		for i := range n {
			wg.Go(func() { send(one, i) })
		}
		sleep(ctx, time.Second) // they are claimed and in progress
		var failed error
		wg.Go(func() { failed = all.pauseOne(ctx, 0, lease+10*time.Second) })
		sleep(ctx, lease+2*time.Second)
		var takeover sync.WaitGroup
		for i := range n {
			takeover.Go(func() { send(two, i) })
		}
		takeover.Wait()
		wg.Wait() // the owner resumes
		for i := range n {
			send(one, i)
			send(two, i)
		}
		if failed != nil {
			return failed
		}
		if err := s.stop(); err != nil {
			res.fail("%v", err)
		}
		return r.verifyTools(s, tools, &res, 0)
	})
	taken := 0
	for _, all := range tools.by {
		if booked(all) {
			taken++
		}
	}
	if taken < n {
		res.fail("%d of %d requests were taken over", taken, n)
	}
	res.Summary = fmt.Sprintf("%d requests whose owner was suspended for %v and superseded", n, lease+10*time.Second)
	res.Duration = time.Since(began)
	return res, err
}
