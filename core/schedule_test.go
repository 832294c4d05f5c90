package core_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
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

// The rules of idempotency and merge under random schedules: a cluster of several
// instances on one store, requests and deliveries at any time, crashes, pauses,
// skewed clocks, a store that is slow, down, or commits without reporting it.
// Time is testing/synctest's, so that minutes cost nothing.
//
// The schedule comes from rapid, which prints the seed of one that fails, and
// shrinks it. -rapid.seed repeats it, -rapid.checks=1000000 runs more of them.
// The program's own randomness, the pauses between two reads of a record, is not
// repeated.
func checkSchedules(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	set := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["rapid.checks"] {
		checks := flag.Lookup("rapid.checks")
		was := checks.Value.String()
		_ = checks.Value.Set("200") // .ci/run sets 1000, without the race detector
		defer func() { _ = checks.Value.Set(was) }()
	}
	rapid.Check(t, func(rt *rapid.T) { rapid.SyncTest(rt, property) })
}

// The faults of one schedule.
type faults struct {
	seed       uint64 // of the faults of single operations
	instances  int
	down, lost float64 // shares of operations of the store that fail, and whose result is lost
	slow       time.Duration
	skew       time.Duration
	idle       time.Duration // after which a silent call is taken for over; 0 is the default
	crashes    []disruption
	pauses     []disruption
	length     time.Duration
	fail       float64 // share of handlers that fail
	faultless  bool
}

// A disruption is the crash or the pause of one instance.
type disruption struct {
	at, long time.Duration
	who      int // which instance
}

func draw(t *rapid.T, length, skew time.Duration) faults {
	seconds := func(label string, most time.Duration) time.Duration {
		return time.Duration(rapid.IntRange(0, int(most/time.Millisecond)).Draw(t, label)) * time.Millisecond
	}
	d := faults{
		seed: rapid.Uint64().Draw(t, "seed"), instances: rapid.IntRange(1, 3).Draw(t, "instances"), length: length,
		slow: seconds("slow", 300*time.Millisecond), skew: skew,
	}
	if d.faultless = rapid.IntRange(0, 4).Draw(t, "calm") == 0; d.faultless {
		return d
	}
	share := rapid.SampledFrom([]float64{0, 0, 0.02, 0.2})
	d.down, d.lost, d.fail = share.Draw(t, "down"), share.Draw(t, "lost"), share.Draw(t, "fail")
	list := func(label string, most time.Duration) (ws []disruption) {
		for range rapid.IntRange(0, 3).Draw(t, label) {
			ws = append(ws, disruption{seconds(label+" at", length), seconds(label+" for", most), rapid.IntRange(0, 2).Draw(t, label+" of")})
		}
		return ws
	}
	d.crashes, d.pauses = list("crash", 0), list("pause", 80*time.Second)
	return d
}

// A cluster is instances of a backend on one store and one inbox.
type cluster struct {
	d           faults
	store       *coretest.MemoryStore
	setup       func(*core.Processor, *instance)
	inbox       *durableInbox
	faultsEnded atomic.Bool
	mu          sync.Mutex
	rng         *rand.Rand
	members     []*instance
	started     int
}

func newCluster(d faults, setup func(*core.Processor, *instance)) *cluster {
	s := &cluster{d: d, store: coretest.NewMemoryStore(), setup: setup, inbox: &durableInbox{calm: d.faultless, done: map[string]bool{}, busy: map[string]bool{}}, rng: rand.New(rand.NewPCG(d.seed, 0))}
	s.members = make([]*instance, d.instances)
	for i := range s.members {
		s.members[i] = s.start()
	}
	return s
}

func (s *cluster) happens(share float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.faultsEnded.Load() && share > 0 && s.rng.Float64() < share
}

func (s *cluster) random(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.Int64N(max(1, n))
}

func (s *cluster) at(i int) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members[i%len(s.members)]
}

// play makes the crashes and pauses, and returns when the last has begun.
func (s *cluster) play() {
	var wg sync.WaitGroup
	for _, c := range s.d.crashes {
		wg.Go(func() {
			time.Sleep(c.at)
			fresh := s.start()
			s.mu.Lock()
			i := c.who % len(s.members)
			s.members[i].dead.Store(true)
			s.members[i].disturbed.Store(true)
			s.members[i] = fresh
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

// An instance is one process: its Processor, and its connection to the store.
type instance struct {
	*core.Processor
	s         *cluster
	dead      atomic.Bool
	disturbed atomic.Bool  // its replies may be late, or never come
	resume    atomic.Int64 // until when it is paused, ns since 1970
}

func (s *cluster) start() *instance {
	s.mu.Lock()
	n := s.started
	s.started++
	s.mu.Unlock()
	st := &instance{Processor: core.New(), s: s}
	s.setup(st.Processor, st)
	skew := time.Duration(0)
	if s.d.skew > 0 {
		skew = time.Duration(n%3-1) * s.d.skew
	}
	err := st.Bind(core.Platform{
		Name: "schedule", Store: st, Inbox: st, Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
		BackgroundGrace: 20 * time.Second, CallIdleTimeout: s.d.idle, Now: func() time.Time { return time.Now().Add(skew) }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return st
}

var errDown, errDead = errors.New("schedule: the store is down"), errors.New("schedule: this instance is dead")

// waitWhilePaused returns when this instance is not paused, and whether it is alive.
func (st *instance) waitWhilePaused() bool {
	for {
		d := time.Until(time.Unix(0, st.resume.Load()))
		if d <= 0 || st.dead.Load() {
			return !st.dead.Load()
		}
		time.Sleep(d)
	}
}

func (st *instance) delay(ctx context.Context) error {
	if most := st.s.d.slow; most > 0 && !st.s.faultsEnded.Load() {
		select {
		case <-time.After(time.Duration(st.s.random(int64(most)))):
		case <-ctx.Done():
			if st.s.happens(0.5) {
				return context.Cause(ctx)
			} // else the request has been sent already
		}
	}
	if !st.waitWhilePaused() {
		return errDead
	}
	return nil
}

func (st *instance) do(ctx context.Context, op func(context.Context) error) error {
	if err := st.delay(ctx); err != nil {
		return err
	}
	if st.s.happens(st.s.d.down) {
		return errDown
	}
	err := op(context.WithoutCancel(ctx))
	if st.s.happens(st.s.d.lost) {
		return errDown
	}
	if failed := st.delay(ctx); failed != nil {
		return failed
	}
	return err
}

func (st *instance) Get(ctx context.Context, keys ...string) (rs []records.Record, err error) {
	err = st.do(ctx, func(ctx context.Context) (err error) { rs, err = st.s.store.Get(ctx, keys...); return err })
	return rs, err
}

func (st *instance) Range(ctx context.Context, dir, after string, limit int) (rs []records.Record, err error) {
	err = st.do(ctx, func(ctx context.Context) (err error) { rs, err = st.s.store.Range(ctx, dir, after, limit); return err })
	return rs, err
}

func (st *instance) Commit(ctx context.Context, rs ...records.Record) error {
	return st.do(ctx, func(ctx context.Context) error { return st.s.store.Commit(ctx, rs...) })
}

// Put implements core.Inbox.
func (st *instance) Put(ctx context.Context, es ...core.Envelope) error {
	return st.do(ctx, func(context.Context) error { st.s.inbox.put(es); return nil })
}
