package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"pgregory.net/rapid"
)

// A desk is the front desk at a time that the test sets.
type desk struct {
	t     rapid.TB
	p     *core.Processor
	now   time.Time
	calls int
}

func newDesk(t rapid.TB, now string) *desk {
	t.Helper()
	d := &desk{t: t, p: app.New()}
	d.at(now)
	err := d.p.Bind(core.Platform{
		Name: "test", Store: coretest.NewMemoryStore(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return d.now },
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret("front-desk-test-4f1c9b7ad2e86035")}}, Inbox: noInbox{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type noInbox struct{ core.Inbox }

func (d *desk) at(now string) {
	var err error
	if d.now, err = time.Parse(time.RFC3339, now); err != nil {
		d.t.Fatal(err)
	}
}

type args map[string]string

// say calls a tool in a call of its own and returns what the caller hears.
func (d *desk) say(tool string, a args) string {
	d.t.Helper()
	d.calls++
	return d.sayIn(fmt.Sprintf("CA%d", d.calls), tool, a)
}

func (d *desk) sayIn(call, tool string, a args) string {
	d.t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		d.t.Fatal(err)
	}
	r := d.p.Handle(context.Background(), core.Request{Method: "POST", Path: "/tools/" + tool, Query: "call=" + call, Body: body,
		Header: auth.Header{"x-interactly-secret": {"front-desk-test-4f1c9b7ad2e86035"}, "content-type": {"application/json"}}})
	var reply struct{ Result string }
	if json.Unmarshal(r.Body, &reply) != nil || r.Status != 200 || reply.Result == "" {
		d.t.Fatalf("%d %s", r.Status, r.Body)
	}
	return reply.Result
}

func (d *desk) want(got, want string) {
	d.t.Helper()
	if !strings.Contains(got, want) {
		d.t.Errorf("the caller hears %q, want %q", got, want)
	}
}

const (
	someTime = "2035-07-09T12:00:00-07:00" // a Monday
	monday   = "2035-07-16"
)

func booking(with args) args {
	a := args{"date": monday, "time": "09:00", "name": "Sam Rivera", "phone": "+14155550145"}
	for k, v := range with {
		a[k] = v
	}
	return a
}

// One person has one number, however it is written.
func TestNumbersAsPeopleWriteThem(t *testing.T) {
	for _, as := range []string{
		"+14155550145", "14155550145", "4155550145", "415-555-0145", "(415) 555-0145", "415.555.0145", "+1 (415) 555-0145", "1-415-555-0145",
		"0014155550145", "001 415 555 0145", "011 1 415 555 0145", "+1 415\u2011555\u20110145", "415\u2013555\u20130145", "＋１４１５５５５０１４５", "４１５５５５０１４５",
		"415-555-0145 ext. 12", "+14155550145x12", "4155550145 #3", "tel:+14155550145", "\u200e+1 415 555 0145\u200f", "+1\u00a0415\u00a0555\u00a00145",
	} {
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(nil)), "Booked: a check-up for Sam Rivera")
		d.want(d.say("my_appointments", args{"phone": as, "name": "Sam Rivera"}), "You have 1 appointment: Monday 2035-07-16 at 09:00.")
		d.want(d.say("book_appointment", booking(args{"phone": as})), "is booked for Sam Rivera already")
		d.want(d.say("cancel_appointment", args{"date": monday, "time": "09:00", "phone": as, "name": "Sam Rivera"}), "Canceled")
	}
	d := newDesk(t, someTime)
	for _, no := range []string{"", "undefined", "{{phone}}", "555-0145", "415-555-014", "1 415 555 014", "call me", "+0 415 555 0145", "+1 415 555 01455", "12345678901234567"} {
		d.want(d.say("book_appointment", booking(args{"phone": no})), "A phone number with its country code is needed")
	}
	d.want(d.say("book_appointment", booking(args{"phone": "+44 (0)20 7946 0000"})), "Booked")
	d.want(d.say("my_appointments", args{"phone": "0044 20 7946 0000", "name": "Sam Rivera"}), "You have 1 appointment")
}

