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
	"github.com/serverurl/serverurl/core/calls"
)

// A calendar is what the tools of these tests change, and what a caller hears
// must be true of.
type calendar struct {
	mu                        sync.Mutex
	booked                    map[string]bool
	booked_, canceled, texted int  // how often
	away                      bool // the next change fails
}

type wish struct {
	Time string `json:"time"`
	Name string `json:"name,omitempty"`
}

type move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

const doneBefore = "That was done before and was not done again now. Check how it stands before you tell the caller."

// tools adds a front desk to p. desk says which of the ways out its tools have.
func (c *calendar) tools(p *core.Processor, desk string) {
	do := func(change func() (string, error)) (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.away {
			c.away = false
			return "", errors.New("calendar: 503")
		}
		return change()
	}
	bookTool, cancelTool := core.Tool{Name: "book"}, core.Tool{Name: "cancel"}
	switch desk {
	case "undoes":
		bookTool.Undoes, cancelTool.Undoes = []string{"cancel"}, []string{"book"}
	case "idempotent":
		bookTool.Effect, cancelTool.Effect = core.Idempotent, core.Idempotent
	}
	book := core.AddTool(p, bookTool, func(_ context.Context, in wish) (string, error) {
		return do(func() (string, error) {
			if c.booked[in.Time] {
				return "", core.Say("That time is taken.")
			}
			c.booked[in.Time] = true
			c.booked_++
			return "Booked " + in.Time + ".", nil
		})
	})
	cancel := core.AddTool(p, cancelTool, func(_ context.Context, in wish) (string, error) {
		return do(func() (string, error) {
			if !c.booked[in.Time] {
				return "", core.Say("There is no appointment then.")
			}
			delete(c.booked, in.Time)
			c.canceled++
			return "Canceled " + in.Time + ".", nil
		})
	})
	core.AddTool(p, core.Tool{Name: "move"}, func(_ context.Context, in move) (string, error) {
		return do(func() (string, error) {
			if !c.booked[in.From] || c.booked[in.To] {
				return "", core.Say("That cannot be moved.")
			}
			delete(c.booked, in.From)
			c.booked[in.To] = true
			return "Moved to " + in.To + ".", nil
		})
	})
	core.AddTool(p, core.Tool{Name: "text"}, func(context.Context, wish) (string, error) {
		return do(func() (string, error) { c.texted++; return "Sent.", nil })
	})
	core.AddTool(p, core.Tool{Name: "seen", Effect: core.ReadOnly}, func(_ context.Context, in wish) (string, error) {
		return do(func() (string, error) { return fmt.Sprint(c.booked[in.Time]), nil })
	})
	if desk == "reconcile" {
		book.Reconcile(func(_ context.Context, in wish) (string, bool, error) {
			return "Booked " + in.Time + ".", c.booked[in.Time], nil
		})
		cancel.Reconcile(func(_ context.Context, in wish) (string, bool, error) {
			return "Canceled " + in.Time + ".", !c.booked[in.Time], nil
		})
	}
}

