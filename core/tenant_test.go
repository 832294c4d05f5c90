package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

const northSecret, southSecret = "north-0123456789-abcdefghij", "south-0123456789-abcdefghij"

// forTwo lets north and south send.
func forTwo(on *core.Platform) {
	on.Verifier = auth.Verifier{Secrets: auth.ParseSecrets("north:" + northSecret + ", south:" + southSecret)}
}

// as returns a request with a secret.
func as(secret, method, target, body string) core.Request {
	r := request(method, target, body)
	r.Header["x-interactly-secret"] = []string{secret}
	return r
}

// A deed is something that one sender does.
type deed struct{ method, target, body string }

// deeds are what two tenants may do, the same for both: they choose their ids, and
// so may choose the same.
var deeds = []deed{
	{"POST", "/events", ringing},
	{"POST", "/events", conversation(1, message(0, "hello"))},
	{"POST", "/events", conversation(2, message(0, "hello"), message(1, "goodbye"))},
	{"POST", "/events", hang(3)},
	{"POST", "/events", report(4)},
	{"POST", "/events", `{"message":` + "\x00"},
	{"POST", "/tools/book?call=" + callID, `{"time":"09:30"}`},
	{"POST", "/tools/book", `{"time":"09:30"}`},
	{"POST", "/tools/cancel?call=" + callID, `{"time":"09:30"}`},
	{"POST", "/tools/cancel", `{"time":"09:30"}`},
	{"POST", "/tools/look", `{"time":"09:30"}`},
	{"POST", "/events", `{"message":{"type":"tool-calls","call":{"id":"` + callID + `"},"toolCallList":[{"id":"1","name":"book","arguments":{"time":"10:00"}}]}}`},
}

// A practice is one tenant's calendar, and a log of what its handlers were given.
type practice struct {
	booked map[string]bool
	log    []string
}

// practices adds tools and handlers whose effects are those of the tenant.
func practices(p *core.Processor) map[string]*practice {
	all := map[string]*practice{}
	of := func(ctx context.Context) *practice {
		name := core.CallFrom(ctx).Tenant
		if all[name] == nil {
			all[name] = &practice{booked: map[string]bool{}}
		}
		return all[name]
	}
	core.AddTool(p, core.Tool{Name: "book"}, func(ctx context.Context, in wish) (string, error) {
		mine := of(ctx)
		if mine.booked[in.Time] {
			return "", core.Say("That time is taken.")
		}
		mine.booked[in.Time] = true
		return fmt.Sprintf("Booked, as number %d.", len(mine.booked)), nil
	})
	core.AddTool(p, core.Tool{Name: "cancel", Undoes: []string{"book"}}, func(ctx context.Context, in wish) (string, error) {
		mine := of(ctx)
		if !mine.booked[in.Time] {
			return "", core.Say("Nothing is booked then.")
		}
		delete(mine.booked, in.Time)
		return "Canceled.", nil
	})
	core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly}, func(ctx context.Context, in wish) (string, error) {
		return fmt.Sprint("Taken: ", of(ctx).booked[in.Time]), nil
	})
	note := func(ctx context.Context, format string, args ...any) error {
		mine := of(ctx)
		mine.log = append(mine.log, fmt.Sprintf(format, args...))
		return nil
	}
	p.OnStatus(func(ctx context.Context, e core.StatusUpdate) error {
		return note(ctx, "%s, before %s", e.Status, e.Previous)
	})
	p.OnMessages(func(ctx context.Context, e core.Messages) error { return note(ctx, "%q", texts(e.New)) })
	p.OnCallEnded(func(ctx context.Context, e core.CallEnded) error {
		return note(ctx, "ended, %d messages", e.Call.MessageCount)
	})
	return all
}

// A stand is one backend, and what its tools and handlers have done.
type stand struct {
	*backend
	all map[string]*practice
}

func newStand(t *testing.T, change func(*core.Platform)) *stand {
	s := &stand{}
	s.backend = newBackend(t, func(p *core.Processor) { s.all = practices(p) }, change)
	return s
}

