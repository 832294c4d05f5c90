package simulate

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// These tests play whole calls against a small front desk: a correct one passes
// under every fault, and each kind of incorrect one is detected.

func TestCorrectDeskPassesUnderEveryFault(t *testing.T) {
	faults := [][]Fault{nil, {FaultDuplicate, FaultReorder, FaultLate, FaultLegacy}, Faults}
	for _, f := range Faults {
		faults = append(faults, []Fault{f})
	}
	for _, fs := range faults {
		t.Run(fmt.Sprint(fs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options(newDesk())
				o.Faults = fs
				short := slices.DeleteFunc(List(), func(s Scenario) bool { return s.Name == "long-call" })
				results, err := RunMany(t.Context(), o, short, 10, 4, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					passes(t, r)
				}
			})
		})
	}
}

func TestIncorrectDeskFails(t *testing.T) {
	for _, bad := range []struct {
		name     string
		desk     func(*desk)
		faults   []Fault
		scenario string
		says     string
	}{
		{"books twice when the caller interrupts", func(d *desk) { d.twice = true }, nil, "barge-in", "You have 3 appointments"},
		{"books twice when a request is repeated", func(d *desk) { d.twice = true }, []Fault{FaultDuplicate}, "booking", "You have 2 appointments"},
		{"replies with a line break", says(`{"result":"Open.\nAlways."}`), nil, "hang", "the result has a line break"},
		{"replies with a line separator", says("{\"result\":\"Open.\u2028Always.\"}"), nil, "hang", "the result has a line break"},
		{"replies with an object", says(`{"result":{"open":true}}`), nil, "hang", "not a JSON object with a result of text"},
		{"replies with no result", says(`{"ok":true}`), nil, "hang", "the reply has no result"},
		{"replies with nothing", says(``), nil, "hang", "not a JSON object"},
		{"replies with text", says(`Open.`), nil, "hang", "not a JSON object"},
		{"replies with an empty result", says(`{"result":""}`), nil, "hang", "the result is empty"},
		{"replies with megabytes", says(`{"result":"` + strings.Repeat("x", maxReply) + `"}`), nil, "hang", "longer than 1 MB"},
		{"answers a tool with 500", func(d *desk) {
			d.say = func(_ string, w http.ResponseWriter) bool { w.WriteHeader(500); return true }
		}, nil, "hang", "hang.yaml:9: opening_hours: status 500, want 200"},
		{"answers an event with 500", func(d *desk) {
			d.event = func(w http.ResponseWriter) bool { w.WriteHeader(500); return true }
		}, nil, "report-only", "report-only.yaml:4: end-of-call-report: status 500, want 2xx"},
		{"redirects events", func(d *desk) {
			d.event = func(w http.ResponseWriter) bool {
				w.Header().Set("Location", "http://elsewhere.test/")
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			}
		}, nil, "report-only", "status 307"},
		{"answers 401 and accepts the event anyway", func(d *desk) { d.anyone = true }, []Fault{FaultWrongSecret}, "booking", `status is "failed", want "finished"`},
		{"loses events", func(d *desk) { d.event = func(http.ResponseWriter) bool { return true } }, nil, "report-only", "the backend does not know the call"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				bad.desk(d)
				o := options(d)
				o.Faults = bad.faults
				r := playNamed(t, o, bad.scenario)
				if r.OK() {
					t.Fatal("it passes")
				}
				fails(t, r, bad.says)
				for _, f := range r.Failures {
					if len(f) > 1000 {
						t.Errorf("a failure of %d bytes", len(f))
					}
				}
			})
		})
	}
}

// says returns a change of a desk: all tools reply with body.
func says(body string) func(*desk) {
	return func(d *desk) {
		d.say = func(_ string, w http.ResponseWriter) bool { _, _ = w.Write([]byte(body)); return true }
	}
}

func TestEnvelopeIsAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.backward = true
		o := options(d)
		o.Faults = []Fault{FaultVapi}
		wrong := 0
		for o.Seed = 1; o.Seed < 20; o.Seed++ {
			r := playNamed(t, o, "hang")
			if !r.OK() {
				fails(t, r, "results[0] is for another toolCallId")
				wrong++
			}
		}
		if wrong == 0 {
			t.Error("no call failed")
		}
	})
}

