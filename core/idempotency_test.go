package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
)

type booking struct {
	Date string `json:"date"`
	Time string `json:"time"`
	Note string `json:"note,omitempty"`
}

const bookNine = `{"date":"2035-07-16","time":"09:00"}`

// counted adds a tool "book" that counts its runs and then does work.
func counted(t core.Tool, runs *atomic.Int64, work func(ctx context.Context) (string, error)) func(*core.Processor) {
	return func(p *core.Processor) {
		t.Name = "book"
		core.AddTool(p, t, func(ctx context.Context, in booking) (string, error) {
			n := runs.Add(1)
			if work != nil {
				return work(ctx)
			}
			return fmt.Sprintf("Booked number %d.", n), nil
		})
	}
}

// T1, T2, T4, T5 of docs/reliability.md: which requests are the same.
func TestSameRequestRunsOnce(t *testing.T) {
	vapi := func(call, id, args string) string {
		return fmt.Sprintf(`{"message":{"type":"tool-calls","call":{"id":%q},"toolCallList":[{"id":%q,"type":"function","function":{"name":"book","arguments":%s}}]}}`, call, id, args)
	}
	for _, c := range []struct {
		name          string
		first, second core.Request
		runs          int64
		second_       string // part of the second reply
	}{
		{"the same bytes", request("POST", "/tools/book", bookNine), request("POST", "/tools/book", bookNine), 1, "Booked number 1."},
		{"other order and white space", request("POST", "/tools/book", bookNine), request("PUT", "/tools/book", "{ \"time\" : \"09:00\",\n\"date\":\"2035-07-16\" }"), 1, "Booked number 1."},
		{"arguments as a JSON string", request("POST", "/tools/book", bookNine), request("POST", "/tools/book", `"{\"date\":\"2035-07-16\",\"time\":\"09:00\"}"`), 1, "Booked number 1."},
		{"arguments in the query", request("POST", "/tools/book", bookNine), request("GET", "/tools/book?date=2035-07-16&time=09:00", ""), 1, "Booked number 1."},
		{"other arguments", request("POST", "/tools/book", bookNine), request("POST", "/tools/book", `{"date":"2035-07-16","time":"09:45"}`), 2, "Booked number 2."},
		{"another call in the URL", request("POST", "/tools/book?call=CA1", bookNine), request("POST", "/tools/book?call=CA2", bookNine), 2, "Booked number 2."},
		{"the same call in the URL", request("POST", "/tools/book?call=CA1", bookNine), request("POST", "/tools/book?call=CA1", bookNine), 1, "Booked number 1."},
		{"asked again under a new tool-call id", request("POST", "/events", vapi("CA1", "id1", bookNine)), request("POST", "/events", vapi("CA1", "id2", bookNine)), 1, "Booked number 1."},
		{"the same tool-call id, other arguments", request("POST", "/events", vapi("CA1", "id1", bookNine)), request("POST", "/events", vapi("CA1", "id1", `{"date":"2035-07-17","time":"09:00"}`)), 2, "Booked number 2."},
		{"the same tool-call id in another call", request("POST", "/events", vapi("CA1", "id1", bookNine)), request("POST", "/events", vapi("CA2", "id1", bookNine)), 2, "Booked number 2."},
		{"a call id that would run into the arguments", request("POST", "/tools/book?call=a%2Fb", bookNine), request("POST", "/tools/book?call=a", bookNine), 2, "Booked number 2."},
	} {
		t.Run(c.name, func(t *testing.T) {
			var runs atomic.Int64
			b := newBackend(t, counted(core.Tool{}, &runs, nil))
			if got := said(t, b.Handle(t.Context(), c.first)); got != "Booked number 1." {
				t.Fatalf("first reply %q", got)
			}
			if got := said(t, b.Handle(t.Context(), c.second)); !strings.Contains(got, c.second_) {
				t.Errorf("second reply %q, want %q", got, c.second_)
			}
			if runs.Load() != c.runs {
				t.Errorf("ran %d times, want %d", runs.Load(), c.runs)
			}
		})
	}
}

