package core_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"pgregory.net/rapid"
)

// An utterance is a message as the test draws it: id n, one of the texts that the
// sender gave it in turn.
func utterance(n int, text string, vapi bool) string {
	if vapi {
		return fmt.Sprintf(`{"role":"bot","message":%q,"time":%d,"secondsFromStart":%d}`, fmt.Sprint(n, " ", text), 1784044932000+n*1000, n)
	}
	return fmt.Sprintf(`{"messageId":"m%d","role":"user","text":%q,"timestamp":%d}`, n, fmt.Sprint(n, " ", text), 1784044932000+n*1000)
}

// drawEvent draws an event that says something of the call. It repeats or
// contradicts others: in its words, its time, its objects.
func drawEvent(t *rapid.T, i int, vapi, report bool) (e core.Envelope, lines []string, sent int) {
	var ms []string
	for n := range rapid.IntRange(1, 4).Draw(t, "messages") {
		text := rapid.SampledFrom([]string{"nine", "nine thirty", "nine thirty please"}).Draw(t, "text")
		ms, lines = append(ms, utterance(n, text, vapi)), append(lines, fmt.Sprint(n, " ", text))
	}
	sent = rapid.IntRange(0, 2).Draw(t, "sent")
	typ := "conversation-update"
	if report {
		typ = "end-of-call-report"
	}
	// The received time is another for each event: it decides last.
	e = core.Envelope{ID: fmt.Sprint("e", i), Call: callID, Received: time.UnixMilli(1784045000000 + int64(i)).UTC()}
	e.Body = fmt.Appendf(nil, `{"message":{"timestamp":%d,"type":%q,"call":{"id":%q,"status":%q,"teamId":"%d","metadata":{"n":%d}},"assistant":{"name":%q},"analysis":{"summary":"%d"},"messages":[%s]}}`,
		1784044932000+sent, typ, callID, rapid.SampledFrom([]string{"queued", "ongoing", "forwarded"}).Draw(t, "status"),
		rapid.IntRange(0, 3).Draw(t, "team"), rapid.IntRange(0, 3).Draw(t, "metadata"), rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "assistant"),
		rapid.IntRange(0, 3).Draw(t, "summary"), strings.Join(ms, ","))
	return e, lines, sent
}

// Any order of the same events, some of them delivered twice, gives the same
// record, and what the report says counts, whatever an update said.
func TestAnyOrderGivesOneRecord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		vapi := rapid.Bool().Draw(rt, "vapi")
		var es []core.Envelope
		var want []string
		latest := -1
		bodies := map[string]bool{}
		for i := range rapid.IntRange(2, 6).Draw(rt, "events") {
			report := rapid.IntRange(0, 2).Draw(rt, "report") == 0
			e, lines, sent := drawEvent(rt, i, vapi, report)
			if bodies[string(e.Body)] { // the same bytes are a duplicate
				continue
			}
			bodies[string(e.Body)] = true
			es = append(es, e)
			if report && sent >= latest { // es is in the order of receipt
				want, latest = lines, sent
			}
		}
		var first calls.Call
		for n := range 4 {
			order := rapid.Permutation(es).Draw(rt, "order")
			order = append(order, order[0]) // again
			c := recordOf(t, order)
			if want != nil && !slices.Equal(texts(c.Transcript), want) {
				rt.Errorf("transcript %q, and the report says %q", texts(c.Transcript), want)
			}
			if n == 0 {
				first = c
			}
			if !reflect.DeepEqual(c, first) {
				rt.Errorf("one order gives\n%+v\nanother\n%+v", first, c)
			}
		}
	})
}

