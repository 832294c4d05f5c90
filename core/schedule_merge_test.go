package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"pgregory.net/rapid"
)

// A durableInbox survives the instances. It delivers in any order, more than once,
// until a delivery succeeds.
type durableInbox struct {
	mu   sync.Mutex
	es   []core.Envelope
	done map[string]bool

	// calm allows one delivery of an event at a time: two concurrent ones may both
	// run the handlers.
	calm bool
	busy map[string]bool
}

func (d *durableInbox) put(es []core.Envelope) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range es {
		e.Body = slices.Clone(e.Body)
		d.es = append(d.es, e)
	}
}

// next returns an envelope to deliver, or false if there is none.
func (d *durableInbox) next(pick func(int64) int64) (core.Envelope, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var open []core.Envelope
	for _, e := range d.es {
		if !d.done[e.ID] && !(d.calm && d.busy[e.ID]) {
			open = append(open, e)
		}
	}
	if len(open) == 0 {
		return core.Envelope{}, false
	}
	e := open[pick(int64(len(open)))]
	d.busy[e.ID] = true
	return e, true
}

func (d *durableInbox) end(id string, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy[id] = false
	d.done[id] = d.done[id] || done
}

// E1 to E5, E9, E11, E16 of docs/reliability.md: in whatever order the events of a
// call arrive, and with whatever faults, the state is the same in the end, never
// regresses, and handlers get everything.
func TestSchedulesOfMerge(t *testing.T) {
	checkSchedules(t, func(t *rapid.T) {
		const length = 60 * time.Second
		// A hang that is repeated after half a minute, by any clock, counts as
		// another one: the same bytes may be two silences. So none is sent twice.
		d := draw(t, length, rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "skew"))

		d.idle = rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second}).Draw(t, "idle") // then sweeps end the call while it goes on

		said := messages(0, rapid.IntRange(1, 6).Draw(t, "messages"))
		events := []string{status("initiated", 0), status("queued", 10), status("ongoing", 20), hang(0), hang(60_000)}
		for n := range said {
			events = append(events, conversation(100+100*n, said[:n+1]...))
		}
		want, lines := len(said), []string{}
		for n := range want + 1 {
			lines = append(lines, fmt.Sprintf("line %d", n))
		}
		if cut := rapid.IntRange(-1, len(said)-1).Draw(t, "cut"); cut >= 0 { // the caller interrupts: a message becomes another
			said = append(slices.Clone(said[:cut]), message(cut, lines[cut]+" was inter"))
			lines[cut] += " was inter"
			said = append(said, messages(cut+1, want)...)
			events = append(events, conversation(1000, said...))
		}
		said = append(said, messages(want, want+1)...)
		if rapid.Bool().Draw(t, "two words") { // the sender says at two times what the last message was
			events = append(events, conversation(1900, append(slices.Clone(said[:want]), message(want, "line"))...))
		}
		events = append(events, conversation(2000, said...), status("finished", 40))
		// The report's words count, also where it has fewer of them; if it has none, the
		// last update's.
		bare := rapid.Bool().Draw(t, "bare")
		if !bare {
			said = said[:len(said)-rapid.IntRange(0, 1).Draw(t, "left out")]
			lines = lines[:len(said)]
		}
		if !bare && rapid.Bool().Draw(t, "corrected") {
			last := len(said) - 1
			lines[last] = "as it was"
			said = append(slices.Clone(said[:last]), message(last, lines[last]))
		}
		if bare {
			events = append(events, report(0))
		} else {
			events = append(events, report(0, said...))
		}
		order := rapid.Permutation(events).Draw(t, "order")
		twice := rapid.IntRange(0, len(events)).Draw(t, "twice")

		var mu sync.Mutex
		handled := map[string]int{}
		s := newCluster(d, func(p *core.Processor, st *instance) { recordHandlers(p, st, &mu, handled) })

		var wg sync.WaitGroup
		wg.Go(s.play)
		again := slices.DeleteFunc(slices.Clone(order[:twice]), isHang)
		for i, e := range append(slices.Clone(order), again...) {
			at, who := time.Duration(s.random(int64(length))), i
			wg.Go(func() {
				time.Sleep(at)
				for n := 0; ; n++ { // unlike the sender, repeat it, so that all events arrive in the end
					st := s.at(who + n)
					if r := st.Handle(context.Background(), request("POST", "/events", e)); r.Status == 200 && !st.dead.Load() {
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		stop := make(chan struct{})
		var work sync.WaitGroup
		for w := range 3 {
			work.Go(func() {
				for n := w; ; n++ {
					e, ok := s.inbox.next(s.random)
					if !ok {
						select {
						case <-stop:
							return
						case <-time.After(time.Second):
						}
						continue
					}
					st := s.at(n)
					err := st.Deliver(context.Background(), e)
					s.inbox.end(e.ID, err == nil && !st.dead.Load())
					time.Sleep(time.Duration(s.random(int64(time.Second))))
				}
			})
		}
		if d.idle > 0 {
			work.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Second):
						_ = s.at(n).Sweep(context.Background()) // by an instance with faults
					}
				}
			})
		}
		// The state never regresses.
		rank := map[event.Status]int{"": 0, "initiated": 1, "queued": 2, "ongoing": 3, "finished": 4}
		highest, most := 0, 0
		look := func() {
			calls, _, err := calls.List(context.Background(), s.store, "", 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(calls) == 0 {
				return
			}
			c := calls[0]
			if rank[c.Status] < highest || c.MessageCount < min(most, len(said)) {
				t.Fatalf("regressed: status %s and %d messages, after %d and %d", c.Status, c.MessageCount, highest, most)
			}
			highest, most = rank[c.Status], c.MessageCount
		}
		for range 60 {
			time.Sleep(length / 60)
			look()
		}
		wg.Wait()
		s.faultsEnded.Store(true)
		time.Sleep(5 * time.Minute)
		close(stop)
		work.Wait()
		look()

		c, err := calls.Read(context.Background(), s.store, callID)
		if err != nil {
			t.Fatal(err)
		}
		if c.Status != event.StatusFinished || !c.Ended || c.EndReason == event.EndReasonIdleTimeout || c.Report == nil || c.HangCount < 2 || d.faultless && c.HangCount > 2 || c.PendingHandlers != 0 {
			t.Errorf("lost: call %+v, %d hangs, report %v", c.Summary, c.HangCount, c.Report != nil)
		}
		if got := texts(c.Transcript); !slices.Equal(got, lines) {
			t.Errorf("lost: transcript %q, want %q", got, lines)
		}
		for _, what := range append(slices.Clone(lines), "ended", "report") {
			if handled[what] < 1 {
				t.Errorf("lost: no handler got %q: %v", what, handled)
			}
			if d.faultless && handled[what] > 1 && d.idle == 0 {
				t.Errorf("duplicated: handlers got %q %d times without any fault", what, handled[what])
			}
		}
		stored := map[string]int{}
		for e, err := range calls.Events(context.Background(), s.store, callID) {
			if err != nil {
				t.Fatal(err)
			}
			if stored[string(e.Body)]++; isHang(string(e.Body)) {
				stored[string(e.Body)] = 1
			}
		}
		for _, n := range stored {
			if n > 1 {
				t.Errorf("duplicated: an event is stored %d times", n)
			}
		}
		if len(stored) != len(events) {
			t.Errorf("lost: %d different events are stored of %d", len(stored), len(events))
		}
	})
}

func isHang(body string) bool { return strings.Contains(body, `"type":"hang"`) }

func recordHandlers(p *core.Processor, st *instance, mu *sync.Mutex, handled map[string]int) {
	handle := func(whats ...string) error {
		if st.s.happens(st.s.d.fail) {
			return errors.New("schedule: a handler failed")
		}
		if !st.waitWhilePaused() {
			return errDead
		}
		mu.Lock()
		defer mu.Unlock()
		for _, what := range whats {
			handled[what]++
		}
		return nil
	}
	p.OnMessages(func(_ context.Context, e core.Messages) error { return handle(texts(e.New)...) })
	p.OnReport(func(context.Context, core.Report) error { return handle("report") })
	p.OnCallEnded(func(_ context.Context, e core.CallEnded) error {
		if e.Reason == event.EndReasonIdleTimeout {
			return handle("assumed end")
		}
		return handle("ended")
	})
}
