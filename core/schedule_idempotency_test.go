package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"pgregory.net/rapid"
)

// A bookingSystem is the system that a tool changes. As it should, it refuses
// requests with a fencing token that it was asked about before.
type bookingSystem struct {
	mu     sync.Mutex
	done   map[string][]string // references by key
	barred map[string]int64
	n      int
}

func (o *bookingSystem) do(key string, fence int64) (ref string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fence <= o.barred[key] {
		return "", false
	}
	o.n++
	ref = fmt.Sprintf("Booked as %d.", o.n)
	o.done[key] = append(o.done[key], ref)
	return ref, true
}

func (o *bookingSystem) ask(key string, fence int64) (ref string, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if refs := o.done[key]; len(refs) > 0 {
		return refs[0], true
	}
	o.barred[key] = max(o.barred[key], fence)
	return "", false
}

// An observedReply is the reply to a request, and the circumstances.
type observedReply struct {
	text      string
	replayed  bool
	took      time.Duration
	disturbed bool
}

// T1, T2, T8 to T17 of docs/reliability.md: one run, equal replies, each in time,
// whatever happens.
func TestSchedulesOfOnce(t *testing.T) {
	checkSchedules(t, func(t *rapid.T) {
		const length = 150 * time.Second
		d := draw(t, length, rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "skew"))
		tools := []string{"plain", "asked", "safe"}
		type ask struct {
			at   time.Duration
			who  int
			tool string
			item int
		}
		var asks []ask
		for range rapid.IntRange(1, 12).Draw(t, "requests") {
			asks = append(asks, ask{
				time.Duration(rapid.SampledFrom([]int{0, 0, 1, 500, 3000, 20_000, 60_000, 62_000, 90_000, 120_000}).Draw(t, "at ms")) * time.Millisecond,
				rapid.IntRange(0, 2).Draw(t, "to"), rapid.SampledFrom(tools).Draw(t, "tool"), rapid.IntRange(0, 1).Draw(t, "item"),
			})
		}
		before := rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond, 3 * time.Second, 30 * time.Second, 60 * time.Second}).Draw(t, "before")
		after := rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond, 3 * time.Second}).Draw(t, "after")

		out := &bookingSystem{done: map[string][]string{}, barred: map[string]int64{}}
		type item struct {
			Item int `json:"item"`
		}
		s := newCluster(d, func(p *core.Processor, st *instance) {
			work := func(ctx context.Context, in item) (string, error) {
				inv, _ := core.InvocationFromContext(ctx)
				time.Sleep(before)
				if !st.waitWhilePaused() {
					return "", errDead
				}
				ref, ok := out.do(fmt.Sprintf("%s %d", inv.Tool, in.Item), inv.FencingToken)
				if !ok {
					return "", core.NotApplied(errors.New("superseded"))
				}
				time.Sleep(after)
				st.waitWhilePaused()
				return ref, nil
			}
			core.AddTool(p, core.Tool{Name: "plain"}, work)
			core.AddTool(p, core.Tool{Name: "safe", Effect: core.Idempotent}, work)
			core.AddTool(p, core.Tool{Name: "asked"}, work).Reconcile(func(ctx context.Context, in item) (string, bool, error) {
				inv, _ := core.InvocationFromContext(ctx)
				if !st.waitWhilePaused() {
					return "", false, errDead
				}
				ref, done := out.ask(fmt.Sprintf("%s %d", inv.Tool, in.Item), inv.FencingToken)
				return ref, done, nil
			})
		})
		var mu sync.Mutex
		replies := map[string][]observedReply{}
		send := func(a ask) {
			st := s.at(a.who)
			begin := time.Now()
			quiet := !st.disturbed.Load()
			// A call each: what else is done in a call is for TestSchedulesOfTruth.
			r := st.Handle(context.Background(), request("POST", fmt.Sprintf("/tools/%s?call=CA-%s-%d", a.tool, a.tool, a.item), fmt.Sprintf(`{"item":%d}`, a.item)))
			if st.dead.Load() {
				return // the reply was lost
			}
			_, text, _ := strings.Cut(string(r.Body), `"result":"`)
			reply := observedReply{text: strings.TrimSuffix(text, `"}`), took: time.Since(begin), disturbed: !quiet || st.disturbed.Load()}
			for _, h := range r.Header {
				reply.replayed = reply.replayed || h.Name == "Idempotent-Replayed"
			}
			mu.Lock()
			defer mu.Unlock()
			key := fmt.Sprintf("%s %d", a.tool, a.item)
			replies[key] = append(replies[key], reply)
		}
		var wg sync.WaitGroup
		wg.Go(s.play)
		for _, a := range asks {
			wg.Go(func() { time.Sleep(a.at); send(a) })
		}
		wg.Wait()
		time.Sleep(length)
		s.faultsEnded.Store(true)
		time.Sleep(5 * time.Minute) // every pause, run and lease is over
		for _, st := range s.members {
			st.disturbed.Store(false)
		}
		for range 3 { // to reconcile, to run, and to read the result
			for _, a := range asks {
				send(a)
			}
			time.Sleep(3 * time.Minute)
		}
		for _, st := range s.members {
			if err := st.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
		}

		for key, observed := range replies {
			tool, _, _ := strings.Cut(key, " ")
			refs := out.done[key]
			if tool != "safe" && len(refs) > 1 {
				t.Errorf("duplicated: %s was executed %d times: %v", key, len(refs), refs)
			}
			said, replayed := map[string]bool{}, map[string]bool{}
			for _, r := range observed {
				if !r.disturbed && r.took > 4*time.Second+50*time.Millisecond {
					t.Errorf("late: %s was answered after %v: %s", key, r.took, r.text)
				}
				if !strings.HasPrefix(r.text, "Booked") {
					continue
				}
				said[r.text] = true
				if r.replayed && !r.disturbed {
					replayed[r.text] = true
				}
				if !strings.Contains(strings.Join(refs, " "), r.text) {
					t.Errorf("inconsistent: %s was answered %s, which was never executed: %v", key, r.text, refs)
				}
			}
			// An idempotent tool's result is sent even if it could not be stored,
			// and a later duplicate may get another one.
			kept := d.down == 0 && d.lost == 0 && len(d.crashes) == 0
			if tool != "safe" && len(said) > 1 || kept && len(replayed) > 1 {
				t.Errorf("inconsistent: %s was answered %v, repeated %v", key, said, replayed)
			}
			if last := observed[len(observed)-1]; tool != "plain" && !strings.HasPrefix(last.text, "Booked") {
				t.Errorf("stuck: %s is answered %q after all faults have ended", key, last.text)
			}
		}
	})
}