// A caller who asks for what they have learns that; for anybody else it is taken.
func TestOwnBookingIsNotTaken(t *testing.T) {
	d := newDesk(t, someTime)
	d.want(d.sayIn("CA", "book_appointment", booking(nil)), "Booked")
	for _, again := range []args{{"phone": "+1 415-555-0145"}, {"service": "cleaning"}, {"name": " sam  rivera"}, {"time": "9 AM"}} {
		d.want(d.sayIn("CA", "book_appointment", booking(again)), "Monday 2035-07-16 at 09:00 is booked for Sam Rivera already, with this number. Nothing was changed.")
	}
	for _, other := range []args{{"phone": "+14155550146"}, {"name": "Alex Kim"}} {
		d.want(d.sayIn("CA", "book_appointment", booking(other)), "is already taken. Offer another time.")
	}
	d.want(d.say("my_appointments", args{"phone": "+14155550145", "name": "Sam Rivera"}), "You have 1 appointment:")
}

// The practice's clock decides what is past, wherever the program runs.
func TestPastByThePracticesClock(t *testing.T) {
	d := newDesk(t, "2035-07-16T16:10:00-07:00") // on the next day in UTC
	d.want(d.say("book_appointment", booking(args{"date": "2035-07-13"})), "is in the past")
	d.want(d.say("book_appointment", booking(nil)), "Monday 2035-07-16 at 09:00 is in the past")
	d.want(d.say("find_open_slots", args{"date": monday}), "Monday 2035-07-16 has openings at 16:30.")
	d.want(d.say("book_appointment", booking(args{"time": "16:30"})), "Booked")
	d.at("2035-07-16T16:29:59-07:00")
	d.want(d.say("cancel_appointment", booking(args{"time": "16:30"})), "Canceled")
	d.want(d.say("book_appointment", booking(args{"time": "16:30", "service": "cleaning"})), "Booked")
	d.at("2035-07-16T16:30:00-07:00")
	d.want(d.say("find_open_slots", args{"date": monday}), "has no openings left")
	d.want(d.say("cancel_appointment", booking(args{"time": "16:30"})), "Monday 2035-07-16 at 16:30 is past, so it cannot be canceled.")
	d.want(d.say("my_appointments", args{"phone": "+14155550145", "name": "Sam Rivera"}), "You have no appointments to come. The last one was on Monday 2035-07-16 at 16:30, which is past.")
	d.at("2035-07-16T23:59:00-07:00")
	d.want(d.say("find_open_slots", args{"date": "2035-07-17"}), "openings at 09:00, ")
	d.want(d.say("find_open_slots", args{"date": monday}), "has no openings left")
}

// However many appointments there are, their number is right.
func TestManyAppointments(t *testing.T) {
	d := newDesk(t, someTime)
	me := args{"phone": "+14155550145", "name": "Sam Rivera"}
	d.want(d.say("my_appointments", me), "There is no appointment to come of that name and number.")
	n := 0
	for day := 16; day < 27; day++ {
		for _, at := range []string{"09:00", "09:45", "10:30", "11:15", "12:00", "12:45", "13:30", "14:15", "15:00", "15:45", "16:30"} {
			if date := fmt.Sprintf("2035-07-%d", day); day != 21 && day != 22 && n < 95 {
				d.want(d.say("book_appointment", booking(args{"date": date, "time": at})), "Booked")
				n++
			}
		}
	}
	d.want(d.say("book_appointment", booking(args{"name": "Alex Kim", "date": "2035-08-01"})), "Booked")
	got := d.say("my_appointments", me)
	d.want(got, "You have 95 appointments. The first 10: Monday 2035-07-16 at 09:00; ")
	d.want(got, "There are 85 later ones.")
	d.at("2035-07-25T12:00:00-07:00") // ten are left
	got = d.say("my_appointments", me)
	d.want(got, "You have 13 appointments. The first 10: Wednesday 2035-07-25 at 12:45; ")
	d.want(got, "There are 3 later ones.")
}