// state returns all that a tenant has at a stand.
func (s *stand) state(tenant string) string {
	state := "none"
	if mine := s.all[tenant]; mine != nil {
		state = fmt.Sprint(mine.booked, mine.log)
	}
	c, err := calls.Read(context.Background(), s.store, event.CallID(tenant+"/"+callID))
	if err != nil {
		return state + err.Error()
	}
	return fmt.Sprint(state, c.Status, c.MessageCount, c.HangCount, c.Ended, len(c.Tools), len(c.Events))
}

// do does one of the deeds, or what happens at a backend without a sender: then step
// is beyond the deeds. It returns what is seen of it.
func (s *stand) do(step int, tenant string, pause time.Duration) string {
	ctx := context.Background() // of no test: this is in a bubble
	defer synctest.Wait()       // signs of life are noted next to the tool
	switch step - len(deeds) {
	case 0:
		for _, e := range s.inbox.take() {
			if err := s.Deliver(ctx, e); err != nil {
				return err.Error()
			}
		}
	case 1:
		time.Sleep(pause)
	case 2:
		if err := s.Sweep(ctx); err != nil {
			return err.Error()
		}
	case 3:
		return fmt.Sprint(calls.Delete(ctx, s.store, event.CallID(tenant+"/"+callID)))
	default:
		d := deeds[step]
		r := s.Handle(ctx, as(map[string]string{"north": northSecret, "south": southSecret}[tenant], d.method, d.target, d.body))
		return fmt.Sprintf("%d %s %v", r.Status, r.Body, r.Header)
	}
	return ""
}

// Two tenants at one backend get, byte for byte, what each would get at a backend
// of its own: whatever they send, in whatever order, with whatever ids.
func TestTwoTenantsAreTwoBackends(t *testing.T) {
	checkSchedules(t, func(rt *rapid.T) {
		both := newStand(t, forTwo)
		alone := map[string]*stand{}
		for name, secret := range map[string]string{"north": northSecret, "south": southSecret} {
			alone[name] = newStand(t, func(on *core.Platform) {
				on.Verifier = auth.Verifier{Secrets: auth.ParseSecrets(name + ":" + secret)}
			})
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"north", "south"}).Draw(rt, "tenant")
			step := rapid.IntRange(0, len(deeds)+3).Draw(rt, "step")
			pause := rapid.SampledFrom([]time.Duration{time.Second, 25 * time.Second, 40 * time.Minute}).Draw(rt, "pause")
			got := both.do(step, name, pause)
			if step == len(deeds) || step == len(deeds)+2 { // of all tenants
				alone["north"].do(step, name, 0)
				alone["south"].do(step, name, 0)
			} else if want := alone[name].do(step, name, 0); got != want {
				rt.Fatalf("%s, step %d: %s, alone %s", name, step, got, want)
			}
			for name, s := range alone {
				if got, want := both.state(name), s.state(name); got != want {
					rt.Fatalf("%s has\n%s, alone\n%s", name, got, want)
				}
			}
		}
	})
}

// A tool and a handler may be for one tenant; for the other they do not exist.
func TestToolsAndHandlersOfATenant(t *testing.T) {
	handled := map[string]int{}
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "fax", Effect: core.ReadOnly, Tenants: []string{"north"}}, func(context.Context, struct{}) (string, error) { return "Sent.", nil })
		p.OnHang(func(context.Context, core.Hang) error { handled["north"]++; return nil }, core.ForTenants("north"))
		p.OnHang(func(context.Context, core.Hang) error { handled["both"]++; return nil })
	}, forTwo)
	for secret, want := range map[string]string{northSecret: "Sent.", southSecret: "There is no such tool here."} {
		if got := said(t, b.Handle(t.Context(), as(secret, "POST", "/tools/fax", `{}`))); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		b.Handle(t.Context(), as(secret, "POST", "/events", hang(1)))
		b.deliver()
	}
	if handled["north"] != 1 || handled["both"] != 2 {
		t.Errorf("handled %v", handled)
	}
}

