package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// whose is a request of a clinic, for a caller.
type whose struct {
	Day    string         `json:"day"`
	Note   string         `json:"note,omitzero"`
	Clinic string         `json:"clinic" from:"query=clinic"`
	Desk   int            `from:"header=X-Desk"`
	Region *string        `from:"header=x-region"`
	Number string         `json:",omitzero" from:"call=user_number"`
	Plan   string         `json:",omitzero" from:"call=metadata.clinic"`
	More   map[string]any `json:",omitzero" from:"call=Variables"`
}

func (w whose) String() string {
	region := ""
	if w.Region != nil {
		region = *w.Region
	}
	return fmt.Sprintf("%s %s|%s %d %s %s %s %v", w.Day, w.Note, w.Clinic, w.Desk, region, w.Number, w.Plan, w.More)
}

func fromDesk(target, body string, header ...string) core.Request {
	r := request("POST", target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

// Hidden arguments are filled from the request and the call, in both dialects, and
// nothing that a model sends sets one.
func TestHiddenArguments(t *testing.T) {
	const misconfigured = "Sorry, that cannot be done from here just now, and nothing was changed. Offer to take a message for the office."
	const vapi = `{"message":{"type":"tool-calls","toolCallList":[{"id":"1","name":"see","arguments":{"day":"d","clinic":"evil","Desk":9,"Clinic":"evil"}}]}}`
	runs := 0
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in whose) (whose, error) { runs++; return in, nil })
	})
	b.event(ringing)
	b.deliver()
	for _, c := range []struct {
		situation string
		r         core.Request
		want      string
		log       string
	}{
		{"query and header", fromDesk("/tools/see?clinic=north", `{"day":"d"}`, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"an optional one", fromDesk("/tools/see?clinic=north", `{"day":"d"}`, "x-desk", "7", "X-Region", "west"), "d |north 7 west map[]", ""},
		{"of the call", fromDesk("/tools/see?clinic=north&call="+callID, `{"day":"d"}`, "x-desk", "7"), "d |north 7 +14155550100 north map[caller:Kim]", ""},
		{"the body cannot", fromDesk("/tools/see?clinic=north", `{"day":"d","clinic":"evil","Clinic":"evil","Desk":9,"Region":"evil","Number":"evil","Plan":"evil","More":{"a":1}}`, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"nor the query, for what is not of it", fromDesk("/tools/see?clinic=north&Desk=9&Region=evil&X-Region=evil&Number=evil&user_number=evil", `{"day":"d"}`, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"an envelope at the tool's URL", fromDesk("/tools/see?clinic=north", vapi, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"an envelope at the events' URL", fromDesk("/events?clinic=north", vapi, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"none", fromDesk("/tools/see", `{"day":"d","clinic":"evil"}`, "X-Desk", "7"), misconfigured, `end the tool's URL with ?PARAMETER=VALUE, once (docs/tools.md#hidden-arguments)" platform=test tool=see parameter=clinic reason=missing`},
		{"an empty one", fromDesk("/tools/see?clinic=", `{"day":"d"}`, "X-Desk", "7"), misconfigured, "parameter=clinic reason=missing"},
		{"none in an envelope", fromDesk("/events", vapi, "X-Desk", "7"), misconfigured, "parameter=clinic reason=missing"},
		{"no header", fromDesk("/tools/see?clinic=north", `{"day":"d"}`), misconfigured, `let the platform send this header with the tool, once (docs/tools.md#hidden-arguments)" platform=test tool=see parameter=X-Desk reason=missing`},
		{"what is not a number", fromDesk("/tools/see?clinic=north", `{"day":"d"}`, "X-Desk", "canary"), misconfigured, `parameter=X-Desk reason="not valid"`},
		{"twice", fromDesk("/tools/see?clinic=north&clinic=evil", `{"day":"d"}`, "X-Desk", "7"), misconfigured, `parameter=clinic reason="given twice"`},
		{"twice, the same", fromDesk("/tools/see?clinic=north&%63linic=north", `{"day":"d"}`, "X-Desk", "7"), misconfigured, `reason="given twice"`},
		{"two headers", fromDesk("/tools/see?clinic=north", `{"day":"d"}`, "X-Desk", "7", "x-desk", "8"), misconfigured, `reason="given twice"`},
		{"two headers of an optional one", fromDesk("/tools/see?clinic=north", `{"day":"d"}`, "X-Desk", "7", "X-Region", "a", "x-region", "b"), misconfigured, `reason="given twice"`},
		{"in the spelling of a list", fromDesk("/tools/see?clinic=north&clinic[]=evil&clinic.x=evil&clinic[0]=evil", `{"day":"d"}`, "X-Desk", "7"), "d |north 7 map[]", ""},
		{"other arguments are still wrong", fromDesk("/tools/see", `{}`), `The argument "day" is missing.`, ""},
	} {
		before, was := len(b.logs.String()), runs
		got := said(t, b.Handle(t.Context(), c.r))
		if got != c.want {
			t.Errorf("%s: said %q, want %q", c.situation, got, c.want)
		}
		logs := b.logs.String()[before:]
		if !strings.Contains(logs, c.log) || strings.Contains(logs, "ERROR") != (c.log != "") || strings.Contains(logs, "canary") {
			t.Errorf("%s: log:\n%s", c.situation, logs)
		}
		if isRefused := c.want == misconfigured || strings.HasPrefix(c.want, "The"); (runs == was) != isRefused {
			t.Errorf("%s: it ran %d times", c.situation, runs-was)
		}
	}
}

// The query holds arguments too, but an argument of a hidden one's name sees nothing
// of it.
func TestHiddenQueryIsNotAnArgument(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Clinic string `json:"clinic,omitzero"`
			Mine   string `from:"query=clinic"`
		}) (string, error) {
			return in.Clinic + "|" + in.Mine, nil
		})
	})
	for query, want := range map[string]string{"clinic=north": "|north", "clinic=north&clinic[x]=evil": "|north"} {
		if got := said(t, b.Handle(t.Context(), request("POST", "/tools/see?"+query, ""))); got != want {
			t.Errorf("%s: said %q, want %q", query, got, want)
		}
	}
}