// What a caller hears who changes their mind, step by step, at desks whose tools
// declare different things.
func TestChangesOfMind(t *testing.T) {
	const nine, ten = `{"time":"09:00"}`, `{"time":"10:00"}`
	type step struct{ tool, args, said string }
	for _, c := range []struct {
		name, desk string
		steps      []step
	}{
		{"asked twice, and nothing since", "", []step{{"book", nine, "Booked 09:00."}, {"book", nine, "Booked 09:00."}}},
		{"asked twice, a look between", "", []step{{"book", nine, "Booked 09:00."}, {"seen", nine, "true"}, {"book", nine, "Booked 09:00."}}},
		{"asked twice, a refusal between", "", []step{{"book", nine, "Booked 09:00."}, {"cancel", ten, "There is no appointment then."}, {"book", nine, "Booked 09:00."}}},
		{"book, cancel, book", "", []step{{"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"book", nine, doneBefore}}},
		{"book, cancel, book, declared", "undoes", []step{{"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"book", nine, "Booked 09:00."},
			{"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"book", nine, "Booked 09:00."}}},
		{"book, cancel, book, asked", "reconcile", []step{{"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}}},
		{"book, cancel, book, harmless", "idempotent", []step{{"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"book", nine, "Booked 09:00."}, {"cancel", nine, "Canceled 09:00."}, {"cancel", nine, "Canceled 09:00."}}},
		{"one is canceled, the other repeated", "undoes", []step{{"book", nine, "Booked 09:00."}, {"book", ten, "Booked 10:00."}, {"cancel", ten, "Canceled 10:00."}, {"book", nine, doneBefore}, {"book", ten, "Booked 10:00."}}},
		{"moved there and back", "", []step{{"book", nine, "Booked 09:00."}, {"move", `{"from":"09:00","to":"10:00"}`, "Moved to 10:00."}, {"move", `{"from":"10:00","to":"09:00"}`, "Moved to 09:00."}, {"move", `{"from":"09:00","to":"10:00"}`, doneBefore}}},
		{"both again after an interruption", "", []step{{"book", nine, "Booked 09:00."}, {"text", nine, "Sent."}, {"book", nine, doneBefore}, {"text", nine, "Sent."}}},
		{"both again, and it can be asked", "reconcile", []step{{"book", nine, "Booked 09:00."}, {"text", nine, "Sent."}, {"book", nine, "Booked 09:00."}, {"text", nine, doneBefore}}},
		{"a refusal whose cause has gone", "", []step{{"book", nine, "Booked 09:00."}, {"book", `{"time":"09:00","name":"Sam"}`, "That time is taken."}, {"cancel", nine, "Canceled 09:00."}, {"book", `{"time":"09:00","name":"Sam"}`, "Booked 09:00."}}},
		{"an error that passes", "idempotent", []step{{"away", "", ""}, {"book", nine, "It is not certain whether that went through. It does no harm to ask once more."}, {"book", nine, "Booked 09:00."}}},
		{"an error that leaves it open", "", []step{{"away", "", ""}, {"book", nine, "It is not certain whether that went through. Do not try it again; ask the caller to check with the office."}, {"book", nine, "It is not certain whether that went through. Do not try it again; ask the caller to check with the office."}}},
		{"what is not certain may have changed something", "undoes", []step{{"book", nine, "Booked 09:00."}, {"away", "", ""}, {"cancel", nine, "It is not certain whether that went through. Do not try it again; ask the caller to check with the office."}, {"book", nine, doneBefore}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cal := &calendar{booked: map[string]bool{}}
			// Two instances, in turn: what has changed is known from the store.
			one := newBackend(t, func(p *core.Processor) { cal.tools(p, c.desk) })
			two := &backend{Processor: core.New(), t: t, store: one.store, inbox: one.inbox, logs: one.logs}
			cal.tools(two.Processor, c.desk)
			two.bind()
			for i, s := range c.steps {
				if s.tool == "away" {
					cal.away = true
					continue
				}
				b := []*backend{one, two}[i%2]
				if got := b.call("/tools/"+s.tool+"?call=CA1", s.args); got != s.said {
					t.Errorf("step %d, %s %s: said %q, want %q", i+1, s.tool, s.args, got, s.said)
				}
			}
		})
	}
}

func toolCalls(call string, calls ...string) core.Request {
	return request("POST", "/events", fmt.Sprintf(`{"message":{"type":"tool-calls","call":{"id":%q},"toolCallList":[%s]}}`, call, strings.Join(calls, ",")))
}

func toolCall(id, tool, args string) string {
	return fmt.Sprintf(`{"id":%q,"type":"function","function":{"name":%q,"arguments":%s}}`, id, tool, args)
}

// The same delivery gets the same answer, whatever was done in between; an id with
// which different requests come identifies none of them.
func TestDeliveries(t *testing.T) {
	const nine, ten = `{"time":"09:00"}`, `{"time":"10:00"}`
	type step struct{ id, tool, args, said string }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"again, and again after it was undone", []step{{"a", "book", nine, "Booked 09:00."}, {"a", "book", nine, "Booked 09:00."}, {"b", "cancel", nine, "Canceled 09:00."}, {"a", "book", nine, "Booked 09:00."}}},
		{"a refusal, again", []step{{"a", "cancel", nine, "There is no appointment then."}, {"b", "book", nine, "Booked 09:00."}, {"a", "cancel", nine, "There is no appointment then."}, {"c", "cancel", nine, "Canceled 09:00."}}},
		{"that it was done before, again", []step{{"a", "book", nine, "Booked 09:00."}, {"b", "text", nine, "Sent."}, {"c", "book", nine, doneBefore}, {"d", "cancel", nine, "Canceled 09:00."}, {"c", "book", nine, doneBefore}, {"e", "book", nine, "Booked 09:00."}}},
		{"a duplicate under another id, again", []step{{"a", "book", nine, "Booked 09:00."}, {"b", "book", nine, "Booked 09:00."}, {"c", "cancel", nine, "Canceled 09:00."}, {"b", "book", nine, "Booked 09:00."}}},
		{"one id for all", []step{{"call_0", "book", nine, "Booked 09:00."}, {"call_0", "cancel", nine, "Canceled 09:00."}, {"call_0", "book", nine, "Booked 09:00."}, {"call_0", "book", ten, "Booked 10:00."}, {"call_0", "cancel", nine, "Canceled 09:00."}}},
		{"one id for all, in part", []step{{"call_0", "book", nine, "Booked 09:00."}, {"call_1", "cancel", nine, "Canceled 09:00."}, {"call_0", "book", ten, "Booked 10:00."}, {"call_0", "book", nine, "Booked 09:00."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cal := &calendar{booked: map[string]bool{}}
			b := newBackend(t, func(p *core.Processor) { cal.tools(p, "undoes") })
			for i, s := range c.steps {
				want := fmt.Sprintf(`"results":[{"toolCallId":%q,"name":%q,"result":%q}]}`, s.id, s.tool, s.said)
				if r := b.Handle(t.Context(), toolCalls("CA1", toolCall(s.id, s.tool, s.args))); !strings.HasSuffix(string(r.Body), want) {
					t.Errorf("step %d, %s %s: got %s, want %s", i+1, s.tool, s.args, r.Body, want)
				}
			}
		})
	}
}

// Calls of one message that depend on each other, under any delay.
func TestOrderOfOneMessage(t *testing.T) {
	for range 20 {
		cal := &calendar{booked: map[string]bool{"09:00": true}}
		b := newBackend(t, func(p *core.Processor) { cal.tools(p, "") })
		r := b.Handle(t.Context(), toolCalls("CA1", toolCall("a", "cancel", `{"time":"09:00"}`), toolCall("b", "book", `{"time":"09:00","name":"Sam"}`)))
		if !strings.HasPrefix(string(r.Body), `{"result":"Canceled 09:00. Booked 09:00."`) {
			t.Fatalf("said %s", r.Body)
		}
	}
}

// Callers who cannot be told apart share nothing that could be two wishes.
func TestCallersWithoutCalls(t *testing.T) {
	const message = `{"time":"Please call me back."}`
	for _, c := range []struct {
		name, first, second string
		between             time.Duration
		texted              int
	}{
		{"no id", "/tools/text", "/tools/text", time.Minute, 2},
		{"no id, the same breath", "/tools/text", "/tools/text", time.Second, 1},
		{"a variable that nobody filled in", "/tools/text?call={{call.id}}", "/tools/text?call={{call.id}}", time.Minute, 2},
		{"the word for none", "/tools/text?call=undefined", "/tools/text?call=undefined", time.Minute, 2},
		{"null", "/tools/text?call=null", "/tools/text?call=NULL", time.Minute, 2},
		{"a variable of a shell", "/tools/text?call=$CALL_ID", "/tools/text?call=$CALL_ID", time.Minute, 2},
		{"two calls", "/tools/text?call=CA1", "/tools/text?call=CA2", time.Second, 2},
		{"one call", "/tools/text?call=CA1", "/tools/text?call=CA1", time.Hour, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cal := &calendar{booked: map[string]bool{}}
				b := newBackend(t, func(p *core.Processor) { cal.tools(p, "") })
				b.call(c.first, message)
				time.Sleep(c.between)
				b.call(c.second, message)
				if cal.texted != c.texted {
					t.Errorf("%d messages, want %d", cal.texted, c.texted)
				}
				if placeholder := strings.Count(b.logs.String(), "call id ignored"); placeholder > 1 || (placeholder == 1) != strings.ContainsAny(c.first, "{$un") {
					t.Errorf("%d lines about placeholders:\n%s", placeholder, b.logs)
				}
			})
		})
	}
}

// Without a call, what was done is said again only while nothing else was.
func TestChangesOfMindWithoutCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal := &calendar{booked: map[string]bool{}}
		b := newBackend(t, func(p *core.Processor) { cal.tools(p, "undoes") })
		for i, s := range []struct{ tool, said string }{
			{"book", "Booked 09:00."}, {"book", "Booked 09:00."}, {"cancel", "Canceled 09:00."}, {"book", "Booked 09:00."}, {"text", "Sent."}, {"book", doneBefore},
		} {
			if got := b.call("/tools/"+s.tool, `{"time":"09:00"}`); got != s.said {
				t.Errorf("step %d, %s: said %q, want %q", i+1, s.tool, got, s.said)
			}
			time.Sleep(time.Second)
		}
	})
}

// A tool that declares who its caller is shares nothing with other callers, and
// remembers what one of them did.
func TestCallerArgs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type request struct {
			Phone string `json:"phone"`
			Time  string `json:"time,omitempty"`
		}
		booked := map[string]bool{}
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "book", CallerArgs: []string{"phone"}}, func(_ context.Context, in request) (string, error) {
				booked[in.Phone] = true
				return "Booked.", nil
			})
			core.AddTool(p, core.Tool{Name: "cancel", CallerArgs: []string{"phone"}, Undoes: []string{"book"}}, func(_ context.Context, in request) (string, error) {
				delete(booked, in.Phone)
				return "Canceled.", nil
			})
		})
		if strings.Contains(b.logs.String(), "two callers") {
			t.Errorf("a warning for tools that know their caller:\n%s", b.logs)
		}
		for i, s := range []struct{ tool, phone string }{{"book", "1"}, {"book", "2"}, {"book", "1"}, {"cancel", "1"}, {"book", "1"}, {"book", "2"}} {
			want := map[string]string{"book": "Booked.", "cancel": "Canceled."}[s.tool]
			if got := b.call("/tools/"+s.tool, fmt.Sprintf(`{"phone":%q,"time":"09:00"}`, s.phone)); got != want || booked[s.phone] != (s.tool == "book") {
				t.Errorf("step %d: said %q, booked %v", i+1, got, booked)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A tool that cannot distinguish callers is named when the program starts.
func TestBlindToolsAreNamed(t *testing.T) {
	cal := &calendar{booked: map[string]bool{}}
	b := newBackend(t, func(p *core.Processor) { cal.tools(p, "idempotent") })
	if got := b.logs.String(); strings.Count(got, "CallerArgs") != 2 || !strings.Contains(got, "tool=move") || !strings.Contains(got, "tool=text") {
		t.Errorf("the log has\n%s", got)
	}
	p := core.New()
	core.AddTool(p, core.Tool{Name: "cancel", Undoes: []string{"bok"}}, look)
	if err := p.Bind(core.Platform{Store: b.store, Inbox: b.inbox}); err == nil {
		t.Error("bound with a tool that undoes one that there is not")
	}
}

// A slow read is answered in the end: the next request joins it, unless
// something was changed meanwhile.
func TestSlowReadEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		query string
		grace time.Duration
		write string // between the requests
		said  []string
		runs  int64
	}{
		{"in one call", "?call=CA1", 20 * time.Second, "", []string{"still being worked on", "Seen."}, 1},
		{"of nobody known", "", 20 * time.Second, "", []string{"still being worked on", "Seen."}, 1},
		{"and something was changed", "?call=CA1", 20 * time.Second, "/tools/write?call=CA1", []string{"still being worked on", "still being worked on", "Seen."}, 2},
		{"and another call changed something", "?call=CA1", 20 * time.Second, "/tools/write?call=CA2", []string{"still being worked on", "Seen."}, 1},
		{"of nobody known, and something was changed", "", 20 * time.Second, "/tools/write", []string{"still being worked on", "still being worked on", "Seen."}, 2},
		{"where the process freezes", "?call=CA1", 0, "", []string{"takes too long", "takes too long"}, 2},
		{"longer than it may", "?call=CA1", time.Second, "", []string{"still being worked on", "takes too long"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				b := newBackend(t, func(p *core.Processor) {
					core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
						runs.Add(1)
						select {
						case <-time.After(6 * time.Second):
							return "Seen.", nil
						case <-ctx.Done():
							return "", ctx.Err()
						}
					})
					core.AddTool(p, core.Tool{Name: "write"}, func(context.Context, struct{}) (string, error) { return "Written.", nil })
				}, func(on *core.Platform) { on.BackgroundGrace = c.grace })
				for i, want := range c.said {
					if got := b.call("/tools/look"+c.query, `{}`); !strings.Contains(got, want) {
						t.Errorf("%d: said %q, want %q", i+1, got, want)
					}
					if i == 0 && c.write != "" {
						b.call(c.write, `{}`)
						time.Sleep(time.Millisecond) // the store's clock decides what was first
					}
				}
				if runs.Load() != c.runs {
					t.Errorf("ran %d times, want %d", runs.Load(), c.runs)
				}
				if err := b.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A header and a query that name two calls: a model writes the query of a GET.
func TestTwoCallsAreRefused(t *testing.T) {
	cal := &calendar{booked: map[string]bool{}}
	b := newBackend(t, func(p *core.Processor) { cal.tools(p, "") })
	r := request("GET", "/tools/book?time=09:30&call=CA-VICTIM", "")
	mine := request("GET", "/tools/book?time=09:30&call=CA-MINE", "")
	for _, c := range []struct {
		r    core.Request
		said string
	}{{r, "It is not certain which call that is for, so nothing was changed."}, {mine, "Booked 09:30."}} {
		c.r.Header["X-Call-Id"] = []string{"CA-MINE"}
		if got := said(t, b.Handle(t.Context(), c.r)); got != c.said {
			t.Errorf("said %q, want %q", got, c.said)
		}
	}
}

// Events whose call is a placeholder are of no call: an end of "undefined" would
// end it for all.
func TestEventsOfPlaceholders(t *testing.T) {
	b := newBackend(t, nil)
	ids := []string{"undefined", "null", "NONE", "{{call.id}}", "${CALL_ID}", "<call>", "%7B%7Bid%7D%7D", "[object Object]",
		"(null)", `""`, "''", `"undefined"`, "#{call.id}", ":call_id", "__CALL_ID__", "@call.id", "call-id", "id", "string", "0", "-", "false", "true",
		"undefined, undefined", "｛｛call｝｝"}
	for _, id := range ids {
		r := b.Handle(t.Context(), request("POST", "/events", fmt.Sprintf(`{"message":{"type":"end-of-call-report","call":{"id":%q}}}`, id)))
		if r.Status != 200 || len(b.inbox.take()) != 0 {
			t.Errorf("%s: %d, and it counts as a call", id, r.Status)
		}
	}
	kept, err := calls.ListQuarantine(t.Context(), b.store, "", 100)
	if err != nil || len(kept) != len(ids) {
		t.Errorf("%d kept, %v; want all %d", len(kept), err, len(ids))
	}
}

// Ids that a model numbers anew in each message, some of them for reads.
func TestIDsOfReadsAreUsed(t *testing.T) {
	cal := &calendar{booked: map[string]bool{}}
	b := newBackend(t, func(p *core.Processor) { cal.tools(p, "undoes") })
	const nine = `{"time":"09:00"}`
	for i, s := range []struct {
		calls []string
		begin string
	}{
		{[]string{toolCall("call_0", "book", nine)}, "Booked 09:00."},
		{[]string{toolCall("call_1", "cancel", nine), toolCall("call_0", "seen", nine)}, "Canceled 09:00. false"},
		{[]string{toolCall("call_0", "book", nine)}, "Booked 09:00."},
		{[]string{toolCall("call_0", "seen", nine)}, "true"},
	} {
		if r := b.Handle(t.Context(), toolCalls("CA1", s.calls...)); !strings.HasPrefix(string(r.Body), `{"result":"`+s.begin+`"`) {
			t.Errorf("step %d: %s, want %s", i+1, r.Body, s.begin)
		}
	}
}

// Requests of one caller that name the call, the caller, or neither: none hides
// from another what was done.
func TestChangesOfMindInPartsOfACall(t *testing.T) {
	type request struct {
		Phone string `json:"phone"`
		Time  string `json:"time"`
	}
	type step struct{ target, phone, begin string }
	for _, c := range []struct {
		name        string
		book, other core.Tool
		steps       []step
	}{
		{"the cancellation names no call", core.Tool{}, core.Tool{},
			[]step{{"book?call=CA1", "1", "Booked"}, {"cancel", "1", "Canceled"}, {"book?call=CA1", "1", "That was done before"}}},
		{"and it is declared", core.Tool{}, core.Tool{Undoes: []string{"book"}},
			[]step{{"book?call=CA1", "1", "Booked"}, {"cancel", "1", "Canceled"}, {"book?call=CA1", "1", "Booked"}}},
		{"the booking names no call", core.Tool{}, core.Tool{},
			[]step{{"book", "1", "Booked"}, {"cancel?call=CA1", "1", "Canceled"}, {"book", "1", "That was done before"}}},
		{"only the booking names the caller", core.Tool{CallerArgs: []string{"phone"}}, core.Tool{Undoes: []string{"book"}},
			[]step{{"book", "1", "Booked"}, {"cancel", "1", "Canceled"}, {"book", "1", "Booked"}, {"cancel", "1", "That was done before"}}},
		{"one caller in two spellings", core.Tool{CallerArgs: []string{"phone"}}, core.Tool{CallerArgs: []string{"phone"}, Effect: core.Idempotent},
			[]step{{"book", "415-555-0333", "Booked"}, {"cancel", "415-555-0333", "Canceled"}, {"book", "+14155550333", "Booked"}, {"cancel", "415-555-0333", "Canceled"}}},
		{"another tool names the caller, this one nobody", core.Tool{}, core.Tool{CallerArgs: []string{"phone"}},
			[]step{{"book", "1", "Booked"}, {"book", "1", "Booked"}, {"cancel", "2", "Canceled"}, {"book", "1", "That was done before"}}},
		{"other callers change nothing for one who is named", core.Tool{CallerArgs: []string{"phone"}}, core.Tool{CallerArgs: []string{"phone"}},
			[]step{{"book", "1", "Booked"}, {"cancel", "2", "Canceled"}, {"book", "1", "Booked"}}},
		{"nothing in common", core.Tool{}, core.Tool{Undoes: []string{"book"}, IdempotencyArgs: []string{"note"}},
			[]step{{"book?call=CA1", "1", "Booked"}, {"book?call=CA1", "2", "Booked"}, {"cancel?call=CA1", "2", "Canceled"}, {"book?call=CA1", "1", "That was done before"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, func(p *core.Processor) {
					c.book.Name, c.other.Name = "book", "cancel"
					core.AddTool(p, c.book, func(context.Context, request) (string, error) { return "Booked.", nil })
					core.AddTool(p, c.other, func(context.Context, struct {
						request
						Note string `json:"note,omitempty"`
					}) (string, error) {
						return "Canceled.", nil
					})
				})
				for i, s := range c.steps {
					got := b.call("/tools/"+s.target, fmt.Sprintf(`{"phone":%q,"time":"09:00"}`, s.phone))
					if !strings.HasPrefix(got, s.begin) {
						t.Errorf("step %d: %s: said %q, want %s…", i+1, s.target, got, s.begin)
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// That a cancellation without a call is refused the second time does not hide that
// the first one was done.
func TestRefusalDoesNotHideWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal := &calendar{booked: map[string]bool{}}
		b := newBackend(t, func(p *core.Processor) { cal.tools(p, "") })
		for i, s := range []struct{ target, said string }{
			{"book?call=CA1", "Booked 09:00."}, {"cancel", "Canceled 09:00."}, {"cancel", "There is no appointment then."}, {"book?call=CA1", doneBefore},
		} {
			if got := b.call("/tools/"+s.target, `{"time":"09:00"}`); got != s.said {
				t.Errorf("step %d, %s: said %q, want %q", i+1, s.target, got, s.said)
			}
			time.Sleep(30 * time.Second) // the next one without a call is another wish
		}
	})
}
