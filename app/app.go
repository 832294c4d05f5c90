// Package app is the example backend that is deployed: the front desk of a dental
// practice, in one file to read in a few minutes and to replace with your own; a
// second one reads what people write. It knows no platform: its calendar is in the
// store that the platform provides, so it runs unchanged on all of them. All data
// is invented.
//
//	func main() { os.Exit(server.Main(app.New())) }
package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// New returns the front desk: five tools, and a daybook of calls.
func New() *core.Processor {
	p := core.New()
	d := &desk{
		now: p.Now, calendar: p.AppStore("calendar"), daybook: p.AppStore("daybook"),
		zone: zone("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"), country: "1",
	}

	core.AddTool(p, core.Tool{
		Name:        "opening_hours",
		Description: "When the practice is open. Use it whenever the caller asks about opening times.",
		Effect:      core.ReadOnly,
	}, d.openingHours)

	core.AddTool(p, core.Tool{
		Name:        "find_open_slots",
		Description: "Open appointment times on one day. Use it before offering or booking a time.",
		Effect:      core.ReadOnly,
	}, d.findOpenSlots)

	core.AddTool(p, core.Tool{
		Name:        "my_appointments",
		Description: "The caller's appointments that are still to come. Ask for the full name under which they were booked, and for the phone number if it is another than the caller's.",
		Effect:      core.ReadOnly,
	}, d.myAppointments)

	book := core.AddTool(p, core.Tool{
		Name:        "book_appointment",
		Description: "Book one appointment. Use it once the caller has agreed to a day and a time and has given a name and a phone number.",
		CallerArgs:  []string{"phone"},
	}, d.bookAppointment)
	book.Reconcile(d.findBooking)

	core.AddTool(p, core.Tool{
		Name:            "cancel_appointment",
		Description:     "Cancel the caller's appointment at a day and time. Ask for the phone number and the full name under which it was booked.",
		IdempotencyArgs: []string{"date", "time", "phone", "name"},
		CallerArgs:      []string{"phone"},
		Effect:          core.Idempotent, // canceling twice has the effect of canceling once
	}, d.cancelAppointment)

	p.OnReport(d.noteReport)
	p.OnCallEnded(d.closeCall)
	return p
}

// The practice is open on weekdays, and a visit takes 45 minutes.
const (
	opens = 9 * time.Hour
	last  = 16*time.Hour + 30*time.Minute
	visit = 45 * time.Minute

	dayLayout  = "2006-01-02"
	slotLayout = "15:04"
)

type desk struct {
	now               func() time.Time
	calendar, daybook records.Store
	zone              *time.Location // of the practice: its clock decides what is past
	country           string         // calling code of numbers without one
}

// Day holds the arguments of find_open_slots.
type Day struct {
	Date    string `json:"date" jsonschema:"the day as YYYY-MM-DD"`
	Service string `json:"service,omitempty" jsonschema:"what the visit is for, such as cleaning"`
}

// Booking holds the arguments of book_appointment.
type Booking struct {
	Date    string         `json:"date" jsonschema:"the day as YYYY-MM-DD"`
	Time    string         `json:"time" jsonschema:"the time as HH:MM, one of those that find_open_slots gave"`
	Name    core.Sensitive `json:"name" jsonschema:"the patient's full name"`
	Phone   core.Sensitive `json:"phone" jsonschema:"the caller's phone number with country code"`
	Service string         `json:"service,omitempty" jsonschema:"what the visit is for, such as cleaning"`
}

// Caller is who calls. A number is easily learned, and anybody can say it: a
// caller must know the name as well to learn or to change something, and is never
// given what the visit is for.
type Caller struct {
	Phone core.Sensitive `json:"phone" jsonschema:"the phone number it was booked under"`
	Name  core.Sensitive `json:"name" jsonschema:"the full name it was booked under"`
}

// Myself is a [Caller] whose number may be the one that calls.
type Myself struct {
	Phone core.Sensitive `json:"phone,omitempty" jsonschema:"the phone number they were booked under, if it is not the one that calls"`
	Name  core.Sensitive `json:"name" jsonschema:"the full name they were booked under"`
}

// Appointment identifies an appointment of a caller.
type Appointment struct {
	Date string `json:"date" jsonschema:"the day as YYYY-MM-DD"`
	Time string `json:"time" jsonschema:"the time as HH:MM"`
	Caller
}

// An entry is an appointment in the calendar, which is where a patient's name and
// number belong: a core.Sensitive would be stored as "***".
type entry struct {
	Date    string `json:"date"`
	Time    string `json:"time"`
	Name    string `json:"name"`
	Phone   string `json:"phone"` // E.164, without its "+"
	Service string `json:"service,omitempty"`
	Key     string `json:"key"` // of the request that booked it
}

func (d *desk) openingHours(context.Context, struct{}) (string, error) {
	return "The practice is open Monday to Friday from 09:00 to 17:15, and closed at weekends.", nil
}