// A time is what it means.
func TestTimesAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct{ as, slot string }{
		{"9:00", "09:00"}, {"9:00 AM", "09:00"}, {"09:00:00", "09:00"}, {"2:15 PM", "14:15"}, {"9", "09:00"}, {"9 am", "09:00"}, {"9am", "09:00"}, {"9 a.m.", "09:00"},
		{"09:00 AM", "09:00"}, {"2:15p.m.", "14:15"}, {"14:15:00", "14:15"}, {"12:00 PM", "12:00"}, {"12 pm", "12:00"}, {"９：００", "09:00"}, {" 09:00 ", "09:00"}, {"9:00\u202fAM", "09:00"}, {"09.45", "09:45"},
		{"noon", "12:00"}, {"12 noon", "12:00"}, {"at midday", "12:00"}, {"9 o'clock", "09:00"}, {"9 o’clock", "09:00"}, {"12 O'Clock", "12:00"}, {"3 o'clock", "15:00"}, {"9 o'clock in the morning", "09:00"},
		{"14:15h", "14:15"}, {"14:15 h", "14:15"}, {"14h15", "14:15"}, {"9h", "09:00"}, {"at 9:45", "09:45"}, {"At 2:15 in the afternoon", "14:15"}, {"1415", "14:15"}, {"0900", "09:00"}, {"945", "09:45"},
		{"1415 hours", "14:15"}, {"2:15p", "14:15"}, {"T09:00", "09:00"}, {"09:00:00-07:00", "09:00"}, {"09:00-0700", "09:00"}, {"2035-07-16T09:00:00", "09:00"},
		{"2035-07-16T09:00:00.000-07:00", "09:00"}, {"2035-07-16 14:15", "14:15"}, {"9.0", "09:00"}, {"２：１５ ＰＭ", "14:15"},
	} {
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(args{"time": c.as})), "on Monday 2035-07-16 at "+c.slot+".")
		d.want(d.say("cancel_appointment", booking(args{"time": c.as})), "Canceled: Monday 2035-07-16 at "+c.slot)
	}
	d := newDesk(t, someTime)
	for _, no := range []string{"9:10", "9:00 PM", "21:00", "12:00 AM", "09:00:30", "2", "midnight", "8 o'clock"} {
		d.want(d.say("book_appointment", booking(args{"time": no})), "That is not a time we give.")
		d.want(d.say("cancel_appointment", booking(args{"time": no})), "There is no appointment of that name and number at that day and time.")
	}
	for _, no := range []string{
		"0:00 PM", "13:30 PM", "25:00", "24:00", "9:60", "09:00:60", "-9:00", "soon", "", "null", "99999999999999999999:00", "{{time}}", "nine", "9:5", "9 to 10", "afternoon",
		"2035-07-17T09:00:00", "2035-07-32T09:00:00", "2035-07-16", "09:00Z", "09:00:00+02:00", "09:00-08:00",
	} {
		for _, tool := range []string{"book_appointment", "cancel_appointment"} {
			d.want(d.say(tool, booking(args{"time": no})), "The time is needed as hours and minutes, such as 09:45.")
		}
	}
}