// Whatever a model puts into the body, and into the query where that is not the
// argument's, the tool is given the operator's value or does not run.
func TestHiddenArgumentsCannotBeSet(t *testing.T) {
	ran := 0
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Day    string `json:"day,omitzero"`
			Clinic string `json:"clinic" from:"query=clinic"`
			Desk   string `json:"desk" from:"header=X-Desk"`
		}) (string, error) {
			ran++
			return in.Clinic + in.Desk, nil
		})
	})
	name := rapid.SampledFrom([]string{"clinic", "Clinic", "CLINIC", "clinic[]", "clinic.a", "clinic[a]", "desk", "Desk", "X-Desk", "x_desk", "day", "%63linic", "args", "clinic ", " clinic"})
	rapid.Check(t, func(t *rapid.T) {
		var fields, query []string
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			fields = append(fields, fmt.Sprintf("%q:%s", name.Draw(t, "field"), rapid.SampledFrom([]string{`"evil"`, `["evil"]`, `{"clinic":"evil"}`, "null", `"{\"clinic\":\"evil\"}"`}).Draw(t, "value")))
		}
		for range rapid.IntRange(0, 3).Draw(t, "parameters") {
			query = append(query, strings.ReplaceAll(name.Draw(t, "parameter"), " ", "+")+"=evil")
		}
		query = append(query, "clinic=north")
		body := "{" + strings.Join(fields, ",") + "}"
		r := fromDesk("/tools/see?"+strings.Join(rapid.Permutation(query).Draw(t, "query"), "&"), body, "X-Desk", "7")
		if got := rapidSaid(t, b.Handle(context.Background(), r)); got != "north7" && !strings.HasPrefix(got, "Sorry, that cannot") && !strings.HasPrefix(got, "The argument") {
			t.Fatalf("%s %s: said %q", r.Query, body, got)
		}
	})
	if ran < 10 {
		t.Errorf("it ran %d times", ran)
	}
}

// Two clinics' same request is two, one clinic's is one, whichever arguments identify it.
func TestHiddenArgumentsIdentifyARequest(t *testing.T) {
	for _, tool := range []core.Tool{{Name: "book"}, {Name: "book", IdempotencyArgs: []string{"day"}}} {
		var runs atomic.Int64
		b := newBackend(t, func(p *core.Processor) {
			core.AddTool(p, tool, func(_ context.Context, in struct {
				Day    string `json:"day"`
				Clinic string `from:"query=clinic"`
			}) (string, error) {
				return fmt.Sprint(in.Clinic, runs.Add(1)), nil
			})
		})
		for _, call := range []string{"", "&call=CA1"} {
			runs.Store(0)
			for _, c := range []struct{ clinic, want string }{{"north", "north1"}, {"north", "north1"}, {"south", "south2"}} {
				if got := b.call("/tools/book?clinic="+c.clinic+call, `{"day":"d"}`); got != c.want {
					t.Errorf("%v %s: said %q, want %q", tool.IdempotencyArgs, c.clinic, got, c.want)
				}
			}
		}
	}
}

// What is known of the call later does not make another request of the same one.
func TestHiddenArgumentsOfTheCallIdentifyNothing(t *testing.T) {
	var runs atomic.Int64
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book"}, func(_ context.Context, in struct {
			Day    string `json:"day"`
			Number string `json:",omitzero" from:"call=UserNumber"`
		}) (string, error) {
			return fmt.Sprint(in.Number, runs.Add(1)), nil
		})
	})
	body := `{"message":{"type":"tool-calls","call":{"id":"` + callID + `"},"toolCallList":[{"id":"t1","name":"book","arguments":{"day":"d"}}]}}`
	for range 2 {
		if got := b.call("/tools/book?call="+callID, `{"day":"d"}`); got != "1" {
			t.Errorf("said %q", got)
		}
		if got := said(t, b.Handle(t.Context(), request("POST", "/events", body))); got != "1" {
			t.Errorf("said %q", got)
		}
		b.event(ringing)
		b.deliver()
	}
}

