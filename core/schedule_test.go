package core_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"pgregory.net/rapid"
)

// The rules of once and merge under schedules of chance: several instances on
// one store, requests and deliveries at any time, crashes, pauses, skewed
// clocks, a store that is slow, down, or that does what it is told and loses the
// answer. Time is testing/synctest's, so that minutes cost nothing.
//
// The schedule comes from rapid, which prints the seed of one that fails and
// shrinks it. It is played again by -rapid.seed, and more of them by
// -rapid.checks=1000000. What the program itself leaves to chance, the pauses
// between two looks at a record, is drawn anew.
func checkSchedules(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	set := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["rapid.checks"] {
		checks := flag.Lookup("rapid.checks")
		was := checks.Value.String()
		_ = checks.Value.Set("200") // .ci/run asks for 2000, without the race detector
		defer func() { _ = checks.Value.Set(was) }()
	}
	rapid.Check(t, func(rt *rapid.T) { rapid.SyncTest(rt, property) })
}

// A drawing says how bad a schedule is.
type drawing struct {
	seed          uint64 // of what happens within the store
	instances     int
	down, lost    float64 // share of the store's operations that fail, and whose answer is lost
	slow          time.Duration
	skew          time.Duration
	crashes       []when
	pauses        []when
	length        time.Duration
	fail          float64 // share of handlers that fail
	withoutFaults bool
}

type when struct {
	at, long time.Duration
	who      int
}

func draw(t *rapid.T, length, skew time.Duration) drawing {
	seconds := func(label string, most time.Duration) time.Duration {
		return time.Duration(rapid.IntRange(0, int(most/time.Millisecond)).Draw(t, label)) * time.Millisecond
	}
	d := drawing{
		seed: rapid.Uint64().Draw(t, "seed"), instances: rapid.IntRange(1, 3).Draw(t, "instances"), length: length,
		slow: seconds("slow", 300*time.Millisecond), skew: skew,
	}
	if d.withoutFaults = rapid.IntRange(0, 4).Draw(t, "calm") == 0; d.withoutFaults {
		return d
	}
	share := rapid.SampledFrom([]float64{0, 0, 0.02, 0.2})
	d.down, d.lost, d.fail = share.Draw(t, "down"), share.Draw(t, "lost"), share.Draw(t, "fail")
	list := func(label string, most time.Duration) (ws []when) {
		for range rapid.IntRange(0, 3).Draw(t, label) {
			ws = append(ws, when{seconds(label+" at", length), seconds(label+" for", most), rapid.IntRange(0, 2).Draw(t, label+" of")})
		}
		return ws
	}
	d.crashes, d.pauses = list("crash", 0), list("pause", 80*time.Second)
	return d
}

// A scene is what the instances share.
type scene struct {
	d       drawing
	store   *coretest.MemoryStore
	setup   func(*core.Processor, *station)
	inbox   *durable
	healed  atomic.Bool
	mu      sync.Mutex
	chance  *rand.Rand
	slots   []*station
	started int
}

func newScene(d drawing, setup func(*core.Processor, *station)) *scene {
	s := &scene{d: d, store: coretest.NewMemoryStore(), setup: setup, inbox: &durable{calm: d.withoutFaults, done: map[string]bool{}, busy: map[string]bool{}}, chance: rand.New(rand.NewPCG(d.seed, 0))}
	s.slots = make([]*station, d.instances)
	for i := range s.slots {
		s.slots[i] = s.start()
	}
	return s
}

func (s *scene) roll(share float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.healed.Load() && share > 0 && s.chance.Float64() < share
}

func (s *scene) number(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chance.Int64N(max(1, n))
}

func (s *scene) at(i int) *station {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[i%len(s.slots)]
}

