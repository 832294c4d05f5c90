package core_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// What these tests try is to reach another call, another caller or another tenant
// with what a sender or a model may write.

const otherRinging = `{"message":{"timestamp":1784044931000,"type":"status-update","call":{"id":"WC-other","status":"ringing","assistantId":"A-1","userNumber":"+14155550142"}}}`

// seesNumber adds a tool that is given the number of its call, and another tool.
func seesNumber(p *core.Processor) {
	core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in struct {
		Number string `from:"call=user_number"`
	}) (string, error) {
		return "Appointments of " + in.Number, nil
	})
	core.AddTool(p, core.Tool{Name: "other", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) { return "The other tool ran.", nil })
}

// At a URL that names the call, arguments that look like an envelope choose neither
// the call, nor what is known of it, nor the tool.
func TestArgumentsThatLookLikeAnEnvelope(t *testing.T) {
	b := newBackend(t, seesNumber)
	b.event(ringing)
	b.event(otherRinging)
	b.deliver()
	for name, c := range map[string]struct{ call, list, want string }{
		"its own call":  {callID, `{"id":"1","name":"see"}`, "Appointments of +14155550100"},
		"no call":       {"", `{"id":"1","name":"see"}`, "Appointments of +14155550100"},
		"another call":  {"WC-other", `{"id":"1","name":"see"}`, "Sorry, that cannot be done"},
		"another tool":  {callID, `{"id":"1","name":"other"}`, "There is no such tool"},
		"a made-up one": {"WC-new", `{"id":"1","name":"see"}`, "Sorry, that cannot be done"},
	} {
		body := fmt.Sprintf(`{"message":{"type":"tool-calls","call":{"id":%q,"userNumber":"+19995550142"},"toolCallList":[%s]}}`, c.call, c.list)
		if got := b.call("/tools/see?call="+callID, body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: said %q, want %q", name, got, c.want)
		}
	}
}

// The language is chosen by the call that the URL names, too.
func TestLanguageOfArgumentsThatLookLikeAnEnvelope(t *testing.T) {
	var seen core.Call
	b := newBackend(t, func(p *core.Processor) {
		seesNumber(p)
		p.SpeakLanguage(func(ctx context.Context) string { seen = core.CallFrom(ctx); return "" })
	})
	for call, want := range map[string]struct {
		id      event.CallID
		missing string
	}{"": {callID, "no event of this call"}, callID: {callID, "no event of this call"}, "WC-other": {"", "two calls"}} {
		body := fmt.Sprintf(`{"message":{"type":"tool-calls","call":{"id":%q,"userNumber":"+19995550142"},"toolCallList":[{"id":"1","name":"other"},{"id":"2"}]}}`, call)
		b.call("/tools/other?call="+callID, body)
		if err := b.Drain(t.Context()); err != nil { // the language is chosen next to the tool
			t.Fatal(err)
		}
		if seen.ID != want.id || seen.UserNumber != "" || !strings.Contains(seen.Missing, want.missing) {
			t.Errorf("the envelope names %q: the language is that of %q, number %q, missing %q", call, seen.ID, seen.UserNumber, seen.Missing)
		}
	}
}

// Two callers whose envelopes name no call are two, if what is known of them differs.
func TestTwoCallersInEnvelopesWithoutACall(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book", IdempotencyArgs: []string{"time"}}, func(_ context.Context, in struct {
			Time   string `json:"time"`
			Number string `from:"call=user_number"`
		}) (string, error) {
			return "Booked for " + in.Number, nil
		})
	})
	for _, number := range []string{"+14155550101", "+14155550102"} {
		body := `{"message":{"type":"tool-calls","call":{"userNumber":"` + number + `"},"toolCallList":[{"id":"` + number + `","name":"book","arguments":{"time":"9"}}]}}`
		if got := b.call("/events", body); got != "Booked for "+number {
			t.Errorf("%s was answered %q", number, got)
		}
	}
}

// Requests that differ in what a tool may read of them are two requests, for reads
// that go on after their reply too.
func TestWhatAToolReadsIdentifiesARequest(t *testing.T) {
	for _, effect := range []core.Effect{core.ReadOnly, core.SideEffect} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t, func(p *core.Processor) {
				tool := core.Tool{Name: "see", Effect: effect, Query: []string{"clinic"}, Headers: []string{"X-Desk"}, Budget: time.Second}
				core.AddTool(p, tool, func(ctx context.Context, _ wish) (string, error) {
					c := core.CallFrom(ctx)
					if c.Query("clinic") == "slow" {
						time.Sleep(2 * time.Second)
					}
					return "Done for " + c.Query("clinic") + c.Header("X-Desk"), nil
				})
			})
			b.call("/tools/see?clinic=slow", `{"time":"09:30"}`)
			time.Sleep(3 * time.Second)
			for _, clinic := range []string{"north", "south"} {
				if got := b.call("/tools/see?clinic="+clinic, `{"time":"09:30"}`); got != "Done for "+clinic {
					t.Errorf("%s was answered %q", clinic, got)
				}
			}
			r := request("POST", "/tools/see?clinic=north", `{"time":"09:30"}`)
			r.Header["x-desk"] = []string{"2"}
			if got := said(t, b.Handle(t.Context(), r)); got != "Done for north2" {
				t.Errorf("the second desk was answered %q", got)
			}
		})
	}
}

