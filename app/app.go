// Package app is the example backend that is deployed: the front desk of a dental
// practice, in one file to read in two minutes and to replace with your own. It
// knows no platform: its calendar is in the store that the platform provides, so it
// runs unchanged on all of them. All data is invented.
//
//	func main() { server.Main(app.New()) }
package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	d := &desk{now: p.Now, calendar: p.AppStore("calendar"), daybook: p.AppStore("daybook")}

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
		Description: "The appointments booked under the caller's phone number.",
		Effect:      core.ReadOnly,
	}, d.myAppointments)

	book := core.AddTool(p, core.Tool{
		Name:        "book_appointment",
		Description: "Book one appointment. Use it once the caller has agreed to a day and a time and has given a name and a phone number.",
	}, d.bookAppointment)
	book.Reconcile(d.findBooking)

	core.AddTool(p, core.Tool{
		Name:            "cancel_appointment",
		Description:     "Cancel the caller's appointment at a day and time.",
		IdempotencyArgs: []string{"date", "time", "phone"},
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
	day   = "2006-01-02"
)

type desk struct {
	now               func() time.Time
	calendar, daybook records.Store
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

// Appointment identifies an appointment of a caller.
type Appointment struct {
	Date  string         `json:"date" jsonschema:"the day as YYYY-MM-DD"`
	Time  string         `json:"time" jsonschema:"the time as HH:MM"`
	Phone core.Sensitive `json:"phone" jsonschema:"the phone number it was booked under"`
}

// An entry is an appointment in the calendar, which is where a patient's name and
// number belong: a core.Sensitive would be stored as "***".
type entry struct {
	Date    string `json:"date"`
	Time    string `json:"time"`
	Name    string `json:"name"`
	Phone   string `json:"phone"`
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
	booked, err := d.calendar.Range(ctx, in.Date, "", 100)
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, r := range booked {
		taken[strings.TrimPrefix(r.Key, in.Date+"/")] = true
	}
	var open []string
	for at := opens; at <= last; at += visit {
		if slot := clock(at); !taken[slot] {
			open = append(open, slot)
		}
	}
	if len(open) == 0 {
		return fmt.Sprintf("%s has no openings left.", spoken(date)), nil
	}
	return fmt.Sprintf("%s has openings at %s.", spoken(date), strings.Join(open, ", ")), nil
}

func (d *desk) bookAppointment(ctx context.Context, in Booking) (string, error) {
	date, err := d.openDay(in.Date)
	if err != nil {
		return "", err
	}
	phone, err := digits(in.Phone)
	if err != nil {
		return "", err
	}
	if !isSlot(in.Time) {
		return "", refuse("That is not a time we give. Offer one of the times that find_open_slots gives.")
	}
	if strings.TrimSpace(in.Name.Reveal()) == "" {
		return "", refuse("The patient's name is needed to book.")
	}
	inv, _ := core.InvocationFromContext(ctx)
	line, err := json.Marshal(entry{in.Date, in.Time, in.Name.Reveal(), in.Phone.Reveal(), in.Service, inv.IdempotencyKey})
	if err != nil {
		return "", err
	}
	err = d.calendar.Commit(ctx,
		records.Record{Key: in.Date + "/" + in.Time, Value: line},
		records.Record{Key: "by-phone/" + phone + "/" + in.Date + " " + in.Time, Value: line},
	)
	if errors.Is(err, records.ErrStale) {
		return "", refuse(fmt.Sprintf("%s at %s is already taken. Offer another time.", spoken(date), in.Time))
	}
	if err != nil {
		return "", err
	}
	return in.booked(date), nil
}

// findBooking reports whether a booking whose reply was lost is in the calendar.
func (d *desk) findBooking(ctx context.Context, in Booking) (string, bool, error) {
	date, err := d.openDay(in.Date)
	if err != nil {
		return "", false, nil // it would have been rejected
	}
	recs, err := d.calendar.Get(ctx, in.Date+"/"+in.Time)
	if err != nil {
		return "", false, err
	}
	var have entry
	if recs[0].Version == 0 || json.Unmarshal(recs[0].Value, &have) != nil {
		return "", false, nil
	}
	inv, _ := core.InvocationFromContext(ctx)
	return in.booked(date), have.Key == inv.IdempotencyKey, nil
}

func (d *desk) myAppointments(ctx context.Context, in struct {
	Phone core.Sensitive `json:"phone" jsonschema:"the caller's phone number with country code"`
}) (string, error) {
	phone, err := digits(in.Phone)
	if err != nil {
		return "", err
	}
	recs, err := d.calendar.Range(ctx, "by-phone/"+phone, "", 20)
	if err != nil {
		return "", err
	}
	var have []string
	for _, r := range recs {
		var e entry
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return "", errors.New("app: an entry of the calendar cannot be decoded")
		}
		date, err := time.Parse(day, e.Date)
		if err != nil {
			return "", errors.New("app: an entry of the calendar has no date")
		}
		have = append(have, fmt.Sprintf("%s at %s for %s", spoken(date), e.Time, service(e.Service)))
	}
	switch len(have) {
	case 0:
		return "You have no appointments.", nil
	case 1:
		return "You have 1 appointment: " + have[0] + ".", nil
	}
	return fmt.Sprintf("You have %d appointments: %s.", len(have), strings.Join(have, "; ")), nil
}

func (d *desk) cancelAppointment(ctx context.Context, in Appointment) (string, error) {
	phone, err := digits(in.Phone)
	if err != nil {
		return "", err
	}
	date, err := time.Parse(day, in.Date)
	if err != nil || !isSlot(in.Time) {
		return "", refuse("There is no appointment at that day and time. Check it with my_appointments.")
	}
	recs, err := d.calendar.Get(ctx, in.Date+"/"+in.Time, "by-phone/"+phone+"/"+in.Date+" "+in.Time)
	if err != nil {
		return "", err
	}
	if recs[0].Version == 0 || recs[1].Version == 0 {
		return "", refuse("There is no appointment at that day and time. Check it with my_appointments.")
	}
	recs[0].Value, recs[1].Value = nil, nil
	if err := d.calendar.Commit(ctx, recs...); err != nil {
		return "", core.NotApplied(err)
	}
	return fmt.Sprintf("Canceled: %s at %s.", spoken(date), in.Time), nil
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

// openDay parses a date on which the practice is open.
func (d *desk) openDay(date string) (time.Time, error) {
	t, err := time.Parse(day, date)
	switch {
	case err != nil:
		return t, refuse("The date is needed as year, month and day, such as 2035-07-16.")
	case t.Weekday() == time.Saturday || t.Weekday() == time.Sunday:
		return t, refuse(spoken(t) + " is at the weekend, when the practice is closed. Offer a weekday.")
	case t.Before(d.now().Add(-36 * time.Hour)): // in any time zone of the caller
		return t, refuse(spoken(t) + " is in the past. Offer a day from today on.")
	}
	return t, nil
}

// refuse returns an error whose sentence the caller hears. Nothing was changed, so
// the same request runs again when it is repeated.
func refuse(sentence string) error { return core.NotApplied(core.Say(sentence)) }

func service(s string) string {
	if s = strings.TrimSpace(s); s != "" {
		return s
	}
	return "a check-up"
}

func (b Booking) booked(date time.Time) string {
	return fmt.Sprintf("Booked: %s for %s on %s at %s.", service(b.Service), b.Name.Reveal(), spoken(date), b.Time)
}

func spoken(date time.Time) string { return date.Format("Monday " + day) }

func clock(at time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(at.Hours()), int(at.Minutes())%60)
}

func isSlot(s string) bool {
	for at := opens; at <= last; at += visit {
		if clock(at) == s {
			return true
		}
	}
	return false
}

var (
	phoneMarks = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "")
	phone      = regexp.MustCompile(`^\+?[0-9]{7,15}$`)
)

func digits(s core.Sensitive) (string, error) {
	number := phoneMarks.Replace(s.Reveal())
	if !phone.MatchString(number) {
		return "", refuse("A phone number with its country code is needed, such as +14155550142.")
	}
	return strings.TrimPrefix(number, "+"), nil
}
