// Package clinic is an example: the front desks of two clinics on one server. Each
// is a tenant, known by the secret with which its assistant sends; the south speaks
// Spanish. Visits are in a table of the clinics' own, an insurance is asked while
// the caller waits, and reminders go through a provider that may fail.
package clinic

import (
	"context"
	"errors"
	"strings"
	"time"
	_ "time/tzdata" // a Worker and an empty container have no time zones

	"github.com/serverurl/serverurl/core"
)

// Config is what the clinics need from outside.
type Config struct {
	Book      Book   // default: records in the platform's store
	Insurance string // URL of the insurance's API
	Texts     string // URL of the provider of text messages
}

type desk struct {
	Config
	now func() time.Time
}

// New returns the backend of both clinics.
func New(c Config) *core.Processor {
	p := core.New()
	p.SpeakLanguage(languageOf) // what the backend itself says, too
	if c.Book == nil {
		c.Book = storeBook{p.AppStore("clinic")}
	}
	d := &desk{c, p.Now}
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		panic(err) // it is compiled in
	}
	tool := func(name, description string, effect core.Effect, callerArgs ...string) core.Tool {
		return core.Tool{Name: name, Description: description, Effect: effect, CallerArgs: callerArgs, Location: zone}
	}
	core.AddTool(p, tool("find_times", "Open times on a day. Use it before you offer or book a time.", core.ReadOnly), d.findTimes)
	book := tool("book_visit", "Book a visit, when the caller has agreed to a time.", core.SideEffect, "patient")
	core.AddTool(p, book, d.book).Reconcile(d.isBooked)
	move := tool("move_visit", "Move the caller's visit to another time.", core.SideEffect, "patient")
	core.AddTool(p, move, d.move).Reconcile(d.isMoved)
	cancel := tool("cancel_visit", "Cancel the caller's visit.", core.Idempotent, "patient")
	cancel.Undoes = []string{"book_visit"}
	core.AddTool(p, cancel, d.cancel)
	insurance := tool("check_insurance", "Whether a plan is accepted. It may take a while: ask again then.", core.ReadOnly)
	insurance.Budget = 2 * time.Second
	core.AddTool(p, insurance, d.checkInsurance)
	core.AddTool(p, tool("text_reminder", "Send the caller a text message with the time of the visit.", core.Idempotent, "patient"), d.remind)
	p.OnReport(d.note)
	return p
}

// A Patient is who a visit is for. Both are asked for: a number is easily learned.
type Patient struct {
	Name  core.Sensitive `json:"name" jsonschema:"the patient's full name"`
	Phone core.Sensitive `json:"phone" jsonschema:"the phone number with country code"`
}

// Visit holds the arguments of tools about a visit that is booked. The model sees no
// clinic, and cannot choose one.
type Visit struct {
	At      time.Time `json:"at" jsonschema:"the time of the visit"`
	Patient Patient   `json:"patient"`
	Clinic  string    `from:"tenant"`
}

// Booking holds the arguments of book_visit.
type Booking struct {
	Service string `json:"service" enum:"cleaning|checkup|filling"`
	Visit
}

// Move holds the arguments of move_visit.
type Move struct {
	To time.Time `json:"to" jsonschema:"one of the times that find_times gave"`
	Visit
}

func (d *desk) findTimes(ctx context.Context, in struct {
	Day    time.Time `json:"day" format:"date"`
	Clinic string    `from:"tenant"`
}) (string, error) {
	booked, err := d.Book.Between(ctx, in.Clinic, in.Day, in.Day.AddDate(0, 0, 1))
	if err != nil {
		return "", err
	}
	taken, open := map[int64]bool{}, []string{}
	for _, e := range booked {
		taken[e.At.Unix()] = true
	}
	for at := in.Day; at.Day() == in.Day.Day(); at = at.Add(time.Hour) {
		if d.gives(at) && !taken[at.Unix()] {
			open = append(open, at.Format("15:04"))
		}
	}
	if len(open) == 0 {
		return say(ctx, "full"), nil
	}
	return say(ctx, "open", strings.Join(open, ", ")), nil
}

// gives reports whether a visit may begin at a time: on the hour, nine to four, on
// weekdays to come.
func (d *desk) gives(at time.Time) bool {
	return at.Truncate(time.Hour).Equal(at) && at.Hour() >= 9 && at.Hour() <= 16 && at.Weekday()%6 != 0 && at.After(d.now())
}