func TestSilenceIsAHangAtFiveSeconds(t *testing.T) {
	for _, c := range []struct {
		reply time.Duration
		hangs int
		says  string
	}{
		{4 * time.Second, 0, ""},
		{6 * time.Second, 1, "the reply took 6s; after 5 s the caller hears silence"},
		{30 * time.Second, 1, "no reply within 20 s"},
	} {
		t.Run(c.reply.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.say = func(string, http.ResponseWriter) bool { time.Sleep(c.reply); return false }
				start := time.Now()
				r := playThis(t, options(d), scenario(t, "steps: [{status: ongoing}, {caller: Are you there}, {tool: opening_hours}]"))
				hangs := slices.DeleteFunc(d.events, func(e sent) bool { return dig(e.JSON, "message.type") != "hang" })
				if len(hangs) != c.hangs {
					t.Fatalf("%d hangs", len(hangs))
				}
				if c.hangs > 0 && hangs[0].At.Sub(start) != hangAfter {
					t.Errorf("the hang came after %v", hangs[0].At.Sub(start))
				}
				if c.says == "" {
					passes(t, r)
				} else {
					fails(t, r, c.says)
				}
				synctest.Wait()
				time.Sleep(c.reply) // until the desk has replied
			})
		})
	}
}

func TestDelays(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Options)
		want time.Duration
	}{
		// 200 ms, 1 s and 10 characters, 3 s, 1 s and 4 characters, 2 s
		{"real", func(o *Options) { o.NoDelay = false }, 7200*time.Millisecond + 14*60*time.Millisecond},
		{"ten times faster", func(o *Options) { o.NoDelay, o.Speed = false, 10 }, 720*time.Millisecond + 14*6*time.Millisecond},
		{"no delay", func(*Options) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options(newDesk())
				c.set(&o)
				start := time.Now()
				passes(t, playThis(t, o, scenario(t, "steps: [{status: ongoing}, {assistant: 0123456789}, {wait: 3s}, {caller: Bye.}, {report: {}}]")))
				if took := time.Since(start); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

func TestUncheckedFails(t *testing.T) {
	nothingExpected := scenario(t, "steps: [{status: ongoing}]")
	for _, c := range []struct {
		name string
		set  func(*Options)
		says string
	}{
		{"no state", func(o *Options) { o.State = nil }, "hang.yaml:19: NOT CHECKED: the final state, because Options.State is not set"},
		{"withheld", func(o *Options) { o.Faults = []Fault{FaultNoReport} }, "hang.yaml:19: NOT CHECKED: the final state, because the backend can only recover it later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(newDesk())
			c.set(&o)
			fails(t, playNamed(t, o, "hang"), c.says)
			passes(t, playThis(t, o, nothingExpected))
			o.AllowUnchecked = true
			r := playNamed(t, o, "hang")
			passes(t, r)
			if len(r.Unchecked) != 1 {
				t.Errorf("unchecked %q", r.Unchecked)
			}
		})
	}
}

// A reply at the end of its budget is in time, and one after the margin is not.
func TestWithin(t *testing.T) {
	for took, says := range map[time.Duration]string{
		4*time.Second + WithinMargin:                    "",
		4*time.Second + WithinMargin + time.Millisecond: "mine.yaml:1: opening_hours: the reply took 4.251s, want at most 4s and a margin of 250ms",
	} {
		t.Run(took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.say = func(string, http.ResponseWriter) bool { time.Sleep(took); return false }
				r := playThis(t, options(d), scenario(t, "steps: [{status: ongoing}, {tool: opening_hours, expect: {within: 4s}}]"))
				if says == "" {
					passes(t, r)
				} else {
					fails(t, r, says)
				}
			})
		})
	}
}

