package core

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/fault"
)

const (
	// bareWindow is how long a request that names no call counts as the same
	// as one before it: Interactly's default longest call
	// (docs/events.md#assistant). Later it is another caller's.
	bareWindow = 15 * time.Minute

	// leaseSlack is added to the longest time that a run may take before its
	// owner counts as dead.
	leaseSlack = 30 * time.Second

	// endGrace is how long after a call's end its last requests may still
	// change something.
	endGrace = time.Minute

	// Duplicates ask for the result at these intervals, growing.
	pollFirst, pollLast = 25 * time.Millisecond, 250 * time.Millisecond

	// leastRun is what must be left of the budget to begin a run after waiting
	// for another's: one that is cut off leaves its outcome open.
	leastRun = 100 * time.Millisecond

	// storeShare is the part of the budget that claiming may take, because
	// the tool needs the rest.
	storeShare = 0.3

	maxCallID = 256
)

// recordVersion is the version of a toolRecord; others are left alone.
const recordVersion = 1

// toolState is where the one run of a request stands.
//
//	(none) → running → done | failed      the result is kept and repeated
//	         running → released           nothing was changed: may run again
//	         running → unknown            the owner died, or cannot tell
//	unknown → done | released             as Reconcile says
//	unknown → running                     RetrySafe only
type toolState string

const (
	stateRunning  toolState = "running"
	stateDone     toolState = "done"
	stateFailed   toolState = "failed"
	stateReleased toolState = "released"
	stateUnknown  toolState = "unknown"

	// Not states of a record, but of an answer.
	stateLate   = "late"
	stateFenced = "fenced"
)

