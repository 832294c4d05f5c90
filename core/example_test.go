package core_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

// inline is an inbox that delivers at once, for examples.
type inline struct{ p *core.Processor }

func (i inline) Put(ctx context.Context, es ...core.Envelope) error {
	for _, e := range es {
		if err := i.p.Deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// bindForExample gives p a platform in memory, which anyone may send to.
func bindForExample(p *core.Processor) {
	err := p.Bind(core.Platform{
		Name: "example", Store: coretest.NewMemoryStore(), Inbox: inline{p},
		Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
}

func ask(p *core.Processor, path, body string) {
	r := p.Handle(context.Background(), core.Request{Method: "POST", Path: path, Body: []byte(body)})
	fmt.Println(r.Status, string(r.Body))
}

// A tool is a function. The same request runs it once.
func ExampleAddTool() {
	type Booking struct {
		Date string `json:"date" jsonschema:"the day as YYYY-MM-DD"`
		Time string `json:"time" jsonschema:"the time as HH:MM"`
	}
	p := core.New()
	n := 0
	core.AddTool(p, core.Tool{Name: "book", Description: "Book one appointment."},
		func(ctx context.Context, in Booking) (string, error) {
			n++
			return fmt.Sprintf("Booked %s at %s, number %d.", in.Date, in.Time, n), nil
		})
	bindForExample(p)

	ask(p, "/tools/book", `{"date":"2035-07-16","time":"09:00"}`)
	ask(p, "/tools/book", `{"time":"09:00","date":"2035-07-16"}`)
	ask(p, "/tools/book", `{"date":"2035-07-16"}`)
	// Output:
	// 200 {"result":"Booked 2035-07-16 at 09:00, number 1."}
	// 200 {"result":"Booked 2035-07-16 at 09:00, number 1."}
	// 200 {"result":"The argument \"time\" is missing."}
}

// An error that is said to the caller, and after which another try may succeed.
func ExampleNotApplied() {
	p := core.New()
	free := false
	core.AddTool(p, core.Tool{Name: "book"}, func(ctx context.Context, in struct{}) (string, error) {
		if !free {
			return "", core.NotApplied(core.Say("That time is taken. Offer another."))
		}
		return "Booked.", nil
	})
	bindForExample(p)

	ask(p, "/tools/book", `{}`)
	free = true
	ask(p, "/tools/book", `{}`)
	// Output:
	// 200 {"result":"That time is taken. Offer another."}
	// 200 {"result":"Booked."}
}

// A Spanish tool, and one that speaks the language of its call.
func ExampleProcessor_AddSentences() {
	type Booking struct {
		Day string `json:"day"`
	}
	book := func(ctx context.Context, in Booking) (string, error) { return "", nil }
	p := core.New()
	core.AddTool(p, core.Tool{Name: "reservar", Language: "es"}, book)
	core.AddTool(p, core.Tool{Name: "reserver"}, book)
	p.AddSentences("fr", core.Sentences{
		Done:      "C'est fait.",
		Arguments: core.ArgumentSentences{Missing: `L'argument "{argument}" manque.`},
	})
	p.SpeakLanguage(func(ctx context.Context) string { return "fr-CA" })
	bindForExample(p)

	ask(p, "/tools/reservar", `{}`)
	ask(p, "/tools/reserver", `{}`)
	ask(p, "/tools/reserver", `{"day":"lundi"}`)
	// Output:
	// 200 {"result":"Falta el argumento \"day\"."}
	// 200 {"result":"L'argument \"day\" manque."}
	// 200 {"result":"C'est fait."}
}

// An argument that the operator sets in the tool's URL, and no model.
func ExampleAddTool_hidden() {
	type Booking struct {
		Day    string `json:"day"`
		Clinic string `from:"query=clinic"`
	}
	p := core.New()
	core.AddTool(p, core.Tool{Name: "book"}, func(ctx context.Context, in Booking) (string, error) {
		return fmt.Sprintf("Booked for %s, %s clinic.", in.Day, in.Clinic), nil
	})
	bindForExample(p)

	for _, query := range []string{"clinic=north", ""} {
		r := p.Handle(context.Background(), core.Request{Method: "POST", Path: "/tools/book", Query: query, Body: []byte(`{"day":"Monday","Clinic":"south"}`)})
		fmt.Println(string(r.Body))
	}
	// Output:
	// {"result":"Booked for Monday, north clinic."}
	// {"result":"Sorry, that cannot be done from here just now, and nothing was changed. Offer to take a message for the office."}
}

// A run whose outcome is open is asked for, and not repeated.
func ExampleRegisteredTool_Reconcile() {
	p := core.New()
	var calendar []string
	book := core.AddTool(p, core.Tool{Name: "book"}, func(ctx context.Context, in struct{}) (string, error) {
		inv, _ := core.InvocationFromContext(ctx)
		calendar = append(calendar, inv.IdempotencyKey)
		panic("the machine fails after the booking")
	})
	book.Reconcile(func(ctx context.Context, in struct{}) (string, bool, error) {
		inv, _ := core.InvocationFromContext(ctx)
		return "Booked.", len(calendar) == 1 && calendar[0] == inv.IdempotencyKey, nil
	})
	bindForExample(p)

	ask(p, "/tools/book", `{}`)
	ask(p, "/tools/book", `{}`)
	fmt.Println(len(calendar), "booking")
	// Output:
	// 200 {"result":"It is not certain whether that went through. Do not try it again; ask the caller to check with the office."}
	// 200 {"result":"Booked."}
	// 1 booking
}

// Handlers get what is new, whatever the sender repeats.
func ExampleProcessor_OnMessages() {
	p := core.New()
	p.OnMessages(func(ctx context.Context, e core.Messages) error {
		for _, m := range e.New {
			fmt.Printf("%s: %s\n", m.Role, m.Text)
		}
		return nil
	})
	p.OnCallEnded(func(ctx context.Context, e core.CallEnded) error {
		fmt.Printf("over: %d messages, %s\n", len(e.Call.Transcript), e.Reason)
		return nil
	})
	bindForExample(p)

	const hello = `{"messageId":"welcome-1","role":"assistant","text":"Hello."}`
	const hi = `{"messageId":"user-1","role":"user","text":"Hi."}`
	ask(p, "/events", `{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[`+hello+`]}}`)
	ask(p, "/events", `{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[`+hello+`,`+hi+`]}}`)
	ask(p, "/events", `{"message":{"type":"end-of-call-report","call":{"id":"CA1"},"messages":[`+hello+`,`+hi+`]}}`)
	// Output:
	// assistant: Hello.
	// 200 {}
	// user: Hi.
	// 200 {}
	// over: 2 messages, reported
	// 200 {}
}

// Tables of the app's own, in the platform's store.
func ExampleProcessor_AppStore() {
	p := core.New()
	calendar := p.AppStore("calendar")
	bindForExample(p)

	ctx := context.Background()
	fmt.Println(calendar.Commit(ctx, records.Record{Key: "2035-07-16/09:00", Value: []byte("Sam Rivera")}))
	fmt.Println(calendar.Commit(ctx, records.Record{Key: "2035-07-16/09:00", Value: []byte("Ana Lima")}))
	taken, _ := calendar.Range(ctx, "2035-07-16", "", 10)
	fmt.Println(taken[0].Key, string(taken[0].Value))
	// Output:
	// <nil>
	// records: record has changed
	// 2035-07-16/09:00 Sam Rivera
}

// A tool knows whose call it is, from what the events of the call said.
func ExampleCallFrom() {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "my_appointments", Description: "The caller's appointments.", Effect: core.ReadOnly},
		func(ctx context.Context, _ struct{}) (string, error) {
			call := core.CallFrom(ctx)
			if call.UserNumber == "" { // call.Missing says why, if nothing is known
				return "", core.Say("I cannot see who is calling. What is your phone number?")
			}
			return fmt.Sprintf("Appointments of %s: none.", call.UserNumber), nil
		})
	bindForExample(p)

	ask(p, "/tools/my_appointments", `{}`)
	ask(p, "/events", `{"message":{"type":"status-update","call":{"id":"WC-1","status":"ongoing","userNumber":"+14155550100"}}}`)
	r := p.Handle(context.Background(), core.Request{Method: "POST", Path: "/tools/my_appointments", Query: "call=WC-1", Body: []byte(`{}`)})
	fmt.Println(r.Status, string(r.Body))
	// Output:
	// 200 {"result":"I cannot see who is calling. What is your phone number?"}
	// 200 {}
	// 200 {"result":"Appointments of +14155550100: none."}
}

// A secret's name says whose the call is.
func ExampleForTenants() {
	p := core.New()
	p.OnHang(func(ctx context.Context, e core.Hang) error {
		fmt.Println("north:", core.CallFrom(ctx).ID)
		return nil
	}, core.ForTenants("north"))
	err := p.Bind(core.Platform{
		Name: "example", Store: coretest.NewMemoryStore(), Inbox: inline{p}, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets("north:5f1d0c9a7b3e48d2a6c4e8f0b1d3957a,south:0d7e2b91c4f8a6355e8091d2c7ba43f6")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, secret := range []string{"5f1d0c9a7b3e48d2a6c4e8f0b1d3957a", "0d7e2b91c4f8a6355e8091d2c7ba43f6"} {
		p.Handle(context.Background(), core.Request{Method: "POST", Path: "/events", Header: auth.Header{"X-Interactly-Secret": {secret}},
			Body: []byte(`{"message":{"type":"hang","call":{"id":"WC-1"}}}`)})
	}
	// Output:
	// north: north/WC-1
}

// What goes wrong in the backend's own code is reported with its place.
func ExampleProcessor_OnFailure() {
	p := core.New()
	failures := make(chan core.Failure, 1)
	p.OnFailure(func(_ context.Context, f core.Failure) { failures <- f })
	core.AddTool(p, core.Tool{Name: "open_slots", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
		var desk struct{ byDay map[string]int }
		desk.byDay["monday"]++
		return "", nil
	})
	bindForExample(p)
	ask(p, "/tools/open_slots", `{}`)
	f := <-failures
	fmt.Println(f.Kind, f.Name, "panicked:", f.Panic)
	// Output:
	// 200 {"result":"Sorry, that did not work just now. Offer to take a message for the office."}
	// tool open_slots panicked: assignment to entry in nil map
}
