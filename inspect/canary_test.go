package inspect_test

import (
	"fmt"
	"strings"
	"testing"
)

// One invented value for each class of identifier that the HIPAA Safe Harbor
// lists, a number as it is spoken, and secrets that a payload echoes.
var canaries = []string{
	"Samantha Canaryvera", "77 Canary Row", "1957-03-09", "+14155550177", "+14155550178", "canary@patients.test", "078-05-1120", "MRN-CANARY-1",
	"PLAN-CANARY-2", "ACCT-CANARY-3", "LIC-CANARY-4", "CANARY-PLATE-5", "DEVICE-CANARY-6", "https://canary.patients.test", "203.0.113.177",
	"voiceprint-canary-8", "photo-canary-9.jpg", "loyalty-canary-10", "four one five canary",
	"canary-server-secret-0001", "canary-header-0002", "control.canary.test",
}

// None of them is on a page until a visitor asks for the text.
func TestCanariesAreOnNoPage(t *testing.T) {
	d := startBackend(t)
	text := strings.Join(canaries[:19], ". ")
	d.post("/events", fmt.Sprintf(`{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing","controlUrl":"https://control.canary.test/abc","customer":{"name":%q,"number":%q}},`+
		`"assistant":{"server":{"secret":"canary-server-secret-0001","headers":{"authorization":"Bearer canary-header-0002"}}},"messages":[{"messageId":"1","role":"user","text":%q}]}}`, canaries[0], canaries[3], text))
	d.post("/tools/book_appointment?call=CA1", fmt.Sprintf(`{"date":"2035-07-16","time":"09:00","name":%q,"phone":%q}`, text, canaries[3]))
	d.post("/tools/book_appointment?call=CA1", fmt.Sprintf(`%q`, text))
	d.post("/events", fmt.Sprintf(`{"message":{"type":"error","call":{"id":"CA1"},"error":%q}}`, text))
	d.post("/events", fmt.Sprintf(`{"message":{"type":"end-of-call-report","call":{"id":"CA1"},"analysis":{"summary":%q,"structuredData":{%q:%q}}}}`, text, "note", text))
	d.post("/events", `{"message":`+text) // is quarantined
	c := newClient(t, d.page)
	call := c.until("/calls/CA1", "book_appointment")
	at := strings.Index(call, "/requests/")
	if at < 0 {
		t.Fatal("the page of the call has no request")
	}
	for _, path := range []string{"/", "/calls/CA1", "/calls/CA1/events/1", "/calls/CA1/events/2", "/calls/CA1/events/3", call[at : at+strings.Index(call[at:], `"`)],
		"/tools/book_appointment", "/health", "/charts"} {
		status, body := c.get(path)
		if status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		for _, canary := range canaries {
			if strings.Contains(body, canary) {
				t.Errorf("%s shows %q", path, canary)
			}
		}
	}
}