// T21: a request without the ids of its dialect is one of a caller who is not
// known: a tool can be tried without a call.
func TestMissingIDs(t *testing.T) {
	for _, ids := range []string{`"call":{"id":""}`, `"call":{}`, `"call":{"id":"   "}`, `"call":{"id":null}`, `"call":{"id":"undefined"}`, `"call":{"id":"` + strings.Repeat("x", 10_000) + `"}`, `"x":1`} {
		synctest.Test(t, func(t *testing.T) {
			var runs atomic.Int64
			b := newBackend(t, counted(core.Tool{}, &runs, nil))
			for i, id := range []string{`"id1"`, `""`, `null`, `"id1"`} {
				body := `{"message":{"type":"tool-calls",` + ids + `,"toolCallList":[{"id":` + id + `,"function":{"name":"book","arguments":` + bookNine + `}}]}}`
				if got := said(t, b.Handle(t.Context(), request("POST", "/events", body))); got != "Booked number 1." || runs.Load() != 1 {
					t.Errorf("%.40s, %d: said %q after %d runs", ids, i, got, runs.Load())
				}
			}
			time.Sleep(time.Minute)
			body := `{"message":{"type":"tool-calls",` + ids + `,"toolCallList":[{"id":"id1","function":{"name":"book","arguments":` + bookNine + `}}]}}`
			if got := said(t, b.Handle(t.Context(), request("POST", "/events", body))); got != "Booked number 2." {
				t.Errorf("%.40s, a minute later: said %q", ids, got)
			}
		})
	}
}

// T1: many concurrent duplicates.
func TestConcurrentDuplicatesShareOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, func(ctx context.Context) (string, error) {
			time.Sleep(time.Second)
			return "Booked.", nil
		}))
		// A second instance on the same store.
		other := &backend{Processor: core.New(), t: t, store: b.store, inbox: b.inbox, logs: b.logs}
		counted(core.Tool{}, &runs, nil)(other.Processor)
		other.bind()
		replies := make([]string, 1000)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() {
				instance := b
				if i%2 == 1 {
					instance = other
				}
				replies[i] = string(instance.Handle(t.Context(), request("POST", "/tools/book", bookNine)).Body)
			})
		}
		wg.Wait()
		if runs.Load() != 1 {
			t.Errorf("ran %d times", runs.Load())
		}
		for _, r := range replies {
			if r != replies[0] {
				t.Fatalf("replies differ: %s and %s", replies[0], r)
			}
		}
	})
}

// T3, T8: the reply is in time, and the next request gets the result.
func TestSlowToolIsAnsweredWithinBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, func(ctx context.Context) (string, error) {
			time.Sleep(6 * time.Second)
			return "Booked.", ctx.Err()
		}))
		start := time.Now()
		if got := b.call("/tools/book", bookNine); !strings.Contains(got, "still being worked on") || time.Since(start) != 4*time.Second {
			t.Errorf("after %v: %q; want to be told to wait after exactly 4s", time.Since(start), got)
		}
		if got := b.call("/tools/book", bookNine); got != "Booked." || time.Since(start) > 6500*time.Millisecond {
			t.Errorf("after %v: %q; want the result of the first run soon after 6s", time.Since(start), got)
		}
		if runs.Load() != 1 {
			t.Errorf("ran %d times", runs.Load())
		}
	})
}

// The budget is the least of the tool's, the platform's and the request's.
func TestBudget(t *testing.T) {
	for _, c := range []struct {
		name              string
		tool, reply, left time.Duration
		want              time.Duration
	}{
		{"default", 0, 0, 0, 4 * time.Second},
		{"the tool's own", time.Second, 0, 0, time.Second},
		{"below the platform's", 10 * time.Second, 3 * time.Second, 0, 2750 * time.Millisecond},
		{"below what the request leaves", 10 * time.Second, 9 * time.Second, 2 * time.Second, 1750 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				b := newBackend(t, counted(core.Tool{Budget: c.tool}, &runs, func(ctx context.Context) (string, error) {
					<-ctx.Done()
					return "", ctx.Err()
				}), func(on *core.Platform) { on.ReplyTimeout, on.BackgroundGrace = c.reply, 0 })
				ctx, start := t.Context(), time.Now()
				if c.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.left)
					defer cancel()
				}
				b.Handle(ctx, request("POST", "/tools/book", bookNine))
				if got := time.Since(start); got != c.want {
					t.Errorf("answered after %v, want %v", got, c.want)
				}
				if err := b.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// T23: the sender disconnects during the run.
func TestDisconnectDoesNotStopTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, func(ctx context.Context) (string, error) {
			time.Sleep(2 * time.Second)
			return "Booked.", ctx.Err()
		}))
		ctx, hangUp := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); hangUp() }()
		b.Handle(ctx, request("POST", "/tools/book", bookNine))
		if got := b.call("/tools/book", bookNine); got != "Booked." || runs.Load() != 1 {
			t.Errorf("said %q after %d runs", got, runs.Load())
		}
	})
}