// A toolRecord is what is kept of a request that changes something. Every step
// of it is one conditional commit, so that an owner that was overtaken cannot
// write; the fence counts the owners.
type toolRecord struct {
	V        int            `json:"v"`
	Tool     string         `json:"tool"`
	Call     CallID         `json:"call,omitempty"`
	State    toolState      `json:"state"`
	Fence    int64          `json:"fence"`
	Owner    string         `json:"owner"`
	Args     jsontext.Value `json:"args,omitempty"`
	Result   string         `json:"result,omitempty"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
}

// A step is what to do next about a request, given its record.
type step int

const (
	stepClaim     step = iota // nobody runs it: claim it and run
	stepReplay                // it has run: send what was sent
	stepWait                  // someone runs it: wait for the result
	stepDoubt                 // its owner is gone: write that down
	stepReconcile             // nobody knows: ask the tool
	stepRefuse                // nobody knows, and nobody can be asked
)

// next decides. It is the whole rule of once, and reads nothing but what it is
// given: age is the record's by the store's clock, lease the longest that an
// owner can live.
func next(t *tool, rec toolRecord, found bool, age, lease time.Duration) step {
	switch {
	case !found:
		return stepClaim
	case rec.V != recordVersion:
		return stepWait // another version of the program owns it
	case rec.State == stateReleased:
		return stepClaim
	case rec.State == stateDone || rec.State == stateFailed:
		return stepReplay
	case rec.State == stateRunning && age < lease:
		return stepWait
	case t.Effect == RetrySafe, fault.Mutated("runs again"):
		return stepClaim
	case rec.State == stateRunning:
		return stepDoubt
	case t.reconcile != nil:
		return stepReconcile
	}
	return stepRefuse
}

// claim is a request and the place of its record.
type claim struct {
	t      *tool
	q      toolRequest
	args   []byte // canonical
	key    string // of the record
	idKey  string // of the note which request the tool-call id stands for, or ""
	noted  bool   // the note is there
	window time.Duration
}

// once runs a tool that changes something at most once for the same request,
// and answers every duplicate with the same bytes. ctx ends when the reply is
// due.
func (p *Processor) once(ctx context.Context, t *tool, q toolRequest, canon []byte) toolAnswer {
	if q.needsIDs && (!validID(q.id) || !validID(string(q.call))) {
		return toolAnswer{result: sayNoID, state: "refused"}
	}
	if !validID(string(q.call)) {
		q.call = "" // as if the URL did not tell
	}
	c, err := newClaim(t, q, canon)
	if err != nil {
		return toolAnswer{result: sayArguments, state: "refused"}
	}
	for {
		f, leads := p.flights.join(c.key + c.idKey)
		if leads {
			return p.flights.land(c.key+c.idKey, f, func() toolAnswer { return p.onceHere(ctx, c) })
		}
		select {
		case <-f.landed:
			if a := f.answer; a.shared() {
				a.replayed = true
				return a
			}
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: stateLate}
		}
	}
}

// onceHere is once among instances; flights has settled it within this one.
func (p *Processor) onceHere(ctx context.Context, c *claim) toolAnswer {
	lease := p.lease(c.t)
	due, _ := ctx.Deadline()
	opening, cancel := context.WithTimeout(ctx, time.Duration(float64(time.Until(due))*storeShare))
	defer cancel()
	for pause := pollFirst; ; {
		rec, raw, refusal, err := p.lookUp(opening, c)
		switch {
		case err != nil && opening != ctx:
			return toolAnswer{result: sayNotNow, state: "store down"}
		case err != nil: // it was seen to run elsewhere: the store may come back
		case refusal != "":
			return toolAnswer{result: refusal, state: "refused"}
		default:
			switch next(c.t, rec, raw.Version != 0, raw.Age, lease) {
			case stepClaim:
				if time.Until(due) < leastRun {
					return toolAnswer{result: sayWorking, state: stateLate}
				}
				mine, err := p.claim(opening, c, rec, raw.Version)
				if errors.Is(err, ErrStale) && fault.Mutated("no condition") {
					err = nil
				}
				if errors.Is(err, ErrStale) {
					continue // somebody was faster
				}
				if err != nil {
					return toolAnswer{result: sayNotNow, state: "store down"}
				}
				return p.runClaimed(ctx, c, mine)
			case stepReplay:
				return toolAnswer{result: rec.Result, state: string(rec.State), replayed: true}
			case stepDoubt:
				rec.State = stateUnknown
				if err := p.write(ctx, c, rec, raw.Version); err != nil && !errors.Is(err, ErrStale) {
					return toolAnswer{result: sayUnsure, state: string(stateUnknown)}
				}
				continue
			case stepReconcile:
				if a, ok := p.reconcile(ctx, c, rec, raw.Version); ok {
					return a
				}
				continue
			case stepRefuse:
				return toolAnswer{result: sayUnsure, state: string(stateUnknown)}
			case stepWait:
			}
		}
		opening = ctx // from here on it waits, for all that is left
		select {
		case <-ctx.Done():
			return toolAnswer{result: sayWorking, state: stateLate}
		case <-time.After(pause/2 + mathrand.N(pause)/2):
			pause = min(2*pause, pollLast)
		}
	}
}

// lease is how long an owner of a run of t can live.
func (p *Processor) lease(t *tool) time.Duration { return t.Budget + p.on.Linger + leaseSlack }

// newClaim derives the key of a request: the call where it is known, the tool,
// and the arguments that tell requests apart. The parts are written with their
// lengths, so that no two lists of parts make the same key.
func newClaim(t *tool, q toolRequest, canon []byte) (*claim, error) {
	keyed, err := t.keyArguments(canon)
	if err != nil {
		return nil, err
	}
	c := &claim{t: t, q: q, args: canon}
	dir := "tools/" + t.Name
	if q.call != "" {
		dir = callDir(q.call) + "/tools"
	} else {
		c.window = bareWindow
	}
	c.key = dir + "/" + digest("run", string(q.call), t.Name, string(keyed))
	if q.id != "" {
		c.idKey = dir + "/id-" + digest("id", string(q.call), q.id)
	}
	return c, nil
}

// lookUp reads the record of a request. refusal is why it may not run: its
// tool-call id stood for another request, or its call is over.
func (p *Processor) lookUp(ctx context.Context, c *claim) (rec toolRecord, raw Record, refusal string, err error) {
	keys := []string{c.key}
	if c.idKey != "" {
		keys = append(keys, c.idKey)
	}
	if c.q.call != "" {
		keys = append(keys, callKey(c.q.call))
	}
	recs, err := p.on.Store.Get(ctx, keys...)
	if err != nil {
		return rec, raw, "", err
	}
	raw = recs[0]
	if raw.Version != 0 && json.Unmarshal(raw.Value, &rec) != nil {
		rec = toolRecord{} // of another version of the program: V is 0
	}
	for _, r := range recs[1:] {
		switch {
		case r.Version == 0:
		case r.Key == c.idKey:
			c.noted = true
			if string(r.Value) != c.key {
				return rec, raw, sayConflict, nil
			}
		case raw.Version == 0 && p.overFor(r.Value) > endGrace:
			return rec, raw, sayEnded, nil
		}
	}
	return rec, raw, "", nil
}

// claim makes this instance the owner of the run.
func (p *Processor) claim(ctx context.Context, c *claim, old toolRecord, version int64) (toolRecord, error) {
	rec := toolRecord{
		V: recordVersion, Tool: c.t.Name, Call: c.q.call, State: stateRunning,
		Fence: old.Fence + 1, Owner: rand.Text(), Args: c.args, Started: p.on.Now().UTC(),
	}
	if len(rec.Args) > MaxRecord/4 {
		rec.Args = nil // they are for the eye only
	}
	err := p.write(ctx, c, rec, version)
	if err == nil || errors.Is(err, ErrStale) {
		return rec, err
	}
	// It may have been written though the answer was lost.
	if now, _, _, again := p.lookUp(ctx, c); again == nil && now.Owner == rec.Owner {
		return rec, nil
	}
	return rec, err
}

// runClaimed runs the tool as the owner of its record and stores what came of
// it before it is said.
func (p *Processor) runClaimed(ctx context.Context, c *claim, mine toolRecord) toolAnswer {
	fault.Point("after claim")
	r := p.start(ctx, c.t, c.args, c.invocation(mine), p.on.Linger)
	stored := make(chan toolAnswer, 1)
	p.work.Go(func() {
		<-r.done
		fault.Point("after effect")
		a := p.settle(ctx, c, mine, r)
		fault.Point("after store")
		stored <- a
	})
	select {
	case a := <-stored:
		return a
	case <-ctx.Done():
	}
	select {
	case <-r.done: // it has run and the store is slow: say what came of it
		if p.on.Now().Sub(mine.Started) >= p.lease(c.t) {
			return <-stored // this process stood still: another may have answered since
		}
		return r.answer(c.t)
	default:
		return toolAnswer{result: sayWorking, state: stateLate}
	}
}

// settle writes down how a run ended, for its duplicates, also when its own
// reply was due before. It returns what is to be said: when the run was
// overtaken, what the one that overtook it says.
func (p *Processor) settle(ctx context.Context, c *claim, mine toolRecord, r *run) toolAnswer {
	a := r.answer(c.t)
	mine.Result, mine.State, mine.Finished = a.result, toolState(a.state), p.on.Now().UTC()
	_, unchanged := errors.AsType[*notApplied](r.err)
	switch {
	case unchanged:
		mine.State = stateReleased
	case mine.State == stateFailed && c.t.reconcile != nil && !isSaid(r.err):
		mine.State = stateUnknown // the tool can find out when it is asked again
	}
	a.state = string(mine.State)

	due, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, time.Until(due))+p.on.Linger+leaseSlack/2)
	defer cancel()
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		rec, raw, _, err := p.lookUp(ctx, c)
		if err == nil {
			switch {
			case raw.Version == 0: // it has expired: nobody can ask for it
				return a
			case rec.Owner != mine.Owner && !fault.Mutated("no fence"):
				p.log.Warn("tool call overtaken", "tool", c.t.Name, "state", stateFenced)
				if next(c.t, rec, true, 0, time.Hour) == stepReplay {
					return toolAnswer{result: rec.Result, state: string(rec.State), replayed: true}
				}
				return toolAnswer{result: sayWorking, state: stateFenced}
			case rec.State != stateRunning && rec.State != stateUnknown && !fault.Mutated("no fence"): // written, the answer was lost
				return a
			}
			err = p.write(ctx, c, mine, raw.Version)
		}
		if err == nil {
			return a
		}
		select {
		case <-ctx.Done():
			return a
		case <-time.After(pause):
		}
	}
}

// reconcile asks the tool what became of a run whose owner is gone. ok is
// false when the record has changed and must be looked at again.
func (p *Processor) reconcile(ctx context.Context, c *claim, rec toolRecord, version int64) (a toolAnswer, ok bool) {
	unsure := toolAnswer{result: sayUnsure, state: string(stateUnknown)}
	applied := false
	asked := *c.t
	asked.run = func(ctx context.Context, args []byte) (v any, err error) {
		v, applied, err = c.t.reconcile(ctx, args)
		return v, err
	}
	r := p.start(ctx, &asked, c.args, c.invocation(rec), 0)
	select {
	case <-r.done:
	case <-ctx.Done():
		return toolAnswer{result: sayWorking, state: stateLate}, true
	}
	if r.err != nil {
		return unsure, true
	}
	rec.State, rec.Finished = stateReleased, p.on.Now().UTC()
	if applied {
		rec.State, rec.Result = stateDone, r.text
	}
	if err := p.write(ctx, c, rec, version); err != nil && !errors.Is(err, ErrStale) {
		return unsure, true
	}
	return toolAnswer{}, false
}

// write commits one step of a record, and with the first one the note which
// request its tool-call id stands for.
func (p *Processor) write(ctx context.Context, c *claim, rec toolRecord, version int64) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return errors.New("core: tool record cannot be encoded")
	}
	r := Record{Key: c.key, Value: value, Version: version}
	if c.window > 0 {
		r.Expires = p.on.Now().Add(c.window)
	}
	if rec.State != stateRunning || c.idKey == "" || c.noted {
		return p.on.Store.Commit(ctx, r)
	}
	return p.on.Store.Commit(ctx, r, Record{Key: c.idKey, Value: []byte(c.key), Expires: r.Expires})
}

func (c *claim) invocation(rec toolRecord) Invocation {
	_, name, _ := SplitKey(c.key)
	return Invocation{Tool: c.t.Name, Call: c.q.call, Key: name, Fence: rec.Fence}
}

func isSaid(err error) bool {
	_, ok := errors.AsType[*SayError](err)
	return ok
}

// validID reports whether an id can tell one thing from another.
func validID(id string) bool {
	return strings.TrimSpace(id) != "" && len(id) <= maxCallID && !strings.ContainsFunc(id, unicode.IsControl)
}

// digest is a name for a list of strings that no other list has.
func digest(parts ...string) string {
	sum := digestOf(parts...)
	return hex.EncodeToString(sum[:])
}

func digestOf(parts ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	for _, s := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Sum(sum[:0])
	return sum
}

// flights joins the same requests within this instance, so that a storm of
// duplicates asks the store once.
type flights struct {
	mu  sync.Mutex
	now map[string]*flight
}

type flight struct {
	landed chan struct{} // closed when answer is set
	answer toolAnswer
}

func (fs *flights) join(key string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.now[key]; f != nil {
		return f, false
	}
	if fs.now == nil {
		fs.now = map[string]*flight{}
	}
	f = &flight{landed: make(chan struct{})}
	fs.now[key] = f
	return f, true
}

// land does the work that the others wait for, and tells them.
func (fs *flights) land(key string, f *flight, work func() toolAnswer) toolAnswer {
	f.answer = toolAnswer{result: sayUnsure, state: string(stateUnknown)} // should it panic
	defer func() {
		fs.mu.Lock()
		delete(fs.now, key)
		fs.mu.Unlock()
		close(f.landed)
	}()
	f.answer = work()
	return f.answer
}