// A variable that nobody filled in is not a name, and not a service.
func TestPlaceholders(t *testing.T) {
	d := newDesk(t, someTime)
	for _, no := range []string{
		"undefined", "null", "{{name}}", "None", " NULL ", "<name>", "${name}", "unknown", "N/A", "{name}", "[name]", "$name", "%name%", "(unknown)", `"null"`, "'null'", "null null",
		"undefined undefined", "N/A N/A", "customer_name", "customerName", "Customer Name", "caller", "CALLER", "the caller", "caller's name", "TBD", "tbd.", "Not provided", "not-provided",
		"Name not given", "{service}", "<service>", "{{ patient.first }}", "{% name %}", "#{name}", "%(name)s", "[Your Name Here]", "[object Object]", "#N/A", "first last", "Sam {last_name}", "Ｎｕｌｌ",
		"...", "-", "123", "?", "\U0001f600", "\u0301", "_", "$1",
	} {
		d.want(d.say("book_appointment", booking(args{"name": no})), "The patient's full name is needed. Ask the caller for it.")
		d.want(d.say("my_appointments", args{"phone": "+14155550145", "name": no}), "The patient's full name is needed.")
		d.want(d.say("cancel_appointment", booking(args{"name": no})), "The patient's full name is needed.")
		d.want(d.say("book_appointment", booking(args{"service": no})), "What the visit is for is not clear.")
	}
	for _, blank := range []string{"", " ", "\u200b"} {
		d.want(d.say("book_appointment", booking(args{"name": blank})), "The patient's full name is needed.")
	}
	for _, name := range []string{"Christopher Null", "Alex Guest", "Na Li", "X Æ", "O'None Kim", "李娜", "김민수", "राम", "Jan/Anna Unknown-Smith", "Sam Rivera 3rd"} {
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(args{"name": name, "service": " \u200b"})), "Booked: a check-up for "+name)
	}
	for _, service := range []string{"cleaning", "$50 cleaning", "first visit", "service of my braces", "D1110", "50% whitening [upper]"} {
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(args{"service": service})), "Booked: "+service+" for")
	}
}

// A name is who it means, in either form of Unicode, with its accents or without.
func TestNamesAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct{ name, as string }{
		{"J\u00fcrgen M\u00fcller", "Ju\u0308rgen Mu\u0308ller"}, {"Ju\u0308rgen Mu\u0308ller", "J\u00dcRGEN M\u00dcLLER"}, {"J\u00fcrgen M\u00fcller", "Jurgen Muller"},
		{"Nguy\u1ec5n Th\u1ecb \u01a0n", "Nguye\u0302\u0303n Thi\u0323 O\u031bn"}, {"Nguy\u1ec5n Th\u1ecb \u01a0n", "nguyen thi on"}, {"Jos\u00e9 Nu\u00f1ez", "Jose\u0301 Nun\u0303ez"},
		{"Weiß", "WEISS"}, {"Weiß", "WEIẞ"}, {"Søren Kjær", "Soren Kjaer"}, {"Łukasz Œrsted", "lukasz oersted"}, {"Þór Ðan", "Thor Dan"}, {"İpek Işık", "I\u0307pek Is\u0327ik"},
		{"Anne-Marie O'Brien", "anne marie o’brien"}, {"Anne-Marie O'Brien", "Anne Marie OBrien"}, {"Ann Fox", "Fox, Ann"}, {"J. R. Smith", "J R Smith"}, {"Ｊürgen", "Jurgen"},
		{"Йордан Ёлкин", "И\u0306ордан Е\u0308лкин"}, {"Άννα Νίκος", "Α\u0301ννα ΝΙ\u0301ΚΟΣ"}, {"أحمد", "ا\u0654حمد"}, {"김한별", "\u1100\u1175\u11b7\u1112\u1161\u11ab\u1107\u1167\u11af"}, {"がの", "か\u3099の"},
	} {
		d := newDesk(t, someTime)
		a := booking(args{"name": c.as})
		d.want(d.say("book_appointment", booking(args{"name": c.name})), "Booked")
		d.want(d.say("book_appointment", a), "already, with this number. Nothing was changed.")
		d.want(d.say("my_appointments", a), "You have 1 appointment")
		d.want(d.say("cancel_appointment", a), "Canceled")
	}
	for _, c := range [][2]string{{"Ann Fox", "Ann"}, {"Ann Fox", "Ann Ann Fox"}, {"Ann Fox", "Anna Fox"}, {"रम", "रुम"}, {"김한별", "김하별"}, {"Weiß", "Weis"}} {
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(args{"name": c[0]})), "Booked")
		d.want(d.say("my_appointments", booking(args{"name": c[1]})), "There is no appointment to come of that name and number.")
	}
}