// T26: how long requests are duplicates.
func TestDedupWindow(t *testing.T) {
	for _, c := range []struct {
		name, target string
		tool         core.Tool
		after        time.Duration
		runs         int64
	}{
		{"nobody is known", "/tools/book", core.Tool{}, 19 * time.Second, 1},
		{"nobody is known: another caller's by now", "/tools/book", core.Tool{}, 21 * time.Second, 2},
		{"a placeholder is nobody", "/tools/book?call=%7B%7Bcall.id%7D%7D", core.Tool{}, 21 * time.Second, 2},
		{"the caller is named", "/tools/book", core.Tool{CallerArgs: []string{"note"}}, 14 * time.Minute, 1},
		{"the caller is named: another call's by now", "/tools/book", core.Tool{CallerArgs: []string{"note"}}, 16 * time.Minute, 2},
		{"the caller is named, and it may run again", "/tools/book", core.Tool{CallerArgs: []string{"note"}, Effect: core.Idempotent}, 21 * time.Second, 2},
		{"the call is known", "/tools/book?call=CA1", core.Tool{}, 8 * 24 * time.Hour, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				b := newBackend(t, counted(c.tool, &runs, nil))
				const args = `{"date":"2035-07-16","time":"09:00","note":"+14155550142"}`
				b.call(c.target, args)
				time.Sleep(c.after)
				if b.call(c.target, args); runs.Load() != c.runs {
					t.Errorf("ran %d times, want %d", runs.Load(), c.runs)
				}
			})
		})
	}
}

// T27: a record of a later version of the program counts as running.
func TestRecordOfAnotherVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, nil))
		b.call("/tools/book?call=CA1", bookNine)
		recs, err := b.store.Range(t.Context(), "calls/CA1/tools", "", 10)
		if err != nil || len(recs) != 2 || recs[1].Key != "calls/CA1/tools/count" {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		recs = recs[:1]
		recs[0].Value = []byte(`{"v":3,"state":"half","owner":["new"]}`)
		if err := b.store.Commit(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if got := b.call("/tools/book?call=CA1", bookNine); !strings.Contains(got, "still being worked on") || runs.Load() != 1 {
			t.Errorf("said %q after %d runs", got, runs.Load())
		}
	})
}

// T28: after the end of the call nothing is changed anymore.
func TestToolAfterEndOfCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, nil))
		b.event(report(0))
		b.deliver()
		time.Sleep(30 * time.Second) // still inside the grace
		if b.call("/tools/book?call="+callID, bookNine); runs.Load() != 1 {
			t.Errorf("inside the grace: ran %d times", runs.Load())
		}
		time.Sleep(time.Minute)
		if got := b.call("/tools/book?call="+callID, `{"date":"2035-07-17","time":"09:00"}`); !strings.Contains(got, "over") || runs.Load() != 1 {
			t.Errorf("said %q after %d runs", got, runs.Load())
		}
		if got := b.call("/tools/book?call="+callID, bookNine); got != "Booked number 1." {
			t.Errorf("what was said before is still said: got %q", got)
		}
	})
}

// Tool.IdempotencyArgs names the arguments that identify a request.
func TestIdempotencyArgs(t *testing.T) {
	var runs atomic.Int64
	b := newBackend(t, counted(core.Tool{IdempotencyArgs: []string{"date", "time"}}, &runs, nil))
	b.call("/tools/book", bookNine)
	b.call("/tools/book", `{"date":"2035-07-16","time":"09:00","note":"as I said"}`)
	if runs.Load() != 1 {
		t.Errorf("ran %d times, want 1: the note is not part of the key", runs.Load())
	}
}

// The idempotency key and the fencing token that a tool passes on.
func TestInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []core.Invocation
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "book", Effect: core.Idempotent}, func(ctx context.Context, in booking) (string, error) {
				inv, ok := core.InvocationFromContext(ctx)
				if !ok {
					t.Error("no invocation")
				}
				got = append(got, inv)
				if len(got) == 1 {
					return "", errors.New("the line was cut") // it may have been booked
				}
				return "", core.Say("That time is taken.")
			})
		})
		for range 3 {
			b.call("/tools/book?call=CA1", bookNine)
		}
		if len(got) != 3 || got[0].IdempotencyKey == "" || got[0].IdempotencyKey != got[1].IdempotencyKey || got[0].Call != "CA1" || got[0].Tool != "book" {
			t.Errorf("what makes up for a lost run must have its key: %+v", got)
		}
		if got[1].FencingToken <= got[0].FencingToken || got[2].FencingToken <= got[1].FencingToken {
			t.Errorf("tokens must grow: %+v", got)
		}
		if got[2].IdempotencyKey == got[1].IdempotencyKey {
			t.Errorf("after a refusal it is another request, or the system behind would refuse it again: %+v", got)
		}
	})
}
