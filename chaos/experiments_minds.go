package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/chaos/backend"
)

// changeOfMind has callers reserve and free the same thing again and again, each
// request twice at a time and to several processes, while those are killed. After
// each reply the external system is read: the reply must be true.
func (r *runner) changeOfMind(ctx context.Context, p plan) (res Result, err error) {
	res = Result{Name: "change-of-mind", Store: r.store}
	began, rnd, tools := time.Now(), r.random("change-of-mind"), newReplies()
	var kills, said, untrue atomic.Int64
	stop := r.every(5*time.Second, func() string {
		return fmt.Sprintf("change-of-mind: %d answers that say how it is, %d kills", said.Load(), kills.Load())
	})
	defer stop()
	err = r.with(&res, 3, func(s environment) error {
		faults := rand.New(rand.NewPCG(r.seed, 5))
		stopFaults := background(ctx, func(ctx context.Context) error {
			for ctx.Err() == nil {
				sleep(ctx, time.Duration(300+faults.IntN(700))*time.Millisecond)
				if _, err := s.kill(faults, false); err != nil {
					return err
				}
				kills.Add(1)
			}
			return nil
		})
		var wg sync.WaitGroup
		for i := range p.minds {
			turns := rand.New(rand.NewPCG(rnd.Uint64(), 0))
			wg.Go(func() {
				item := fmt.Sprint("thing", i)
				for range p.turns {
					if ctx.Err() != nil {
						return
					}
					answers := r.askTwice(ctx, s, turns, []string{"reserve", "free"}[turns.IntN(2)], item)
					is, err := backend.Last(s.effects(), item)
					for _, a := range answers {
						tools.add(item, a)
						if a.result != "Reserved." && a.result != "Freed." {
							continue
						}
						said.Add(1)
						if err != nil || a.result == "Reserved." != (is == "reserve") {
							untrue.Add(1)
						}
					}
					sleep(ctx, time.Duration(turns.IntN(60))*time.Millisecond)
				}
			})
		}
		wg.Wait()
		if err := stopFaults(); err != nil {
			return err
		}
		if err := s.stop(); err != nil {
			res.fail("%v", err)
		}
		return r.verifyTools(s, tools, &res, 0)
	})
	res.Counts.Inconsistent += int(untrue.Load())
	if said.Load() == 0 && err == nil {
		res.fail("no answer said how it is")
	}
	res.Summary = fmt.Sprintf("%d callers × %d changes of mind over 3 processes, %d kills, %d answers that said how it was", p.minds, p.turns, kills.Load(), said.Load())
	res.Duration = time.Since(began)
	return res, err
}

// askTwice makes a request at two processes at a time, and returns the answers.
func (r *runner) askTwice(ctx context.Context, s environment, turns *rand.Rand, tool, item string) (answers []toolReply) {
	client := newClient()
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		pick, urls := turns.Int(), s.urls()
		if len(urls) == 0 {
			continue
		}
		wg.Go(func() {
			a := ask(context.WithoutCancel(ctx), client, urls[pick%len(urls)], tool, "CM-"+item, backend.Order{Item: item})
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
		})
	}
	wg.Wait()
	return answers
}