// Whatever letters it has, a name is one in its two forms of Unicode.
func TestFormsOfUnicode(t *testing.T) {
	letters := [][2]string{
		{"a", "a"}, {"é", "e\u0301"}, {"Å", "A\u030a"}, {"ñ", "n\u0303"}, {"ç", "c\u0327"}, {"ű", "u\u030b"}, {"Š", "S\u030c"}, {"ậ", "a\u0323\u0302"}, {"Ở", "O\u031b\u0309"},
		{"ǿ", "ø\u0301"}, {"й", "и\u0306"}, {"Ї", "І\u0308"}, {"ώ", "ω\u0301"}, {"각", "\u1100\u1161\u11a8"}, {"힣", "\u1112\u1175\u11c2"}, {"가", "\u1100\u1161"}, {"ば", "は\u3099"}, {"إ", "ا\u0655"}, {" ", " "},
	}
	rapid.Check(t, func(t *rapid.T) {
		composed, decomposed := "Sam", "sam"
		for _, l := range rapid.SliceOfN(rapid.SampledFrom(letters), 1, 20).Draw(t, "letters") {
			composed, decomposed = composed+l[0], decomposed+l[1]
		}
		if rapid.Bool().Draw(t, "capitals") {
			decomposed = strings.ToUpper(decomposed)
		}
		d := newDesk(t, someTime)
		d.want(d.say("book_appointment", booking(args{"name": composed})), "Booked")
		d.want(d.say("book_appointment", booking(args{"name": decomposed})), "already, with this number.")
		d.want(d.say("cancel_appointment", booking(args{"name": decomposed})), "Canceled")
	})
}

// A caller who only says a number learns nothing of its owner and changes nothing.
func TestANumberIsNoAuthority(t *testing.T) {
	d := newDesk(t, someTime)
	d.want(d.say("book_appointment", booking(args{"service": "HIV test"})), "Booked")
	stranger := booking(args{"name": "Alex Kim"})
	delete(stranger, "service")
	d.want(d.say("my_appointments", args{"phone": "+14155550145", "name": "Alex Kim"}), "There is no appointment to come of that name and number.")
	d.want(d.say("cancel_appointment", stranger), "There is no appointment of that name and number")
	d.want(d.say("my_appointments", args{"phone": "+14155550145"}), "name")
	got := d.say("my_appointments", args{"phone": "+14155550145", "name": "SAM RIVERA"})
	d.want(got, "You have 1 appointment: Monday 2035-07-16 at 09:00.")
	if strings.Contains(got, "HIV") {
		t.Errorf("the caller hears %q: what the visit is for", got)
	}
	if got := d.say("book_appointment", booking(nil)); strings.Contains(got, "HIV") {
		t.Errorf("the caller hears %q: what the visit is for", got)
	}
}

// A refusal is of its moment.
func TestRefusalIsNotRemembered(t *testing.T) {
	d := newDesk(t, someTime)
	d.want(d.say("book_appointment", booking(args{"name": "Alex Kim"})), "Booked")
	d.want(d.sayIn("CA", "book_appointment", booking(nil)), "is already taken")
	d.want(d.say("cancel_appointment", booking(args{"name": "Alex Kim"})), "Canceled")
	d.want(d.sayIn("CA", "book_appointment", booking(nil)), "Booked: a check-up for Sam Rivera")
}

// Every spelling of a number and a time is the same appointment.
func TestSpellings(t *testing.T) {
	slots := []string{"09:00", "09:45", "10:30", "11:15", "12:00", "12:45", "13:30", "14:15", "15:00", "15:45", "16:30"}
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t, someTime)
		slot := rapid.SampledFrom(slots).Draw(t, "slot")
		area, line := rapid.IntRange(200, 999).Draw(t, "area"), rapid.IntRange(2000000, 9999999).Draw(t, "line")
		n := fmt.Sprintf("%d%d", area, line)
		a := booking(args{"phone": spellNumber(t, n), "time": spellTime(t, slot)})
		d.want(d.say("book_appointment", a), "on Monday 2035-07-16 at "+slot+".")
		b := booking(args{"phone": spellNumber(t, n), "time": spellTime(t, slot)})
		d.want(d.say("book_appointment", b), "is booked for Sam Rivera already")
		d.want(d.say("my_appointments", args{"phone": spellNumber(t, n), "name": "Sam Rivera"}), "You have 1 appointment: Monday 2035-07-16 at "+slot)
		d.want(d.say("cancel_appointment", booking(args{"phone": spellNumber(t, n), "time": spellTime(t, slot)})), "Canceled")
		d.want(d.say("my_appointments", args{"phone": spellNumber(t, n), "name": "Sam Rivera"}), "There is no appointment to come of that name and number.")
	})
}