// In a GET the model writes the query, so it fills no hidden argument.
func TestHiddenQueryInAGet(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Clinic string `from:"query=clinic"`
		}) (string, error) {
			return "Clinic " + in.Clinic, nil
		})
	})
	for method, want := range map[string]string{"GET": "Sorry, that cannot", "DELETE": "Sorry, that cannot", "POST": "Clinic evil"} {
		if got := said(t, b.Handle(t.Context(), request(method, "/tools/see?clinic=evil", ""))); !strings.HasPrefix(got, want) {
			t.Errorf("%s: said %q", method, got)
		}
	}
}

// What was noted of a first event ends, also if the event is never delivered, or
// comes after the call was deleted.
func TestEarlyNoteEnds(t *testing.T) {
	for name, send := range map[string]func(b *backend){
		"never delivered": func(b *backend) { b.event(ringing); b.inbox.take() },
		"after deletion": func(b *backend) {
			b.event(ringing)
			b.deliver()
			if err := calls.Delete(b.t.Context(), b.store, callID); err != nil {
				b.t.Fatal(err)
			}
			time.Sleep(3 * time.Hour)
			b.sweep()
			b.event(ringing)
			b.deliver()
		},
		"after its content was deleted": func(b *backend) {
			b.event(ringing)
			b.event(report(4))
			b.deliver()
			time.Sleep(9 * 24 * time.Hour)
			b.sweep()
			b.event(ringing)
			b.deliver()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t, nil, func(on *core.Platform) { on.Retention = calls.Retention{Content: 7 * 24 * time.Hour} })
			send(b)
			for range 9 {
				time.Sleep(24 * time.Hour)
				b.sweep()
			}
			recs, err := b.store.Get(t.Context(), callstate.EarlyKey(callID))
			if err != nil || recs[0].Version != 0 {
				t.Errorf("%s: left %s, %v", name, recs[0].Value, err)
			}
		})
	}
}

// A tenant that sends another's ids, or many that the API does not take, neither
// gets the other's calls from the API, nor keeps the other from getting them.
func TestBackfillOfTwoTenants(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	got := map[string]string{}
	api := choosyAPI{&fakeAPI{known: map[string]string{"N-1": object("N-1", "finished"), "N-2": object("N-2", "finished")}}}
	b := newBackend(t, func(p *core.Processor) {
		p.OnReport(func(ctx context.Context, r core.Report) error { got[string(r.Call.ID)] = r.Tenant; return nil })
	}, forTwo, func(on *core.Platform) {
		on.Now = func() time.Time { return now }
		on.Backfill = core.Backfill{API: api, Assistants: []string{"north:" + assistant, "south:S-1"}}
	})
	finished := func(id string) string {
		return `{"message":{"timestamp":946681331000,"type":"status-update","call":{"id":"` + id + `","status":"finished","assistantId":"` + assistant + `"}}}`
	}
	b.Handle(t.Context(), as(northSecret, "POST", "/events", finished("N-1")))
	b.Handle(t.Context(), as(southSecret, "POST", "/events", finished("N-1")))
	for i, n := 0, 0; n < 60; i++ { // those that a sweep reads before north's
		if id := fmt.Sprint("bad", i); callstate.OpenKey(event.CallID("south/"+id)) < callstate.OpenKey("north/N-1") {
			b.Handle(t.Context(), as(southSecret, "POST", "/events", finished(id)))
			n++
		}
	}
	b.deliver()
	for range 200 {
		now = now.Add(time.Minute)
		_ = b.Sweep(t.Context()) // its errors are the API's
		b.deliver()
	}
	if want := map[string]string{"north/N-1": "north", "north/N-2": "north"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reports %v, want %v", got, want)
	}
}

// choosyAPI has an error for ids that are not its own.
type choosyAPI struct{ *fakeAPI }

func (c choosyAPI) Get(ctx context.Context, id string) ([]byte, error) {
	if strings.HasPrefix(id, "bad") {
		return nil, errors.New("status 400")
	}
	return c.fakeAPI.Get(ctx, id)
}