// A caller is recognized by the number that the platform knows.
func TestHiddenCallerArgs(t *testing.T) {
	var runs atomic.Int64
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book", CallerArgs: []string{"Phone"}}, func(_ context.Context, in struct {
			Phone string `from:"header=X-Phone"`
		}) (string, error) {
			return fmt.Sprint(runs.Add(1)), nil
		})
	})
	for _, c := range []struct{ phone, want string }{{"+14155550100", "1"}, {"+14155550100", "1"}, {"+14155550101", "2"}} {
		if got := said(t, b.Handle(t.Context(), fromDesk("/tools/book", "{}", "X-Phone", c.phone))); got != c.want {
			t.Errorf("%s: said %q, want %q", c.phone, got, c.want)
		}
	}
}

// A hidden argument of the tenant is its name; without names, or without the store
// for what is of the call, the tool does not run.
func TestHiddenTenantAndOutage(t *testing.T) {
	add := func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Tenant string `from:"tenant"`
		}) (string, error) {
			return in.Tenant, nil
		})
		core.AddTool(p, core.Tool{Name: "number", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Number string `from:"call=user_number"`
		}) (string, error) {
			return in.Number, nil
		})
	}
	two := newBackend(t, add, forTwo)
	for secret, want := range map[string]string{northSecret: "north", southSecret: "south"} {
		if got := said(t, two.Handle(t.Context(), as(secret, "POST", "/tools/see?tenant=evil", `{"Tenant":"evil"}`))); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	unnamed := core.New()
	add(unnamed)
	on := core.Platform{Store: two.store, Inbox: two.inbox, Logger: slog.New(slog.DiscardHandler), Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}}
	if err := unnamed.Bind(on); err == nil || !strings.Contains(err.Error(), "tool see has an argument from the tenant, and secrets have no names") {
		t.Errorf("without names: %v", err)
	}
	one := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "number", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Number string `from:"call=user_number"`
		}) (string, error) {
			return in.Number, nil
		})
	})
	if got := one.call("/tools/number?call="+callID, "{}"); !strings.Contains(got, "cannot be done from here") || !strings.Contains(one.logs.String(), "send the call's id with the tool, as ?call=") {
		t.Errorf("said %q, log:\n%s", got, one.logs)
	}
	if err := one.Drain(t.Context()); err != nil { // a sign of life is noted next to the tool
		t.Fatal(err)
	}
	one.store.Fail = func(string, []string) error { return errors.New("down") }
	if got := one.call("/tools/number?call="+callID, "{}"); !strings.Contains(got, "cannot be reached just now") {
		t.Errorf("said %q", got)
	}
}

// Two tools that share nothing but a hidden argument do not undo each other.
func TestHiddenArgumentsUndoNothing(t *testing.T) {
	type in struct {
		Day    string `json:"day,omitzero"`
		ID     string `json:"id,omitzero"`
		Clinic string `json:"clinic" from:"query=clinic"`
	}
	type other struct {
		ID     string `json:"number"`
		Clinic string `json:"clinic" from:"query=clinic"`
	}
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, in) (string, error) { return "Booked.", nil })
		core.AddTool(p, core.Tool{Name: "cancel", Undoes: []string{"book"}}, func(context.Context, other) (string, error) { return "Canceled.", nil })
	})
	for _, c := range []struct{ target, body, want string }{
		{"book", `{"day":"d"}`, "Booked."}, {"cancel", `{"number":"1"}`, "Canceled."}, {"book", `{"day":"d"}`, doneBefore},
	} {
		if got := b.call("/tools/"+c.target+"?clinic=north&call=CA1", c.body); got != c.want {
			t.Errorf("%s: said %q, want %q", c.target, got, c.want)
		}
	}
}

// The language may be chosen by what is known of the call.
func TestLanguageByCall(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "see", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) { return "", nil })
		p.SpeakLanguage(func(ctx context.Context) string {
			if c := core.CallFrom(ctx); c.AssistantID == "A-1" && c.Tenant == "north" {
				return "es"
			}
			return ""
		})
	}, forTwo)
	for _, secret := range []string{northSecret, southSecret} {
		if r := b.Handle(t.Context(), as(secret, "POST", "/events", ringing)); r.Status != 200 {
			t.Fatal(r.Status)
		}
	}
	b.deliver()
	for secret, want := range map[string]string{northSecret: "No hay nada de que informar.", southSecret: "There is nothing to report."} {
		for _, r := range []core.Request{
			as(secret, "POST", "/tools/see?call="+callID, "{}"),
			as(secret, "POST", "/events", `{"message":{"type":"tool-calls","call":{"id":"`+callID+`"},"toolCallList":[{"id":"1","name":"see","arguments":{}}]}}`),
		} {
			if got := said(t, b.Handle(t.Context(), r)); got != want {
				t.Errorf("said %q, want %q", got, want)
			}
		}
	}
}
