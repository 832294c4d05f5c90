package sqldb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"

	"github.com/serverurl/serverurl/core/event"
)

// said is an update after n messages.
func said(n int) []byte {
	b := fmt.Appendf(nil, `{"message":{"type":"conversation-update","timestamp":%d,"call":{"id":"a"},"messages":[{}`, 1784044931000+n)
	for i := range n {
		b = fmt.Appendf(b, `,{"messageId":"%d"}`, i)
	}
	return append(b, "]}}"...)
}

// When the database is slow, reports are stored first and conversation updates
// last, and of a call's updates only the newest is, for all of them.
func TestPutPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored [][]string
		gate := make(chan struct{})
		b := newBatcher(1, func(_ context.Context, jobs []river.InsertManyParams) error {
			<-gate
			var names []string
			for _, j := range jobs {
				names = append(names, string(j.Args.(eventArgs).Packed))
			}
			stored = append(stored, names)
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.run(ctx) }()

		began := time.Now()
		var answered sync.Map
		var wg sync.WaitGroup
		send := func(name string, lane int, u *update) {
			wg.Go(func() {
				if err := b.put(t.Context(), &put{jobs: named(name), size: 1 << 10, priority: lane, update: u}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				answered.Store(name, true)
			})
			synctest.Wait()
		}
		send("first", 2, nil) // keeps the committer busy
		const calls, each = 30, 20
		for n := range each {
			for c := range calls {
				send(fmt.Sprintf("update %d of %d", n, c), lowestPriority, &update{call: event.CallID(fmt.Sprint(c)), received: began.Add(time.Duration(n) * time.Second), body: said(n)})
			}
		}
		send("shorter", lowestPriority, &update{call: "0", received: began.Add(time.Hour), body: said(1)}) // later, and not the whole
		send("status", 2, nil)
		send("report", 1, nil)
		close(gate)
		wg.Wait()
		if got := stored[1]; got[0] != "report" || got[1] != "status" {
			t.Errorf("stored first: %q", got[:2])
		}
		n, newest, shorter := 0, 0, false
		for _, names := range stored[1:] {
			for _, name := range names {
				n++
				var of, c int
				if _, err := fmt.Sscanf(name, "update %d of %d", &of, &c); err == nil && of == each-1 {
					newest++
				}
				shorter = shorter || name == "shorter"
			}
		}
		if n != calls+3 || newest != calls || !shorter {
			t.Errorf("%d stored, %d of them the newest of %d calls; the shorter one: %v", n, newest, calls, shorter)
		}
		stop()
		if err := <-ran; err != nil || b.bytes != 0 {
			t.Errorf("%v, %d bytes count as waiting", err, b.bytes)
		}
	})
}

// An update whose sender has gone is stored anyway if it is stored instead of one
// whose sender waits.
func TestCoalescedAfterCallersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, stored := make(chan struct{}), map[string]bool{}
		b := newBatcher(1, func(_ context.Context, jobs []river.InsertManyParams) error {
			<-gate
			for _, j := range jobs {
				stored[string(j.Args.(eventArgs).Packed)] = true
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.run(ctx) }()
		go func() { _ = putJobs(ctx, b, named("first"), 1) }()
		synctest.Wait()
		old, leaves := make(chan error, 1), make(chan error, 1)
		now := time.Now()
		go func() {
			old <- b.put(t.Context(), &put{jobs: named("old"), size: 1, priority: lowestPriority, update: &update{call: "a", received: now, body: said(1)}})
		}()
		going, leave := context.WithCancel(t.Context())
		go func() {
			leaves <- b.put(going, &put{jobs: named("new"), size: 1, priority: lowestPriority, update: &update{call: "a", received: now.Add(1), body: said(2)}})
		}()
		synctest.Wait()
		b.mu.Lock()
		b.prioritize()
		b.mu.Unlock()
		leave()
		if err := <-leaves; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(gate)
		if err := <-old; err != nil || !stored["new"] || stored["old"] {
			t.Errorf("%v, stored %v", err, stored)
		}
		stop()
		<-ran
	})
}