// recordOf returns what is stored of the call after deliveries in an order,
// without what only the arrival says.
func recordOf(t *testing.T, order []core.Envelope) calls.Call {
	b := newBackend(t, nil)
	for _, e := range order {
		if err := b.Deliver(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	c := b.read(callID)
	c.FirstSeen, c.Events = time.Time{}, nil
	return c
}

// The last text counts, in either order of arrival.
func TestTheLaterWordCounts(t *testing.T) {
	says := func(typ string, sent int, text string) string {
		at := fmt.Sprintf(`"timestamp":%d,`, 1784044932000+sent)
		if sent < 0 {
			at = ""
		}
		return fmt.Sprintf(`{"message":{%s"type":%q,"call":{"id":%q},"messages":[%s]}}`, at, typ, callID, message(0, text))
	}
	const update, report = "conversation-update", "end-of-call-report"
	for _, c := range []struct {
		name   string
		events []string // in the order of receipt
		want   string
	}{
		{"cut short in the report", []string{says(update, 0, "nine thirty, please"), says(report, 0, "nine thirty")}, "nine thirty"},
		{"cut short in a report that was sent before", []string{says(update, 9, "nine thirty, please"), says(report, 0, "nine thirty")}, "nine thirty"},
		{"a report that came first", []string{says(report, 0, "nine thirty"), says(update, 9, "nine thirty, please")}, "nine thirty"},
		{"two updates, by their time", []string{says(update, 9, "nine thirty"), says(update, 0, "nine")}, "nine thirty"},
		{"two updates of one time, by their receipt", []string{says(update, 0, "nine"), says(update, 0, "nine thirty")}, "nine thirty"},
		{"and the other way round", []string{says(update, 0, "nine thirty"), says(update, 0, "nine")}, "nine"},
		{"two updates without a time", []string{says(update, -1, "nine"), says(update, -1, "nine thirty")}, "nine thirty"},
		{"two reports", []string{says(report, 9, "ten"), says(report, 0, "nine"), says(update, 99, "eleven")}, "ten"},
	} {
		for _, backwards := range []bool{false, true} {
			var order []core.Envelope
			for i, body := range c.events {
				order = append(order, core.Envelope{ID: fmt.Sprint(i), Call: callID, Received: time.UnixMilli(1784045000000 + int64(i)), Body: []byte(body)})
			}
			if backwards {
				slices.Reverse(order)
			}
			if got := texts(recordOf(t, order).Transcript); !slices.Equal(got, []string{c.want}) {
				t.Errorf("%s, backwards %v: %q, want %q", c.name, backwards, got, c.want)
			}
		}
	}
}

// What was backfilled counts less than what was sent, and more than an update.
func TestBackfilledReportCountsLess(t *testing.T) {
	update, backfilled, sent := conversation(9000, message(0, "update")), report(9000, message(0, "backfilled")), report(0, message(0, "sent"))
	for _, c := range []struct {
		order []string
		want  string
	}{
		{[]string{update, backfilled}, "backfilled"}, {[]string{backfilled, update}, "backfilled"},
		{[]string{update, backfilled, sent}, "sent"}, {[]string{backfilled, sent, update}, "sent"}, {[]string{sent, backfilled, update}, "sent"},
	} {
		var order []core.Envelope
		for i, body := range c.order {
			order = append(order, core.Envelope{ID: fmt.Sprint(i), Call: callID, Received: time.UnixMilli(1784045000000 + int64(i)), Body: []byte(body), Backfilled: body == backfilled})
		}
		if got := recordOf(t, order); !slices.Equal(texts(got.Transcript), []string{c.want}) {
			t.Errorf("transcript %q, want %q", texts(got.Transcript), c.want)
		}
	}
}

// A text that is said twice without an id is two messages, for handlers too.
func TestTheSameWordTwice(t *testing.T) {
	yes := `{"role":"user","message":"Yes.","time":%d}`
	first, second := fmt.Sprintf(yes, 1784044932000), fmt.Sprintf(yes, 1784044939000)
	other := `{"role":"bot","message":%q,"time":1784044935000}`
	var h recorder
	b := newBackend(t, h.listen)
	for i, ms := range [][]string{{first}, {first, fmt.Sprintf(other, "At nine or"), second}, {first, fmt.Sprintf(other, "At nine?"), second}} {
		b.event(conversation(i, ms...))
		b.deliver()
	}
	equal(t, "transcript", texts(b.read(callID).Transcript), []string{"Yes.", "At nine?", "Yes."})
	equal(t, "messages", h.messages, []string{"Yes.", "At nine or", "Yes.", "At nine?"})
}

// The events of a late update are stored as they were sent.
func TestLateUpdateIsStoredAsSent(t *testing.T) {
	b := newBackend(t, nil)
	late := conversation(0, message(0, "line 0"), message(1, "line 1 was inter"))
	for _, body := range []string{report(0, messages(0, 3)...), late} {
		b.event(body)
		b.deliver()
	}
	var got []string
	for e, err := range calls.Events(t.Context(), b.store, callID) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Body))
	}
	if len(got) != 2 || got[1] != late {
		t.Errorf("stored as %s, sent as %s", got[len(got)-1], late)
	}
}