func (d *desk) findOpenSlots(ctx context.Context, in Day) (string, error) {
	date, err := d.openDay(in.Date)
	if err != nil {
		return "", err
	}
	booked, err := d.calendar.Range(ctx, date.Format(dayLayout), "", 100)
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, r := range booked {
		_, slot, _ := records.SplitKey(r.Key)
		taken[slot] = true
	}
	open := slices.DeleteFunc(slots(), func(slot string) bool { return taken[slot] || d.isPast(date, slot) })
	if len(open) == 0 {
		return fmt.Sprintf("%s has no openings left.", spoken(date)), nil
	}
	return fmt.Sprintf("%s has openings at %s.", spoken(date), strings.Join(open, ", ")), nil
}

func (d *desk) bookAppointment(ctx context.Context, in Booking) (string, error) {
	e, date, err := d.read(in)
	if err != nil {
		return "", err
	}
	inv, _ := core.InvocationFromContext(ctx)
	e.Key = inv.IdempotencyKey
	line, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	err = d.calendar.Commit(ctx, records.Record{Key: e.slotKey(), Value: line}, records.Record{Key: e.phoneKey(), Value: line})
	if errors.Is(err, records.ErrStale) {
		return "", d.taken(ctx, e, date)
	}
	if err != nil {
		return "", err
	}
	return e.booked(date), nil
}

// read checks a booking and returns it as the calendar has it.
func (d *desk) read(in Booking) (e entry, date time.Time, err error) {
	if date, err = d.openDay(in.Date); err != nil {
		return e, date, err
	}
	e = entry{Date: date.Format(dayLayout), Name: plain(in.Name.Reveal()), Service: plain(in.Service)}
	if e.Time, err = d.timeOf(in.Time, date); err != nil {
		return e, date, err
	}
	if !slices.Contains(slots(), e.Time) {
		return e, date, core.Say("That is not a time we give. Offer one of the times that find_open_slots gives.")
	}
	if d.isPast(date, e.Time) {
		return e, date, core.Sayf("%s at %s is in the past. Offer a later time.", spoken(date), e.Time)
	}
	if err := named(e.Name); err != nil {
		return e, date, err
	}
	if e.Service != "" && isPlaceholder(e.Service) {
		return e, date, core.Say("What the visit is for is not clear. Ask the caller, or leave the service out.")
	}
	e.Phone, err = d.phone(in.Phone)
	return e, date, err
}

// taken says who has the time that e wanted: a caller who asks twice has it.
func (d *desk) taken(ctx context.Context, e entry, date time.Time) error {
	have, _, err := d.find(ctx, e.slotKey())
	switch {
	case err != nil:
		return core.NotApplied(err)
	case have.Phone == e.Phone && sameName(have.Name, e.Name):
		return core.Sayf("%s at %s is booked for %s already, with this number. Nothing was changed.", spoken(date), e.Time, have.Name)
	}
	return core.Sayf("%s at %s is already taken. Offer another time.", spoken(date), e.Time)
}

// find reads entries of the calendar. The first is decoded, the zero entry if
// there is none.
func (d *desk) find(ctx context.Context, keys ...string) (e entry, recs []records.Record, err error) {
	recs, err = d.calendar.Get(ctx, keys...)
	if err != nil || recs[0].Version == 0 {
		return e, recs, err
	}
	if json.Unmarshal(recs[0].Value, &e) != nil {
		return e, recs, errEntry
	}
	return e, recs, nil
}

// findBooking reports whether a booking whose reply was lost is in the calendar.
func (d *desk) findBooking(ctx context.Context, in Booking) (string, bool, error) {
	e, date, err := d.slotOf(in.Date, in.Time)
	if err != nil {
		return "", false, nil // it would have been rejected
	}
	have, _, err := d.find(ctx, e.slotKey())
	if err != nil {
		return "", false, err
	}
	inv, _ := core.InvocationFromContext(ctx)
	return have.booked(date), have.Key != "" && have.Key == inv.IdempotencyKey, nil
}

// atOnce is how many appointments one sentence has.
const atOnce = 10

func (d *desk) myAppointments(ctx context.Context, in Myself) (string, error) {
	if in.Phone == "" {
		in.Phone = core.Sensitive(core.CallFrom(ctx).UserNumber)
	}
	all, err := d.appointmentsOf(ctx, Caller(in))
	if err != nil {
		return "", err
	}
	var ahead []string
	past := ""
	for _, e := range all {
		date, err := time.Parse(dayLayout, e.Date)
		if err != nil {
			return "", errEntry
		}
		if at := spoken(date) + " at " + e.Time; d.isPast(date, e.Time) {
			past = at
		} else {
			ahead = append(ahead, at)
		}
	}
	switch n := len(ahead); {
	case n == 0 && past != "":
		return "You have no appointments to come. The last one was on " + past + ", which is past.", nil
	case n == 0:
		return "There is no appointment to come of that name and number.", nil
	case n == 1:
		return "You have 1 appointment: " + ahead[0] + ".", nil
	case n > atOnce:
		return fmt.Sprintf("You have %d appointments. The first %d: %s. There are %d later ones.", n, atOnce, strings.Join(ahead[:atOnce], "; "), n-atOnce), nil
	}
	return fmt.Sprintf("You have %d appointments: %s.", len(ahead), strings.Join(ahead, "; ")), nil
}

