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

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core"
	"pgregory.net/rapid"
)

// A diary is the calendar behind the tools, and remembers how it was at any time:
// replies are compared with it.
type diary struct {
	mu      sync.Mutex
	pages   map[string][]diaryPage // by item, oldest first
	fences  map[string]int64
	changed map[string]int // successful changes, by tool and item
}

type diaryPage struct {
	at     time.Time
	booked bool
}

// set books or frees an item, and reports whether it was not so before. Like any
// system behind a tool it refuses a run that was superseded.
func (d *diary) set(tool, item string, fence int64, booked bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := tool + " " + item
	if fence < d.fences[key] || d.now(item) == booked {
		return false
	}
	d.fences[key] = fence
	d.changed[key]++
	d.pages[item] = append(d.pages[item], diaryPage{time.Now(), booked})
	return true
}

func (d *diary) now(item string) bool {
	pages := d.pages[item]
	return len(pages) > 0 && pages[len(pages)-1].booked
}

func (d *diary) is(item string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now(item)
}

// times returns how often a change was made.
func (d *diary) times(u turn) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed[u.tool+" "+u.item]
}

// was reports whether an item was booked, or free, at some moment of a period.
func (d *diary) was(item string, booked bool, from, to time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := false
	for _, page := range d.pages[item] {
		if !page.at.Before(from) && state == booked {
			return true // from the beginning of the period, or within it
		}
		if page.at.After(to) {
			return false
		}
		state = page.booked
	}
	return state == booked
}

// addDesk adds tools that change the diary. desk says what they declare.
func (d *diary) addDesk(p *core.Processor, st *instance, desk string, takes time.Duration) {
	type wish struct {
		Item string `json:"item"`
	}
	change := func(booked bool, done, refused string) core.ToolFunc[wish, string] {
		return func(ctx context.Context, in wish) (string, error) {
			inv, _ := core.InvocationFromContext(ctx)
			time.Sleep(takes)
			if !st.waitWhilePaused() {
				return "", errDead
			}
			if ctx.Err() != nil {
				return "", core.NotApplied(ctx.Err())
			}
			if !d.set(inv.Tool, in.Item, inv.FencingToken, booked) {
				return "", core.Say(refused)
			}
			if !st.waitWhilePaused() {
				return "", errDead
			}
			return done, nil
		}
	}
	book, cancel := core.Tool{Name: "book"}, core.Tool{Name: "cancel"}
	switch desk {
	case "undoes":
		book.Undoes, cancel.Undoes = []string{"cancel"}, []string{"book"}
	case "safe":
		book.Effect, cancel.Effect = core.Idempotent, core.Idempotent
	}
	booking := core.AddTool(p, book, change(true, "Booked.", "That is taken."))
	canceling := core.AddTool(p, cancel, change(false, "Canceled.", "There is none."))
	if desk == "asked" {
		ask := func(booked bool, done string) func(context.Context, wish) (string, bool, error) {
			return func(_ context.Context, in wish) (string, bool, error) {
				if !st.waitWhilePaused() {
					return "", false, errors.New("away")
				}
				return done, d.is(in.Item) == booked, nil
			}
		}
		booking.Reconcile(ask(true, "Booked."))
		canceling.Reconcile(ask(false, "Canceled."))
	}
}

// A turn is one request of the model.
type turn struct {
	pause     time.Duration // before it
	who       int           // which instance
	tool      string
	item      string
	id        string // of the tool call; "" is the dialect without
	interrupt bool   // the next turn does not wait for the answer
}

func drawTurns(t *rapid.T) (turns []turn) {
	for i := range rapid.IntRange(2, 10).Draw(t, "turns") {
		turns = append(turns, turn{
			pause:     time.Duration(rapid.SampledFrom([]int{0, 1, 50, 1000, 5000, 25_000, 70_000}).Draw(t, "pause ms")) * time.Millisecond,
			who:       rapid.IntRange(0, 2).Draw(t, "to"),
			tool:      rapid.SampledFrom([]string{"book", "cancel"}).Draw(t, "tool"),
			item:      rapid.SampledFrom([]string{"nine", "nine", "ten"}).Draw(t, "item"),
			id:        rapid.SampledFrom([]string{"", "", "call_0", fmt.Sprint("id", i), fmt.Sprint("id", i)}).Draw(t, "id"),
			interrupt: rapid.IntRange(0, 3).Draw(t, "interrupt") == 0,
		})
	}
	return turns
}