func (c choosyAPI) List(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error] {
	return c.fakeAPI.List(ctx, from, to)
}

// Quarantine is apart: neither the ids nor the space of one tenant are another's.
func TestQuarantineIsApart(t *testing.T) {
	now := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	b := newBackend(t, nil, func(on *core.Platform) {
		on.Now = func() time.Time { return now }
		on.Verifier = auth.Verifier{Secrets: auth.ParseSecrets("north:" + northSecret + ",north-2:" + southSecret)}
	})
	const body = `{"message":{"new":"thing"}}`
	b.Handle(t.Context(), as(northSecret, "POST", "/events", "-2"+body))
	for _, secret := range []string{northSecret, southSecret} {
		b.Handle(t.Context(), as(secret, "POST", "/events", body))
	}
	for n := range 1005 {
		now = now.Add(time.Second)
		b.Handle(t.Context(), as(southSecret, "POST", "/events", fmt.Sprint("{", n)))
	}
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	all, err := calls.ListQuarantine(t.Context(), b.store, "", 5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		of[q.Tenant]++
	}
	if of["north"] != 2 || of["north-2"] != 1000 {
		t.Errorf("quarantined %v", of)
	}
}

// A call that is stored under an id which its sender chose, before secrets had
// names, is not the tenant's of that name.
func TestCallOfBeforeTheNames(t *testing.T) {
	old := newBackend(t, nil)
	old.event(strings.ReplaceAll(otherRinging, "WC-other", "north/WC-1"))
	old.deliver()
	var seen core.Call
	b := newBackend(t, asksForItsCall(&seen), forTwo, func(on *core.Platform) { on.Store = old.store })
	b.store = old.store
	b.Handle(t.Context(), as(northSecret, "POST", "/tools/who?call=WC-1", "{}"))
	if seen.UserNumber != "" {
		t.Errorf("the tool sees the number %q", seen.UserNumber)
	}
	b.Handle(t.Context(), as(northSecret, "POST", "/events", strings.ReplaceAll(report(4), callID, "WC-1")))
	b.deliver()
	all, err := calls.ListQuarantine(t.Context(), b.store, "", 10)
	if err != nil || len(all) != 1 || all[0].Tenant != "north" || all[0].Reason != "call of another tenant" {
		t.Errorf("quarantined %+v, %v", all, err)
	}
}

// The same event at the same time is two events of two tenants.
func TestEnvelopesOfTwoTenants(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	b := newBackend(t, nil, forTwo, func(on *core.Platform) { on.Now = func() time.Time { return now } })
	b.Handle(t.Context(), as(northSecret, "POST", "/events", ringing))
	b.Handle(t.Context(), as(southSecret, "POST", "/events", ringing))
	if es := b.inbox.take(); len(es) != 2 || es[0].ID == es[1].ID {
		t.Errorf("%d envelopes, the first two with one id", len(es))
	}
}

// The longest id lives as long under a tenant as without.
func TestLongestIDUnderATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := strings.Repeat("x", 256)
		b := newBackend(t, seesNumber, forTwo)
		b.Handle(t.Context(), as(northSecret, "POST", "/events", strings.ReplaceAll(otherRinging, "WC-other", id)))
		b.deliver()
		for range 10 {
			time.Sleep(10 * time.Minute)
			b.Handle(t.Context(), as(northSecret, "POST", "/tools/see?call="+id, "{}"))
			synctest.Wait()
			b.sweep()
		}
		if c := b.read(event.CallID("north/" + id)); c.Ended {
			t.Errorf("ended %q, while tools are called", c.EndReason)
		}
	})
}

// A header that carries the secret is read by no tool, whatever its name.
func TestSecretHeaderIsNotRead(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "see", Headers: []string{"x-desk-proof"}}, func(context.Context, struct{}) (string, error) { return "", nil })
	b := newBackend(t, nil)
	err := p.Bind(core.Platform{Store: b.store, Inbox: b.inbox, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret), SecretHeaders: []string{"X-Desk-Proof"}}})
	if err == nil || !strings.Contains(err.Error(), `"x-desk-proof", which carries the sender's secret`) {
		t.Errorf("%v", err)
	}
}

// What a sender writes in place of a tool's name is the name of no operation.
func TestNameOfNoTool(t *testing.T) {
	var names []string
	b := newBackend(t, func(p *core.Processor) {
		p.OnStart(func(ctx context.Context, op core.Operation) (context.Context, func(string)) {
			names = append(names, op.Tool)
			return ctx, func(string) {}
		})
	})
	b.call("/tools/call_john_smith_4155550142", `{}`)
	if fmt.Sprintf("%q", names) != `[""]` {
		t.Errorf("operations %q", names)
	}
}