// appointmentsOf returns the caller's appointments, the earliest first.
func (d *desk) appointmentsOf(ctx context.Context, in Caller) (es []entry, err error) {
	phone, err := d.phone(in.Phone)
	if err != nil {
		return nil, err
	}
	if err := named(in.Name.Reveal()); err != nil {
		return nil, err
	}
	for after := ""; ; {
		recs, err := d.calendar.Range(ctx, "by-phone/"+phone, after, 100)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			var e entry
			if json.Unmarshal(r.Value, &e) != nil {
				return nil, errEntry
			}
			if sameName(e.Name, in.Name.Reveal()) {
				es = append(es, e)
			}
			_, after, _ = records.SplitKey(r.Key)
		}
		if len(recs) < 100 {
			return es, nil
		}
	}
}

func (d *desk) cancelAppointment(ctx context.Context, in Appointment) (string, error) {
	phone, err := d.phone(in.Phone)
	if err != nil {
		return "", err
	}
	if err := named(in.Name.Reveal()); err != nil {
		return "", err
	}
	e, date, err := d.slotOf(in.Date, in.Time)
	if err != nil {
		return "", err
	}
	e.Phone = phone
	have, recs, err := d.find(ctx, e.phoneKey(), e.slotKey())
	switch {
	case err != nil:
		return "", core.NotApplied(err)
	case recs[0].Version == 0, recs[1].Version == 0, !sameName(have.Name, in.Name.Reveal()):
		return "", core.Say("There is no appointment of that name and number at that day and time. Check it with my_appointments.")
	case d.isPast(date, e.Time):
		return "", core.Sayf("%s at %s is past, so it cannot be canceled.", spoken(date), e.Time)
	}
	recs[0].Value, recs[1].Value = nil, nil
	if err := d.calendar.Commit(ctx, recs...); errors.Is(err, records.ErrStale) {
		return "", core.NotApplied(err) // somebody was faster
	} else if err != nil {
		return "", err
	}
	return fmt.Sprintf("Canceled: %s at %s.", spoken(date), e.Time), nil
}

// noteReport writes down what the office reads in the morning. It writes the same
// when it is repeated, so a redelivery is harmless.
func (d *desk) noteReport(ctx context.Context, r core.Report) error {
	return d.note(ctx, "reports", r.Call.ID, r.Analysis.Summary)
}

// closeCall writes one line for each call that ended.
func (d *desk) closeCall(ctx context.Context, e core.CallEnded) error {
	return d.note(ctx, "calls", e.Call.ID, fmt.Sprintf("%s, %d messages, %s", e.Call.Status, e.Call.MessageCount, e.Reason))
}

func (d *desk) note(ctx context.Context, page string, call event.CallID, text string) error {
	recs, err := d.daybook.Get(ctx, page+"/"+records.KeyName(string(call)))
	if err != nil {
		return err
	}
	recs[0].Value = []byte(text)
	return d.daybook.Commit(ctx, recs[0])
}

// openDay reads a date on which the practice is open.
func (d *desk) openDay(date string) (time.Time, error) {
	t, err := dayOf(date)
	switch {
	case err != nil:
		return t, err
	case t.Format(dayLayout) < d.now().In(d.zone).Format(dayLayout):
		return t, core.Say(spoken(t) + " is in the past. Offer a day from today on.")
	case t.Weekday() == time.Saturday || t.Weekday() == time.Sunday:
		return t, core.Say(spoken(t) + " is at the weekend, when the practice is closed. Offer a weekday.")
	}
	return t, nil
}

// isPast reports whether a time of the calendar has come, by the practice's clock.
func (d *desk) isPast(date time.Time, slot string) bool {
	return date.Format(dayLayout)+" "+slot <= d.now().In(d.zone).Format(dayLayout+" "+slotLayout)
}

var errEntry = errors.New("app: an entry of the calendar cannot be decoded")

func (e entry) slotKey() string  { return e.Date + "/" + e.Time }
func (e entry) phoneKey() string { return "by-phone/" + e.Phone + "/" + e.Date + " " + e.Time }

func (e entry) booked(date time.Time) string {
	service := e.Service
	if service == "" {
		service = "a check-up"
	}
	return fmt.Sprintf("Booked: %s for %s on %s at %s.", service, e.Name, spoken(date), e.Time)
}

func spoken(date time.Time) string { return date.Format("Monday " + dayLayout) }

// slots returns the times that the practice gives, as the calendar has them.
func slots() (all []string) {
	for at := opens; at <= last; at += visit {
		all = append(all, time.Time{}.Add(at).Format(slotLayout))
	}
	return all
}
