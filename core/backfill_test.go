package core_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// A fakeAPI is Interactly's API: what it knows, and how it responds.
type fakeAPI struct {
	mu     sync.Mutex
	known  map[string]string
	answer []func() ([]byte, error) // of the first requests for one call, in turn
	listed error
	asked  []string
	lists  int
}

func (a *fakeAPI) Get(ctx context.Context, id string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, id)
	if n := len(a.asked); n <= len(a.answer) && a.answer[n-1] != nil {
		return a.answer[n-1]()
	}
	if k, ok := a.known[id]; ok {
		return []byte(k), nil
	}
	return nil, nil
}

func (a *fakeAPI) List(_ context.Context, from, to time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		a.lists++
		for _, k := range a.known {
			if !yield([]byte(k), nil) {
				return
			}
		}
		if a.listed != nil {
			yield(nil, a.listed)
		}
	}
}

const assistant = "69b2d7e4f0a1c83b5e6d9f02"

// object returns a call as the API has it: with times as text, with messages and
// analysis, and with a URL that controls the live call.
func object(id, status string) string {
	return fmt.Sprintf(`{"id":%q,"status":%q,"assistantId":%q,"startAt":"1999-12-31T23:02:11.854Z","endAt":"1999-12-31T23:03:04.494Z","somethingNew":{"a":1},
		"monitor":{"controlUrl":"https://api.example.com/control/abc"},"cost":{"totalCost":0.05},
		"messages":[{"messageId":"m1","role":"assistant","text":"Hello.","timestamp":"1999-12-31T23:02:12.000Z"},{"messageId":"m2","role":"user","text":"Hi, it is Sam.","timestamp":"1999-12-31T23:02:13.000Z"}],
		"analysis":{"summary":"Booked a cleaning.","successEvaluation":"success"}}`, id, status, assistant)
}

func withBackfill(a *fakeAPI, change ...func(*core.Backfill)) func(*core.Platform) {
	return func(on *core.Platform) {
		r := core.Backfill{API: a, Interval: 1000 * time.Hour}
		for _, c := range change {
			c(&r)
		}
		on.Backfill = r
	}
}

func failing() ([]byte, error) { return nil, errors.New("500 Sam Rivera") }

func nothing() ([]byte, error) { return nil, nil }

func garbled() ([]byte, error) { return []byte(`{"id":"CA7c`), nil }

func another() ([]byte, error) { return []byte(`[1,2]`), nil }

func endless() ([]byte, error) { return []byte(`{"id":` + strings.Repeat("[", 5000)), nil }

func tooLarge() ([]byte, error) { return []byte(`{"id":"` + strings.Repeat("x", 20<<20) + `"}`), nil }

