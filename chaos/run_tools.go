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

func isOnce(what string) bool { return what == "book" }

// An order is one request, which may be sent any number of times.
type order struct {
	call string
	args backend.Order
}

func (o order) send(ctx context.Context, client *http.Client, url string, to *replies) replied {
	a := ask(ctx, client, url, "book", o.call, o.args)
	to.add(o.call+"/"+o.args.Item, a)
	return a
}

// book sends each of many requests many times, to all processes, while those
// are killed and paused.
func (r *runner) book(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "book", Store: r.store}
	began, rnd, tools := time.Now(), r.random("book"), newReplies()
	var kills, pauses atomic.Int64
	stop := r.every(5*time.Second, func() string {
		tools.mu.Lock()
		defer tools.mu.Unlock()
		return fmt.Sprintf("book: %d replies, %d kills, %d pauses", tools.n, kills.Load(), pauses.Load())
	})
	defer stop()
	err = r.with(&res, 4, func(s site) error {
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
				if i%2 == 0 { // the others come all at once
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
			if err := r.askAgain(ctx, s, client, orders, tools, &res); err != nil {
				return err
			}
		}
		if err := s.stop(); err != nil {
			res.fail("%v", err)
		}
		return r.lookAtTools(s, tools, &res, 0)
	})
	res.Did = fmt.Sprintf("%d requests × %d over 4 processes, %d kills, %d pauses, %d replies", p.keys, p.dups, kills.Load(), pauses.Load(), tools.n)
	res.Took = time.Since(began)
	return res, err
}

// lease is when an owner counts as dead: budget, linger and slack of core's
// once, on this server.
const lease = (4 + 20 + 30) * time.Second

// askAgain waits until every owner that was killed counts as dead, and asks
// once more for what has no result yet. Then each has one.
func (r *runner) askAgain(ctx context.Context, s site, client *http.Client, orders []order, tools *replies, res *Result) error {
	r.progress("book: waiting %v for the leases of dead owners", lease+2*time.Second)
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
	res.Figures += fmt.Sprintf("; %d requests were without a result after the kills, all asked again after the lease: %d without", open, unresolved)
	if unresolved > 0 {
		res.fail("%d requests have no result", unresolved)
	}
	return nil
}

func booked(as []replied) bool {
	for _, a := range as {
		if strings.HasPrefix(a.result, "Booked") {
			return true
		}
	}
	return false
}

func (r *runner) lookAtTools(s site, tools *replies, res *Result, deadline time.Duration) error {
	effects, err := backend.Read(s.effects())
	if err != nil {
		return err
	}
	res.Counts.add(checkTools(tools, effects, isOnce, deadline))
	files, err := checkFiles(nil, s.logs())
	res.Counts.add(files)
	return err
}

// bookUntil sends requests, each three times, until ctx ends.
func (r *runner) bookUntil(ctx context.Context, s site, rnd *rand.Rand, tools *replies) {
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

// answers asks tools while the store is slow, and looks at the clock.
func (r *runner) answers(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "replies", Store: r.store}
	began, rnd, tools, stalled := time.Now(), r.random("replies"), newReplies(), stalls(ctx)
	stop := r.every(5*time.Second, func() string {
		tools.mu.Lock()
		defer tools.mu.Unlock()
		return fmt.Sprintf("replies: %d of %d", tools.n, p.replies)
	})
	defer stop()
	err = r.with(&res, r.processes, func(s site) error {
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
			call, item := fmt.Sprintf("CL-%d", i/3), fmt.Sprint(i/3) // each about twice
			work := 0
			if i%20 == 0 {
				tool, work = "look", 7000 // slower than a reply may be
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
		return r.lookAtTools(s, tools, &res, deadline)
	})
	var times []time.Duration
	results := 0
	for _, all := range tools.by {
		for _, a := range all {
			times = append(times, a.took)
			if strings.HasPrefix(a.result, "Booked") || strings.HasPrefix(a.result, "Seen") {
				results++
			}
		}
	}
	res.Did = fmt.Sprintf("%d tool calls while the store took 0 to %v", tools.n, p.slowest)
	res.Figures = fmt.Sprintf("slowest reply %.2f s; %d with a result, the rest with a sentence; the machine itself stood still for up to %.2f s",
		quantile(times, 1).Seconds(), results, stalled().Seconds()) + res.Figures
	res.Took = time.Since(began)
	return res, err
}

// zombie pauses an owner until another has taken its request over, and lets it
// go on. It must not overwrite what the other said.
func (r *runner) zombie(ctx context.Context, _ plan) (res Result, err error) {
	res = Result{Name: "zombie", Store: r.store}
	began, tools := time.Now(), newReplies()
	r.progress("zombie: an owner is paused for %v", lease+5*time.Second)
	const n = 20
	err = r.with(&res, 2, func(s site) error {
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
		sleep(ctx, time.Second) // they are claimed, and in the middle
		var failed error
		wg.Go(func() { failed = all.pauseOne(ctx, 0, lease+10*time.Second) })
		sleep(ctx, lease+2*time.Second)
		var overtake sync.WaitGroup
		for i := range n {
			overtake.Go(func() { send(two, i) })
		}
		overtake.Wait()
		wg.Wait() // it goes on
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
		return r.lookAtTools(s, tools, &res, 0)
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
	res.Did = fmt.Sprintf("%d requests whose owner was paused for %v and overtaken", n, lease+10*time.Second)
	res.Took = time.Since(began)
	return res, err
}