// A caller who books and cancels in any order gets only replies that a reader of
// the calendar would give: whatever is interrupted, doubled, lost or slow, on several instances.
func TestSchedulesOfTruth(t *testing.T) {
	checkSchedules(t, func(t *rapid.T) {
		faults := draw(t, 150*time.Second, rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "skew"))
		desk := rapid.SampledFrom([]string{"plain", "undoes", "asked", "safe"}).Draw(t, "desk")
		takes := rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond, 3 * time.Second, 6 * time.Second}).Draw(t, "takes")
		turns := drawTurns(t)
		d := &diary{pages: map[string][]diaryPage{}, fences: map[string]int64{}, changed: map[string]int{}}
		s := newCluster(faults, func(p *core.Processor, st *instance) { d.addDesk(p, st, desk, takes) })
		var wg, all sync.WaitGroup
		all.Go(s.play)
		flights := flights{longest: takes + 2*time.Second}
		if !faults.faultless {
			flights.longest += 80 * time.Second // of a pause
		}
		take := func(turn turn, redelivery bool) {
			st := s.at(turn.who)
			from := time.Now()
			joined := flights.begin(turn, from)
			said := turn.send(st)
			flights.end(turn, from, said)
			t.Logf("%s: %s %s %s was answered %q", from.Format("04:05.000"), turn.id, turn.tool, turn.item, said)
			if st.dead.Load() || said == "" {
				return // the reply was lost
			}
			if !redelivery {
				d.check(t, turn, said, joined, time.Now())
			}
			if n := d.times(turn); desk == "plain" && n > 1 {
				t.Errorf("duplicated: %s %s was done %d times", turn.tool, turn.item, n)
			}
		}
		ids := deliveries{}
		for _, turn := range turns {
			time.Sleep(turn.pause)
			redelivery := ids.begin(turn, faults.faultless)
			answer := func() {
				take(turn, redelivery)
				ids.end(turn)
			}
			if turn.interrupt {
				wg.Go(answer)
				continue
			}
			answer()
		}
		wg.Wait()
		all.Wait()
		s.faultsEnded.Store(true)
		time.Sleep(5 * time.Minute) // every pause, run and lease is over
		for range 2 {               // to reconcile, and to read the result
			for _, tool := range []string{"book", "cancel"} {
				take(turn{tool: tool, item: "nine"}, false)
				time.Sleep(time.Minute)
			}
		}
		for _, st := range s.members {
			if err := st.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// flights is which wishes are in progress. A duplicate that arrives meanwhile gets the
// same result, which was true at some moment since the run began.
type flights struct {
	longest time.Duration // that a run goes on after its answer
	mu      sync.Mutex
	since   map[string]time.Time
	until   map[string]time.Time
	asking  map[string]int // without an answer yet
}

func (f *flights) begin(u turn, at time.Time) (from time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since == nil {
		f.since, f.until, f.asking = map[string]time.Time{}, map[string]time.Time{}, map[string]int{}
	}
	what := u.tool + " " + u.item
	if f.asking[what] == 0 && at.After(f.until[what]) {
		f.since[what] = at
	}
	f.asking[what]++
	return f.since[what]
}

func (f *flights) end(u turn, began time.Time, said string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := u.tool + " " + u.item
	f.asking[what]--
	until := time.Now()
	if said == "" || strings.Contains(said, "still being worked on") {
		until = began.Add(f.longest)
	}
	if until.After(f.until[what]) {
		f.until[what] = until
	}
}

// deliveries is what came with each id.
type deliveries struct {
	mu           sync.Mutex
	begun, ended map[string][]string // wishes, by id
}

// begin reports whether a turn is the same delivery again: its answer is repeated,
// whatever has happened since. If the store works it is seen that an id is used for
// all, and then it is not one.
func (ds *deliveries) begin(u turn, seen bool) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.begun == nil {
		ds.begun, ds.ended = map[string][]string{}, map[string][]string{}
	}
	what := u.tool + " " + u.item
	again := u.id != "" && slices.Contains(ds.begun[u.id], what)
	ds.begun[u.id] = append(ds.begun[u.id], what)
	return again && !(seen && slices.ContainsFunc(ds.ended[u.id], func(w string) bool { return w != what }))
}

func (ds *deliveries) end(u turn) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.ended[u.id] = append(ds.ended[u.id], u.tool+" "+u.item)
}

// send makes the request and returns the result, or "".
func (u turn) send(st *instance) string {
	args := fmt.Sprintf(`{"item":%q}`, u.item)
	r := request("POST", "/tools/"+u.tool+"?call=CA1", args)
	if u.id != "" {
		r = toolCalls("CA1", toolCall(u.id, u.tool, args))
	}
	var reply struct {
		Result string `json:"result"`
	}
	if err := json.Unmarshal(st.Handle(context.Background(), r).Body, &reply); err != nil {
		return ""
	}
	return reply.Result
}

// check compares a reply with the diary.
func (d *diary) check(t *rapid.T, u turn, said string, from, to time.Time) {
	booked := u.tool == "book"
	ok := true
	switch {
	case said == "Booked.", said == "That is taken.":
		ok = booked && d.was(u.item, true, from, to)
	case said == "Canceled.", said == "There is none.":
		ok = !booked && d.was(u.item, false, from, to)
	case said == doneBefore:
		ok = d.times(u) > 0
	case strings.HasPrefix(said, "It is not certain"), strings.HasPrefix(said, "That is still being worked on."),
		strings.HasPrefix(said, "That has not been started"), strings.HasPrefix(said, "Sorry, the system cannot be reached"), strings.HasPrefix(said, "Sorry, that did not work"):
	default:
		t.Errorf("unexpected: %s %s was answered %q", u.tool, u.item, said)
	}
	if !ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		t.Errorf("false: %s %s was answered %q between %v and %v, and the calendar is %v", u.tool, u.item, said, from, to, d.pages[u.item])
	}
}