// What is for a tenant that no secret names is a slip, found at the start.
func TestUnknownTenantIsRefused(t *testing.T) {
	for what, setup := range map[string]func(*core.Processor){
		"tool fax": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "fax", Tenants: []string{"nroth"}}, func(context.Context, struct{}) (string, error) { return "", nil })
		},
		"handler core_test.": func(p *core.Processor) {
			p.OnHang(func(context.Context, core.Hang) error { return nil }, core.ForTenants("nroth"))
		},
	} {
		p := core.New()
		setup(p)
		b := newBackend(t, nil)
		on := core.Platform{Store: b.store, Inbox: b.inbox, Logger: slog.New(slog.DiscardHandler)}
		forTwo(&on)
		if err := p.Bind(on); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), `"nroth"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The name is in events, observations and the log; the ids of two tenants are two.
func TestTenantIsNamed(t *testing.T) {
	var events []event.Event
	b, take := observed(t, func(p *core.Processor) {
		p.OnEvent(func(_ context.Context, e event.Event) error { events = append(events, e); return nil })
		core.AddTool(p, core.Tool{Name: "who", Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
			c := core.CallFrom(ctx)
			return fmt.Sprint(c.Tenant, " ", c.ID, " ", c.SentID, " ", c.Matched), nil
		})
	}, forTwo)
	for _, secret := range []string{northSecret, southSecret} {
		b.Handle(t.Context(), as(secret, "POST", "/events", ringing))
	}
	b.deliver()
	for i, name := range []string{"north", "south"} {
		secret := []string{northSecret, southSecret}[i]
		want := fmt.Sprintf("%s %s/%s %s secret %d of 2", name, name, callID, callID, i+1)
		if got := said(t, b.Handle(t.Context(), as(secret, "POST", "/tools/who?call="+callID, `{}`))); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		if e := events[i]; e.Tenant != name || e.Call.ID != event.CallID(name+"/"+callID) {
			t.Errorf("event of %q with id %q", e.Tenant, e.Call.ID)
		}
		if !strings.Contains(b.logs.String(), "tenant="+name) {
			t.Errorf("the log does not name %s", name)
		}
	}
	var seen []string
	for _, o := range take() {
		if o.Tool != nil {
			seen = append(seen, o.Tool.Tenant)
		}
	}
	if !slices.Equal(seen, []string{"north", "south"}) {
		t.Errorf("observed tools of %q", seen)
	}
}

// What was quarantined comes back as the tenant's.
func TestQuarantineKeepsTheTenant(t *testing.T) {
	b := newBackend(t, nil, forTwo)
	for _, secret := range []string{northSecret, southSecret} {
		b.Handle(t.Context(), as(secret, "POST", "/events", `{"message":`+"\x00"))
	}
	all, err := calls.ListQuarantine(t.Context(), b.store, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range all {
		names = append(names, q.Tenant)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"north", "south"}) {
		t.Errorf("quarantined of %q", names)
	}
	body := []byte(hang(1))
	if err := callstate.PutQuarantined(t.Context(), b.store, calls.QuarantinedBody{ID: "q", Tenant: "south", Received: time.Now(), Body: body}); err != nil {
		t.Fatal(err)
	}
	if err := core.RetryQuarantined(t.Context(), b.store, b.inbox, "q", "sam"); err != nil {
		t.Fatal(err)
	}
	if es := b.inbox.take(); len(es) != 1 || es[0].Tenant != "south" || es[0].Call != "south/"+callID {
		t.Errorf("accepted %+v", es)
	}
}

// An event that a tenant sends twice is quarantined, merged and counted for it only;
// the second secret of a tenant is the tenant's too.
func TestRotationKeepsTheTenant(t *testing.T) {
	b := newBackend(t, nil, func(on *core.Platform) {
		on.Verifier = auth.Verifier{Secrets: auth.ParseSecrets("north:" + northSecret + ",north:" + southSecret)}
	})
	b.Handle(t.Context(), as(northSecret, "POST", "/events", ringing))
	b.Handle(t.Context(), as(southSecret, "POST", "/events", hang(1)))
	b.deliver()
	if c := b.read("north/" + callID); c.HangCount != 1 || len(c.Events) != 2 {
		t.Errorf("%d hangs, %d events", c.HangCount, len(c.Events))
	}
	if _, err := calls.Read(t.Context(), b.store, callID); !errors.Is(err, calls.ErrNotFound) {
		t.Errorf("a call without a tenant: %v", err)
	}
}