// play does the crashes and pauses, and returns when the last has begun.
func (s *scene) play() {
	var wg sync.WaitGroup
	for _, c := range s.d.crashes {
		wg.Go(func() {
			time.Sleep(c.at)
			fresh := s.start()
			s.mu.Lock()
			i := c.who % len(s.slots)
			s.slots[i].dead.Store(true)
			s.slots[i].disturbed.Store(true)
			s.slots[i] = fresh
			s.mu.Unlock()
		})
	}
	for _, p := range s.d.pauses {
		wg.Go(func() {
			time.Sleep(p.at)
			st := s.at(p.who)
			st.disturbed.Store(true)
			st.resume.Store(time.Now().Add(p.long).UnixNano())
		})
	}
	wg.Wait()
}

// A station is one instance, and its way to the store.
type station struct {
	*core.Processor
	s         *scene
	dead      atomic.Bool
	disturbed atomic.Bool  // its replies may be late, or never come
	resume    atomic.Int64 // until when it is paused, ns since 1970
}

func (s *scene) start() *station {
	s.mu.Lock()
	n := s.started
	s.started++
	s.mu.Unlock()
	st := &station{Processor: core.New(), s: s}
	s.setup(st.Processor, st)
	skew := time.Duration(0)
	if s.d.skew > 0 {
		skew = time.Duration(n%3-1) * s.d.skew
	}
	err := st.Bind(core.Platform{
		Name: "schedule", Store: st, Inbox: st, Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
		BackgroundGrace: 20 * time.Second, Now: func() time.Time { return time.Now().Add(skew) }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return st
}

var errDown, errDead = errors.New("schedule: the store is down"), errors.New("schedule: this instance is dead")

// breathe takes as long as this instance is paused, deaf to everything, and
// says whether it still lives.
func (st *station) breathe() bool {
	for {
		d := time.Until(time.Unix(0, st.resume.Load()))
		if d <= 0 || st.dead.Load() {
			return !st.dead.Load()
		}
		time.Sleep(d)
	}
}

func (st *station) travel(ctx context.Context) error {
	if most := st.s.d.slow; most > 0 && !st.s.healed.Load() {
		select {
		case <-time.After(time.Duration(st.s.number(int64(most)))):
		case <-ctx.Done():
			if st.s.roll(0.5) {
				return context.Cause(ctx)
			} // else it has been sent already
		}
	}
	if !st.breathe() {
		return errDead
	}
	return nil
}

func (st *station) do(ctx context.Context, op func(context.Context) error) error {
	if err := st.travel(ctx); err != nil {
		return err
	}
	if st.s.roll(st.s.d.down) {
		return errDown
	}
	err := op(context.WithoutCancel(ctx))
	if st.s.roll(st.s.d.lost) {
		return errDown
	}
	if failed := st.travel(ctx); failed != nil {
		return failed
	}
	return err
}

func (st *station) Get(ctx context.Context, keys ...string) (rs []records.Record, err error) {
	err = st.do(ctx, func(ctx context.Context) (err error) { rs, err = st.s.store.Get(ctx, keys...); return err })
	return rs, err
}

func (st *station) Range(ctx context.Context, dir, after string, limit int) (rs []records.Record, err error) {
	err = st.do(ctx, func(ctx context.Context) (err error) { rs, err = st.s.store.Range(ctx, dir, after, limit); return err })
	return rs, err
}

func (st *station) Commit(ctx context.Context, rs ...records.Record) error {
	return st.do(ctx, func(ctx context.Context) error { return st.s.store.Commit(ctx, rs...) })
}

// Put implements core.Inbox.
func (st *station) Put(ctx context.Context, es ...core.Envelope) error {
	return st.do(ctx, func(context.Context) error { st.s.inbox.put(es); return nil })
}

// outside is the system that a tool changes. As a good one does, it takes no
// order of an owner that it was asked about before.
type outside struct {
	mu     sync.Mutex
	done   map[string][]string // references by key
	barred map[string]int64
	n      int
}

func (o *outside) do(key string, fence int64) (ref string, ok bool) {
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

func (o *outside) ask(key string, fence int64) (ref string, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if refs := o.done[key]; len(refs) > 0 {
		return refs[0], true
	}
	o.barred[key] = max(o.barred[key], fence)
	return "", false
}

// heardReply is what came back for a request, and what is known about when.
type heardReply struct {
	text      string
	replayed  bool
	took      time.Duration
	disturbed bool
}

// T1, T2, T8 to T17: one run, equal replies, each in time, whatever happens.
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

		out := &outside{done: map[string][]string{}, barred: map[string]int64{}}
		type item struct {
			Item int `json:"item"`
		}
		s := newScene(d, func(p *core.Processor, st *station) {
			work := func(ctx context.Context, in item) (string, error) {
				inv, _ := core.InvocationFromContext(ctx)
				time.Sleep(before)
				if !st.breathe() {
					return "", errDead
				}
				ref, ok := out.do(fmt.Sprintf("%s %d", inv.Tool, in.Item), inv.FencingToken)
				if !ok {
					return "", core.NotApplied(errors.New("overtaken"))
				}
				time.Sleep(after)
				st.breathe()
				return ref, nil
			}
			core.AddTool(p, core.Tool{Name: "plain"}, work)
			core.AddTool(p, core.Tool{Name: "safe", Effect: core.Idempotent}, work)
			core.AddTool(p, core.Tool{Name: "asked"}, work).Reconcile(func(ctx context.Context, in item) (string, bool, error) {
				inv, _ := core.InvocationFromContext(ctx)
				if !st.breathe() {
					return "", false, errDead
				}
				ref, done := out.ask(fmt.Sprintf("%s %d", inv.Tool, in.Item), inv.FencingToken)
				return ref, done, nil
			})
		})
		var mu sync.Mutex
		heard := map[string][]heardReply{}
		send := func(a ask) {
			st := s.at(a.who)
			begin := time.Now()
			quiet := !st.disturbed.Load()
			r := st.Handle(context.Background(), request("POST", "/tools/"+a.tool+"?call=CA1", fmt.Sprintf(`{"item":%d}`, a.item)))
			if st.dead.Load() {
				return // nobody heard it
			}
			_, text, _ := strings.Cut(string(r.Body), `"result":"`)
			reply := heardReply{text: strings.TrimSuffix(text, `"}`), took: time.Since(begin), disturbed: !quiet || st.disturbed.Load()}
			for _, h := range r.Header {
				reply.replayed = reply.replayed || h.Name == "Idempotent-Replayed"
			}
			mu.Lock()
			defer mu.Unlock()
			key := fmt.Sprintf("%s %d", a.tool, a.item)
			heard[key] = append(heard[key], reply)
		}
		var wg sync.WaitGroup
		wg.Go(s.play)
		for _, a := range asks {
			wg.Go(func() { time.Sleep(a.at); send(a) })
		}
		wg.Wait()
		time.Sleep(length)
		s.healed.Store(true)
		time.Sleep(5 * time.Minute) // every pause, run and lease is over
		for _, st := range s.slots {
			st.disturbed.Store(false)
		}
		for range 3 { // to find out, to run, and to hear of it
			for _, a := range asks {
				send(a)
			}
			time.Sleep(3 * time.Minute)
		}
		for _, st := range s.slots {
			if err := st.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
		}

		for key, replies := range heard {
			tool, _, _ := strings.Cut(key, " ")
			refs := out.done[key]
			if tool != "safe" && len(refs) > 1 {
				t.Errorf("duplicated: %s was executed %d times: %v", key, len(refs), refs)
			}
			said, replayed := map[string]bool{}, map[string]bool{}
			for _, r := range replies {
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
					t.Errorf("inconsistent: %s was answered %s, which was never done: %v", key, r.text, refs)
				}
			}
			// What may run again and could not be stored is said all the same,
			// and may come out otherwise for the next who asks.
			kept := d.down == 0 && d.lost == 0 && len(d.crashes) == 0
			if tool != "safe" && len(said) > 1 || kept && len(replayed) > 1 {
				t.Errorf("inconsistent: %s was answered %v, repeated %v", key, said, replayed)
			}
			if last := replies[len(replies)-1]; tool != "plain" && !strings.HasPrefix(last.text, "Booked") {
				t.Errorf("without end: %s is answered %q when all is well again", key, last.text)
			}
		}
	})
}