// What was refused is not a reply.
func TestRefusedIsNotAnswered(t *testing.T) {
	o := options(newDesk())
	o.Client = &http.Client{Transport: refuses{}}
	o.State = nil
	r := playThis(t, o, scenario(t, "steps: [{status: ongoing}, {tool: opening_hours}]"))
	if r.Events != 1 || r.Tools != 1 || len(r.EventTimes)+len(r.ToolTimes) != 0 || len(r.Failures) != 2 {
		t.Errorf("%+v", r)
	}
}

type refuses struct{}

func (refuses) RoundTrip(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }

func TestSameSeedSameCall(t *testing.T) {
	played := func(seed uint64) (all []string) {
		synctest.Test(t, func(t *testing.T) { // in which it is always the same time
			d := newDesk()
			o := options(d)
			o.Seed, o.Faults = seed, []Fault{FaultReorder, FaultDrop, FaultLate}
			playNamed(t, o, "booking")
			for _, e := range append(d.events, d.tools...) {
				all = append(all, e.Body)
			}
		})
		return all
	}
	if a, b := played(7), played(7); !slices.Equal(a, b) {
		t.Error("the same seed made different calls")
	}
	if slices.Equal(played(7), played(8)) {
		t.Error("different seeds made the same call")
	}
}

func TestConcurrentCallsWantDifferentTimes(t *testing.T) {
	d := newDesk()
	var at, most, done int
	o := options(d)
	s := scenario(t, "steps: [{tool: book_appointment, args: {date: '{{date}}', time: '{{time}}', phone: '{{phone}}'}}]")
	o.State = nil
	gate := make(chan struct{}, 3)
	d.say = func(string, http.ResponseWriter) bool {
		select {
		case gate <- struct{}{}:
			d.mu.Lock()
			if at++; at > most {
				most = at
			}
			at--
			d.mu.Unlock()
			<-gate
		default:
			t.Error("more than 3 calls at a time")
		}
		return false
	}
	results, err := RunMany(t.Context(), o, []Scenario{s}, 300, 3, func(Result) { done++ })
	if err != nil || done != 300 {
		t.Fatal(err, done)
	}
	slots, phones := map[string]bool{}, map[any]bool{}
	for _, r := range d.tools {
		slots[fmt.Sprint(r.JSON["date"], r.JSON["time"])], phones[r.JSON["phone"]] = true, true
		day, err := time.Parse(time.DateOnly, r.JSON["date"].(string))
		if err != nil || day.Year() < 2035 || day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			t.Errorf("booked on %v", r.JSON["date"])
		}
	}
	if len(slots) != 300 || len(phones) != 300 || len(results) != 300 {
		t.Errorf("%d times and %d numbers in 300 calls", len(slots), len(phones))
	}
}

func TestEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		o := options(newDesk())
		o.NoDelay = false
		start := time.Now()
		if _, err := Run(ctx, o, List()[0]); err == nil || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestRepliesAreNotTemplates(t *testing.T) {
	d := newDesk()
	d.say = func(name string, w http.ResponseWriter) bool {
		if name == "find_open_slots" {
			writeJSON(w, map[string]any{"result": "slot {{slot}} {{phone}}"})
		}
		return name == "find_open_slots"
	}
	o := options(d)
	o.State = nil
	passes(t, playThis(t, o, scenario(t, `
steps:
  - tool: find_open_slots
    capture: {slot: "slot (.*)"}
  - {tool: opening_hours, args: {day: "{{slot}}"}}
`)))
	if got := d.tools[1].JSON["day"]; got != "{{slot}} {{phone}}" {
		t.Errorf("asked for %q", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{}, "the URL of the server is required"},
		{Options{URL: "ftp://desk.test"}, "the URL of the server is required"},
		{Options{URL: "http://desk.test/?x=1"}, "without user, query and fragment"},
		{Options{URL: "http://desk.test", Faults: []Fault{FaultWrongSecret}}, "needs a secret"},
	} {
		if _, err := Run(t.Context(), c.o, List()[0]); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.o.URL, err, c.says)
		}
	}
	if _, err := ParseFaults("late,rain"); err == nil || !strings.Contains(err.Error(), `unknown fault "rain"; there are [duplicate`) {
		t.Error(err)
	}
}