// Vapi's conversations are read: the text is under message, roles are bot, user
// and what nobody said.
func TestVapiConversation(t *testing.T) {
	line := func(role, text string, at int) string {
		return fmt.Sprintf(`{"role":%q,"message":%q,"time":%d,"endTime":%d,"secondsFromStart":%d}`, role, text, 1784044932000+at, 1784044933000+at, at/1000)
	}
	system, bot := line("system", "You are a front desk.", 0), line("bot", "Bright Smile Dental, how can I help?", 1000)
	asked, changed := line("user", "A cleaning on Monday", 4000), line("user", "A cleaning on Monday at nine.", 4000)
	called := `{"role":"tool_calls","toolCalls":[{"id":"t1","type":"function","function":{"name":"find_open_slots","arguments":"{}"}}],"message":"","time":1784044937000}`
	var h recorder
	b := newBackend(t, h.listen)
	for _, e := range []string{
		conversation(100, system, bot), conversation(200, system, bot, asked), conversation(300, system, bot, changed), conversation(400, system, bot, changed, called),
		strings.Replace(strings.Replace(report(0, system, bot, changed, called), `"messages":`, `"artifact":{"transcript":"","messages":`, 1), `],"analysis"`, `]},"analysis"`, 1),
	} {
		b.event(e)
		b.deliver()
	}
	c := b.read(callID)
	var got []string
	for _, m := range c.Transcript {
		if m.Spoken() {
			got = append(got, fmt.Sprint(m.FromAssistant(), " ", m.Text, " ", m.Time.UnixMilli()))
		}
	}
	equal(t, "transcript", got, []string{"true Bright Smile Dental, how can I help? 1784044933000", "false A cleaning on Monday at nine. 1784044936000"})
	equal(t, "superseded", texts(c.Superseded), []string{"A cleaning on Monday"})
	if c.MessageCount != 4 || len(c.Events) != 5 || len(c.Report) == 0 {
		t.Errorf("%d messages, %d events, report %s", c.MessageCount, len(c.Events), c.Report)
	}
	if !slices.Contains(h.messages, "A cleaning on Monday at nine.") || len(h.messages) != 5 {
		t.Errorf("handlers got %q", h.messages)
	}
}

// A leg of a transfer that fails does not fail the call.
func TestFailedLegOfATransfer(t *testing.T) {
	b := newBackend(t, nil)
	leg := strings.Replace(status("ongoing", 100), `"status":"ongoing"`, `"status":"ongoing","phoneCallStatus":"no-answer"`, 1)
	for _, e := range []string{status("ongoing", 0), leg, conversation(200, messages(0, 2)...), status("finished", 300), report(0, messages(0, 2)...)} {
		b.event(e)
		b.deliver()
	}
	if c := b.read(callID); c.Status != "finished" || c.NeedsAttention() {
		t.Errorf("status %q, needs attention: %v", c.Status, c.NeedsAttention())
	}
}