// A burst of conversation updates leaves memory for reports.
func TestQueueLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := newBatcher(1, func(context.Context, []river.InsertManyParams) error { <-gate; return nil })
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.run(ctx) }()
		var wg sync.WaitGroup
		fill := func(lane int) (n int) {
			for ; ; n++ {
				refused := false
				wg.Go(func() {
					refused = errors.Is(b.put(t.Context(), &put{jobs: named("x"), size: 1 << 20, priority: lane}), ErrOverloaded)
				})
				synctest.Wait()
				if refused {
					return n
				}
			}
		}
		updates, others, reports := fill(lowestPriority), fill(2), fill(1)
		if updates != 32 || others != 16 || reports != 16 {
			t.Errorf("room for %d updates, then %d others, then %d reports, of 1 MiB", updates, others, reports)
		}
		close(gate)
		wg.Wait()
		stop()
		<-ran
	})
}

// While events are being accepted few deliveries begin, so that a sender does not
// wait for them.
func TestDeliveriesWaitForPuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &Inbox{batcher: newBatcher(1, nil), throttle: make(chan struct{}, 2)}
		accepting := func(bytes int) {
			in.batcher.mu.Lock()
			defer in.batcher.mu.Unlock()
			in.batcher.bytes = bytes
		}
		began := make(chan func(), 10)
		begin := func(ctx context.Context) {
			if leave, err := in.waitForPuts(ctx); err == nil {
				began <- leave
			}
		}
		accepting(1)
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			go begin(ctx)
		}
		synctest.Wait()
		if len(began) != 2 {
			t.Errorf("%d deliveries began in a rush, want 2", len(began))
		}
		(<-began)()
		synctest.Wait()
		if len(began) != 2 {
			t.Errorf("%d run after one ended, want 2", len(began))
		}
		time.Sleep(throttleWait)
		synctest.Wait()
		if len(began) != 4 {
			t.Errorf("%d run after the longest wait, want all that are left", len(began))
		}
		cancel()
		accepting(0)
		for range 5 {
			go begin(t.Context())
		}
		synctest.Wait()
		if len(began) != 9 {
			t.Errorf("%d run when nothing is accepted, want all", len(began))
		}
	})
}

func TestSubsumes(t *testing.T) {
	now := time.Now()
	old := &update{call: "a", received: now, body: []byte(`{"message":{"timestamp":1,"call":{"id":"a","status":"ongoing"},"messages":[{"m":1},{"m":2}]}}`)}
	for _, c := range []struct {
		why, body string
		want      bool
	}{
		{"more messages, another time", `{"message":{"timestamp":2,"call":{"id":"a","status":"ongoing"},"messages":[{"m":1},{"m":2},{"m":3}]}}`, true},
		{"something new beside", `{"message":{"timestamp":2,"call":{"id":"a","status":"ongoing","x":1},"messages":[{"m":1},{"m":2}]}}`, true},
		{"a message changed", `{"message":{"timestamp":2,"call":{"id":"a","status":"ongoing"},"messages":[{"m":1},{"m":7},{"m":3}]}}`, false},
		{"a message less, and longer", `{"message":{"timestamp":2,"call":{"id":"a","status":"ongoing"},"messages":[{"m":"11111111111111"}]}}`, false},
		{"another status", `{"message":{"timestamp":2,"call":{"id":"a","status":"finished"},"messages":[{"m":1},{"m":2},{"m":3}]}}`, false},
		{"a member less", `{"message":{"timestamp":2,"call":{"id":"a"},"messages":[{"m":1},{"m":2},{"m":3},{"m":4},{"m":5}]}}`, false},
		{"another type", `{"message":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35]}`, false},
		{"no JSON", `{"message":{"timestamp":2,"call":{"id":"a","status":"ongoing"},"messages":[{"m":1},{"m":2},{"m":3}]`, false},
	} {
		if got := (&update{call: "a", received: now.Add(1), body: []byte(c.body)}).subsumes(old); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
	longer := &update{call: "b", received: now.Add(1), body: old.body}
	if longer.subsumes(old) {
		t.Error("it covers one of another call")
	}
	longer.call, longer.received = "a", now
	if longer.subsumes(old) {
		t.Error("it covers one that is not older")
	}
}