// A call whose report was never sent ends once, with the report's data.
func TestBackfillOverdue(t *testing.T) {
	for _, c := range []struct {
		name    string
		events  []string
		answers []func() ([]byte, error)
		knows   string // the status that the API has; "" where it knows nothing
		wait    time.Duration
		reason  event.EndReason
		within  time.Duration // after the wait
		asked   int
	}{
		{"finished without a report", []string{status("finished", 0)}, nil, "finished", 2 * time.Minute, event.EndReasonBackfill, 0, 1},
		{"silent for too long", []string{status("ongoing", 0)}, nil, "finished", 30 * time.Minute, event.EndReasonBackfill, 0, 1},
		{"not overdue is not asked for", []string{status("finished", 0)}, nil, "finished", time.Minute, "", 0, 0},
		{"reported is not asked for", []string{report(0)}, nil, "finished", time.Hour, event.EndReasonReport, 0, 0},
		{"failing, then answered", []string{status("finished", 0)}, []func() ([]byte, error){failing, failing}, "finished", 2 * time.Minute, event.EndReasonBackfill, 3 * time.Minute, 3},
		{"not known yet, then answered", []string{status("finished", 0)}, []func() ([]byte, error){nothing}, "finished", 2 * time.Minute, event.EndReasonBackfill, time.Minute, 2},
		{"garbled, then answered", []string{status("finished", 0)}, []func() ([]byte, error){garbled, another, endless, tooLarge}, "finished", 2 * time.Minute, event.EndReasonBackfill, 14 * time.Minute, 5},
		{"never known", []string{status("finished", 0)}, nil, "", 2 * time.Minute, event.EndReasonReportTimeout, 15 * time.Minute, 5},
		{"going on after all", []string{status("ongoing", 0)}, nil, "ongoing", 30 * time.Minute, "", time.Minute, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h recorder
				a := &fakeAPI{answer: c.answers, known: map[string]string{}}
				if c.knows != "" {
					a.known[callID] = object(callID, c.knows)
				}
				if c.knows == "ongoing" {
					a.known[callID] = strings.Replace(a.known[callID], `"endAt":"1999-12-31T23:03:04.494Z",`, "", 1)
				}
				b := newBackend(t, h.listen, withBackfill(a))
				for _, e := range c.events {
					b.event(e)
				}
				b.deliver()
				time.Sleep(c.wait)
				for until := time.Now().Add(c.within); ; time.Sleep(time.Minute) {
					if err := b.Sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
					b.deliver()
					if !time.Now().Before(until) {
						break
					}
					if b.read(callID).Ended {
						t.Fatalf("ended %v early", time.Until(until))
					}
				}
				got := b.read(callID)
				if got.EndReason != c.reason || len(a.asked) != c.asked {
					t.Fatalf("ended for %q, want %q; asked %d times, want %d", got.EndReason, c.reason, len(a.asked), c.asked)
				}
				if want := min(1, len(c.reason)); len(h.ended) != want {
					t.Errorf("told of the end %d times, want %d", len(h.ended), want)
				}
				if c.reason == event.EndReasonBackfill {
					if got.Analysis.Summary != "Booked a cleaning." || len(got.Transcript) != 2 || got.Info.Cost.Total != 0.05 || !got.Events[len(got.Events)-1].Backfilled {
						t.Errorf("the report's data is not there: %+v", got)
					}
					if strings.Contains(string(got.Report), "control/abc") {
						t.Error("the way into the live call is kept")
					}
					if len(h.reports) != 1 {
						t.Errorf("reports: %d", len(h.reports))
					}
				}
				if logs := b.logs.String(); strings.Contains(logs, "Sam") || strings.Contains(logs, callID) {
					t.Error("the log holds what was answered")
				}
				// Whatever comes later, it ends no more.
				asked := len(a.asked)
				for range 5 {
					time.Sleep(time.Minute)
					_ = b.Sweep(t.Context())
					b.deliver()
				}
				if c.reason != "" && (len(h.ended) != 1 || len(a.asked) != asked) {
					t.Errorf("told %d times, asked %d times more", len(h.ended), len(a.asked)-asked)
				}
			})
		})
	}
}

// A late report overrides what was backfilled, and a backfill never overrides a
// report that was sent.
func TestBackfillAndReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h recorder
		a := &fakeAPI{known: map[string]string{callID: object(callID, "finished")}}
		b := newBackend(t, h.listen, withBackfill(a))
		b.event(status("finished", 0))
		b.deliver()
		time.Sleep(2 * time.Minute)
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := b.inbox.take() // on its way
		b.event(report(0))
		b.deliver()
		for _, e := range late {
			if err := b.Deliver(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.read(callID); len(h.reports) != 1 || len(h.ended) != 1 || got.EndReason != event.EndReasonReport {
			t.Errorf("%d reports, %d ends, for %q", len(h.reports), len(h.ended), got.EndReason)
		}
	})
}

// A sweep has a budget, stops using an API that fails, and still ends every call
// at some time.
func TestBackfillBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeAPI{known: map[string]string{}}
		var ended sync.Map
		b := newBackend(t, func(p *core.Processor) {
			p.OnCallEnded(func(_ context.Context, e core.CallEnded) error { ended.Store(e.Call.ID, true); return nil })
		}, withBackfill(a, func(r *core.Backfill) { r.MaxRequests = 7 }))
		for n := range 20 {
			b.event(strings.ReplaceAll(status("finished", 0), callID, fmt.Sprintf("CA%d", n)))
		}
		b.deliver()
		time.Sleep(2 * time.Minute)
		if err := b.Sweep(t.Context()); err != nil || len(a.asked) != 7 {
			t.Fatalf("%v, asked for %d calls, want 7", err, len(a.asked))
		}
		for range 100 {
			a.answer = append(a.answer, failing)
		}
		time.Sleep(time.Minute)
		if err := b.Sweep(t.Context()); err != nil || len(a.asked) != 10 {
			t.Fatalf("%v, asked %d times, want 3 more that fail", err, len(a.asked))
		}
		for range 16 {
			time.Sleep(time.Minute)
			_ = b.Sweep(t.Context())
		}
		n := 0
		ended.Range(func(any, any) bool { n++; return true })
		if n != 20 {
			t.Errorf("%d calls have ended, want 20", n)
		}
	})
}