func (d *desk) book(ctx context.Context, in Booking) (string, error) {
	if !d.gives(in.At) {
		return "", core.Say(say(ctx, "not given"))
	}
	e := in.entry()
	e.Service = in.Service
	return say(ctx, "booked", say(ctx, in.Service), e.Name, in.At), d.change(ctx, in.Visit, nil, &e)
}

// isBooked reports whether a booking whose reply was lost is in the book.
func (d *desk) isBooked(ctx context.Context, in Booking) (string, bool, error) {
	e, is, err := d.has(ctx, in.Visit)
	return say(ctx, "booked", say(ctx, in.Service), e.Name, in.At), is && e.Service == in.Service, err
}

func (d *desk) move(ctx context.Context, in Move) (string, error) {
	from, err := d.find(ctx, in.Visit)
	if err == nil && !d.gives(in.To) {
		err = core.Say(say(ctx, "not given"))
	}
	if err != nil {
		return "", err
	}
	to := from
	to.At = in.To.UTC()
	return say(ctx, "moved", in.To), d.change(ctx, in.Visit, &from, &to)
}

// isMoved reports whether the visit is where it was to go: a caller may move it
// there, back, and there again.
func (d *desk) isMoved(ctx context.Context, in Move) (string, bool, error) {
	_, is, err := d.has(ctx, Visit{in.To, in.Patient, in.Clinic})
	return say(ctx, "moved", in.To), is, err
}

func (d *desk) cancel(ctx context.Context, in Visit) (string, error) {
	e, err := d.find(ctx, in)
	if err != nil {
		return "", err
	}
	return say(ctx, "canceled", in.At), d.change(ctx, in, &e, nil)
}

// has reports whether a patient has a visit, and returns it.
func (d *desk) has(ctx context.Context, in Visit) (e Entry, is bool, err error) {
	found, err := d.Book.Between(ctx, in.Clinic, in.At, in.At.Add(time.Second))
	if e = in.entry(); err == nil && len(found) == 1 && strings.EqualFold(found[0].Name, e.Name) && found[0].Phone == e.Phone {
		e, is = found[0], true
	}
	return e, is, err
}

// find returns a patient's visit, or what to say if there is none.
func (d *desk) find(ctx context.Context, in Visit) (Entry, error) {
	e, is, err := d.has(ctx, in)
	switch {
	case err != nil:
		return e, core.NotApplied(err)
	case !is:
		return e, core.Say(say(ctx, "none"))
	}
	return e, nil
}

// change changes the book, and returns what to say if it refuses.
func (d *desk) change(ctx context.Context, in Visit, from, to *Entry) error {
	err := d.Book.Change(ctx, in.Clinic, from, to)
	switch {
	case errors.Is(err, ErrTaken):
		return core.Say(say(ctx, "taken"))
	case errors.Is(err, ErrNone):
		return core.Say(say(ctx, "none"))
	}
	return err
}

func (d *desk) checkInsurance(ctx context.Context, in struct {
	Plan string `json:"plan" jsonschema:"the name of the insurance plan"`
}) (string, error) {
	var got struct {
		Accepted bool `json:"accepted"`
	}
	if err := ask(ctx, d.Insurance+"/plans", in, &got); err != nil {
		return "", err
	}
	if !got.Accepted {
		return say(ctx, "not accepted", in.Plan), nil
	}
	return say(ctx, "accepted", in.Plan), nil
}

func (d *desk) remind(ctx context.Context, in Visit) (string, error) {
	e, err := d.find(ctx, in)
	if err != nil {
		return "", err
	}
	// A core.Sensitive would be sent as ***: an entry has the number itself.
	err = ask(ctx, d.Texts+"/messages", map[string]string{"to": e.Phone, "text": say(ctx, "reminder", in.At)}, nil)
	if e, ok := errors.AsType[*core.HTTPError](err); ok && e.NotSent {
		return "", &core.SayError{Sentence: say(ctx, "not sent"), Err: err}
	}
	return say(ctx, "sent"), err
}

// ask posts in to another system, and reads its answer into out, which may be nil.
func ask(ctx context.Context, url string, in, out any) error {
	resp, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: url, JSON: in})
	if err == nil {
		err = resp.JSON(out)
	}
	return err
}

// note keeps what the office reads in the morning; the same when it is repeated.
func (d *desk) note(ctx context.Context, r core.Report) error {
	call := core.CallFrom(ctx)
	return d.Book.Note(ctx, call.Tenant, string(call.SentID), r.Analysis.Summary)
}