// spellNumber writes a number of ten digits in one of its spellings.
func spellNumber(t *rapid.T, n string) string {
	prefix := rapid.SampledFrom([]string{"", "1", "+1", "001", "0111", "+1 (0)", "tel:+1"}).Draw(t, "prefix")
	gap := rapid.SampledFrom([]string{"", " ", "-", ".", "\u2011", "\u2013", "\u00a0", " - "})
	s := prefix + gap.Draw(t, "gap") + n[:3] + gap.Draw(t, "gap") + n[3:6] + gap.Draw(t, "gap") + n[6:]
	s += rapid.SampledFrom([]string{"", " ext 7", "x123", " ext. 4567"}).Draw(t, "extension")
	return spellWide(t, s)
}

// spellTime writes a time in one of its spellings.
func spellTime(t *rapid.T, slot string) string {
	at, err := time.Parse("15:04", slot)
	if err != nil {
		t.Fatal(err)
	}
	s := at.Format(rapid.SampledFrom([]string{"15:04", "15:04:05", "3:04 PM", "3:04PM", "03:04 pm", "3:04:05 PM", "15.04", "1504", "15h04", "15:04h", "at 15:04"}).Draw(t, "layout"))
	return spellWide(t, strings.TrimPrefix(s, rapid.SampledFrom([]string{"", "0"}).Draw(t, "zero")))
}

// spellWide writes what is full-width on some keyboards.
func spellWide(t *rapid.T, s string) string {
	if !rapid.Bool().Draw(t, "wide") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r - '!' + '！'
		}
		return r
	}, s)
}

// A caller who books, cancels and books again, in one call or in one that is not
// known: what is said is how the calendar is.
func TestChangesOfMind(t *testing.T) {
	booking := args{"date": "2035-07-16", "time": "09:00", "name": "Sam Rivera", "phone": "+14155550144"}
	withService := args{"date": "2035-07-16", "time": "09:00", "name": "Sam Rivera", "phone": "+14155550144", "service": "cleaning"}
	slot := args{"date": "2035-07-16", "time": "09:00", "name": "Sam Rivera", "phone": "+14155550144"}
	mine := args{"name": "Sam Rivera", "phone": "+14155550144"}
	for _, call := range []string{"CA1", ""} {
		d := newDesk(t, "2035-07-01T12:00:00-07:00")
		for i, s := range []struct {
			tool  string
			a     args
			begin string
			have  string
		}{
			{"book_appointment", booking, "Booked: ", "You have 1 appointment"},
			{"book_appointment", booking, "Booked: ", "You have 1 appointment"},
			{"cancel_appointment", slot, "Canceled: ", "There is no appointment to come"},
			{"cancel_appointment", slot, "Canceled: ", "There is no appointment to come"},
			{"book_appointment", booking, "Booked: ", "You have 1 appointment"},
			{"cancel_appointment", slot, "Canceled: ", "There is no appointment to come"},
			{"book_appointment", withService, "Booked: ", "You have 1 appointment"},
			{"cancel_appointment", slot, "Canceled: ", "There is no appointment to come"},
		} {
			if got := d.sayIn(call, s.tool, s.a); !strings.HasPrefix(got, s.begin) {
				t.Errorf("call %q, step %d: %s: %q, want %s…", call, i+1, s.tool, got, s.begin)
			}
			if got := d.sayIn(call, "my_appointments", mine); !strings.HasPrefix(got, s.have) {
				t.Errorf("call %q, step %d: then %q, want %s…", call, i+1, got, s.have)
			}
		}
	}
}