// The day's list finds calls of this backend without any event, and no others.
func TestBackfillList(t *testing.T) {
	other := strings.Replace(object("CA-other", "finished"), assistant, "another", 1)
	for _, c := range []struct {
		name          string
		assistants    []string
		assistantSeen bool // of another call of the assistant
		want          string
	}{
		{"of an assistant that has calls here", nil, true, "CA-lost"},
		{"of nobody we know", nil, false, ""},
		{"of the assistant that is named", []string{assistant}, false, "CA-lost"},
		{"of all", []string{"*"}, false, "CA-lost CA-other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h recorder
				a := &fakeAPI{known: map[string]string{
					callID: object(callID, "finished"), "CA-lost": object("CA-lost", "finished"), "CA-other": other,
					"CA-going": strings.Replace(object("CA-going", "ongoing"), `"endAt":"1999-12-31T23:03:04.494Z",`, "", 1),
				}}
				if !c.assistantSeen {
					delete(a.known, callID)
				}
				b := newBackend(t, h.listen, withBackfill(a, func(r *core.Backfill) { r.Assistants, r.Interval = c.assistants, time.Hour }))
				b.event(report(0))
				b.deliver()
				for range 30 { // half an hour: listed once
					if err := b.Sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
					b.deliver()
					time.Sleep(time.Minute)
				}
				var got []string
				for _, id := range []string{"CA-going", "CA-lost", "CA-other"} {
					if call, err := calls.Read(t.Context(), b.store, event.CallID(id)); err == nil && call.EndReason == event.EndReasonBackfill {
						got = append(got, id)
					}
				}
				if strings.Join(got, " ") != c.want || a.lists != 1 || len(h.ended) != 1+len(got) {
					t.Errorf("taken over: %q, want %q; listed %d times; told of %d ends", got, c.want, a.lists, len(h.ended))
				}
			})
		})
	}
}

// A call that ended without a report, because the API was down, is backfilled by
// the list later.
func TestBackfillLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h recorder
		a := &fakeAPI{known: map[string]string{}, listed: errors.New("down")}
		b := newBackend(t, h.listen, withBackfill(a, func(r *core.Backfill) { r.Interval = time.Hour }))
		b.event(status("finished", 0))
		b.deliver()
		sweep := func(minutes int) {
			for range minutes {
				time.Sleep(time.Minute)
				_ = b.Sweep(t.Context())
				b.deliver()
			}
		}
		sweep(20)
		if got := b.read(callID); got.EndReason != event.EndReasonReportTimeout {
			t.Fatalf("ended for %q", got.EndReason)
		}
		a.listed, a.known[callID] = nil, object(callID, "finished")
		sweep(90)
		if got := b.read(callID); got.Analysis.Summary == "" || len(h.ended) != 1 || len(h.reports) != 1 {
			t.Errorf("summary %q, %d ends, %d reports", got.Analysis.Summary, len(h.ended), len(h.reports))
		}
	})
}

// A manual backfill fetches everything, whatever sweeps have fetched.
func TestBackfillManually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h recorder
		b := newBackend(t, h.listen)
		if _, err := b.Backfill(t.Context(), time.Time{}, time.Now()); !errors.Is(err, core.ErrBackfillNotConfigured) {
			t.Errorf("without an API: %v", err)
		}
		a := &fakeAPI{known: map[string]string{callID: object(callID, "finished"), "CA-lost": object("CA-lost", "finished")}}
		b = newBackend(t, h.listen, withBackfill(a))
		b.event(status("finished", 0))
		b.deliver()
		time.Sleep(3 * time.Minute)
		got, err := b.Backfill(t.Context(), time.Now().Add(-time.Hour), time.Now())
		if want := (core.BackfillStats{Listed: 2, Queried: 2, Recovered: 2}); err != nil || got != want {
			t.Errorf("%v, %+v, want %+v", err, got, want)
		}
		b.deliver()
		got, err = b.Backfill(t.Context(), time.Now().Add(-time.Hour), time.Now())
		if want := (core.BackfillStats{Listed: 2}); err != nil || got != want || len(h.ended) != 2 {
			t.Errorf("again: %v, %+v, want %+v; %d ends", err, got, want, len(h.ended))
		}
	})
}
