package inspect_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/inspect"
)

func TestOtherMachinesNeedASecret(t *testing.T) {
	for _, c := range []struct {
		name, addr, secret string
		want               error
	}{
		{"every interface without a secret", "0.0.0.0:0", "", inspect.ErrNoSecret},
		{"no host is every interface", ":0", "", inspect.ErrNoSecret},
		{"a name that is not this machine's", "desk.example.com:0", "", inspect.ErrNoSecret},
		{"a weak secret", "0.0.0.0:0", "password", auth.ErrWeakSecret},
	} {
		page := inspect.New(coretest.NewMemoryStore(), &inspect.Options{Secret: c.secret})
		if err := page.Run(t.Context(), c.addr, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestLogin(t *testing.T) {
	const secret = "9f2c1e77a05b4d3e8c6a1b2d3e4f5a6b"
	d := startBackend(t, func(o *inspect.Options) { o.Secret = secret })
	d.said("CA1", "hello")
	c := newClient(t, d.page)
	for _, path := range []string{"/", "/calls/CA1", "/tools", "/health", "/calls/CA1/events/1", "/requests/x"} {
		if status, body := c.get(path); status != http.StatusSeeOther || strings.Contains(body, "CA1") {
			t.Errorf("%s without the secret: %d", path, status)
		}
	}
	for _, path := range []string{"/live", "/show", "/play", "/health/redrive", "/health/quarantine/show", "/health/quarantine/retry", "/health/quarantine/delete"} {
		if status, _ := c.send(path, url.Values{}); status < 400 {
			t.Errorf("%s without the secret: %d", path, status)
		}
	}
	if status, _ := c.send("/login", url.Values{"secret": {"wrong"}}); status != http.StatusUnauthorized {
		t.Errorf("a wrong secret: %d", status)
	}
	if status, _ := c.send("/login", url.Values{"secret": {secret}}); status != http.StatusSeeOther {
		t.Fatalf("the secret: %d", status)
	}
	c.until("/", "CA1")
	c.send("/logout", url.Values{})
	if status, _ := c.get("/"); status != http.StatusSeeOther {
		t.Errorf("after logging out: %d", status)
	}
}

func TestOtherSitesAreRejected(t *testing.T) {
	d := startBackend(t)
	c := newClient(t, d.page)
	c.get("/")
	if status, _ := c.get("/", "Host", "evil.example.com"); status != http.StatusMisdirectedRequest {
		t.Errorf("another host's name: %d", status)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.com"}} {
		if status, _ := c.send("/play", url.Values{"scenario": {"booking"}}, header...); status != http.StatusForbidden {
			t.Errorf("a form of another page, %v: %d", header, status)
		}
	}
	for _, to := range []string{"//evil.example.com", "https://evil.example.com", "/\\evil.example.com"} {
		req, _ := http.NewRequest("POST", d.page+"/show", strings.NewReader(url.Values{"what": {"CA1"}, "back": {to}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if at := resp.Header.Get("Location"); at != "/" {
			t.Errorf("back to %s leads to %s", to, at)
		}
	}
}

func TestPolicyAllowsNothingInline(t *testing.T) {
	d := startBackend(t)
	d.said("CA1", `<script>alert(1)</script><img src=x onerror=alert(1)>`)
	c := newClient(t, d.page)
	for _, path := range []string{"/", "/calls/CA1", "/tools", "/tools/book_appointment", "/health", "/login", "/nothing"} {
		resp, err := c.Get(d.page + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		_, body := c.get(path)
		for _, bad := range []string{"<script>", " style=", "onclick=", "onerror=alert", "https://"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
}

// What people said, their numbers and names are on no page until a visitor asks
// for them, which is recorded.
func TestMaskedUntilShown(t *testing.T) {
	d := startBackend(t)
	d.status("CA1", "ongoing")
	d.said("CA1", "I am Sam Rivera, 4155550142")
	d.post("/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
	d.post("/events", `{"message":{"type":"end-of-call-report","call":{"id":"CA1","userNumber":"+14155550142","metadata":{"patient":"Rivera","age":41}},`+
		`"customer":{"name":"Sam Rivera","number":"+14155550142"},"analysis":{"summary":"Sam Rivera booked.","structuredData":{"patientName":"Rivera","age":41}}}}`)
	c := newClient(t, d.page)
	call := c.until("/calls/CA1", "book_appointment")
	at := strings.Index(call, "/requests/")
	request := call[at : at+strings.Index(call[at:], `"`)]
	paths := []string{"/", "/calls/CA1", "/calls/CA1/events/1", "/calls/CA1/events/2", "/calls/CA1/events/3", request, "/tools/book_appointment", "/health", "/charts"}
	for _, path := range paths {
		status, body := c.get(path)
		if status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		for _, secret := range []string{"Rivera", "4155550142", "09:00.", "\"41\"", ": 41", "&#34;09:00"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
	if status, _ := c.send("/show", url.Values{"what": {"CA1"}, "back": {"/calls/CA1"}}); status != http.StatusSeeOther {
		t.Fatalf("show: %d", status)
	}
	for _, path := range []string{"/calls/CA1", "/calls/CA1/events/2", request} {
		if _, body := c.get(path); !strings.Contains(body, "Rivera") {
			t.Errorf("%s does not show the text", path)
		}
	}
	other := newClient(t, d.page)
	if _, body := other.get("/calls/CA1"); strings.Contains(body, "Rivera") {
		t.Error("another visitor sees it too")
	}
	if log := d.audit(); len(log) != 1 || log[0].Call != calls.AuditCallRef("CA1") || !strings.Contains(log[0].Actor, "127.0.0.1") {
		t.Errorf("audit log %+v", log)
	}
	if _, body := other.get("/health"); !strings.Contains(body, calls.AuditCallRef("CA1")) || !strings.Contains(body, calls.AuditView) {
		t.Error("the page does not show the audit log")
	}
	d.down.Store(true)
	defer d.down.Store(false)
	if status, _ := other.send("/show", url.Values{"what": {"CA1"}}); status != http.StatusServiceUnavailable {
		t.Errorf("shown although it could not be recorded: %d", status)
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	d := startBackend(t)
	d.said("CA1", "hello")
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	newClient(t, d.page).until("/calls/CA1", "find_open_slots")
	before := len(d.store.All())
	d.inbox.dead = []core.DeadLetter{{ID: "7", Envelopes: []core.Envelope{{ID: "e7", Call: "CA1", Type: event.TypeHang}}}}
	c := newClient(t, serve(t, d.store, inspect.Options{ReadOnly: true, Processor: d.p, Inbox: d.inbox, DeadLetters: d.inbox, Pending: d.inbox.pending, PollInterval: 50 * time.Millisecond,
		Scenarios: []inspect.Scenario{{Name: "booking"}}, Play: func(context.Context, string) error { t.Error("played"); return nil }}))
	body := c.until("/", "CA1")
	if strings.Contains(body, "Play a call") {
		t.Error("a read-only page offers to play")
	}
	c.send("/play", url.Values{"scenario": {"booking"}})
	c.send("/health/redrive", url.Values{"id": {"7"}})
	c.send("/health/sweep", url.Values{})
	c.send("/tools/book_appointment/try", url.Values{"confirm": {"yes"}, "arg-date": {"2035-07-16"}})
	c.send("/show", url.Values{"what": {"CA1"}})
	if _, body := c.get("/calls/CA1"); !strings.Contains(body, "hello") {
		t.Error("showing does not work on a store that is only read")
	}
	if now := len(d.store.All()); now != before || len(d.inbox.dead) != 1 {
		t.Errorf("%d records, before %d; %d dead letters, want 1", now, before, len(d.inbox.dead))
	}
}

func TestDuplicatesAndLateEventsAreMarked(t *testing.T) {
	d := startBackend(t, synthetic)
	long := `{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"one","timestamp":1784044931823},{"messageId":"2","role":"user","text":"two","timestamp":1784044932823}]}}`
	d.post("/events", long)
	d.post("/events", long)
	d.said("CA1", "another")
	d.post("/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
	d.post("/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
	c := newClient(t, d.page)
	c.until("/calls/CA1", "same bytes as before")
	body := c.until("/calls/CA1", `m-duplicate`)
	for _, want := range []string{`m-late`, "no longer in the conversation", "1 duplicate"} {
		if !strings.Contains(body, want) {
			t.Errorf("the call does not say %q", want)
		}
	}
}

// A report that the sender never sent is marked, and the call is complete: it
// has a report, is not live and has no issues.
func TestBackfilledCallHasAReport(t *testing.T) {
	d := startBackend(t)
	d.status("CA1", "ongoing")
	d.status("CA1", "finished")
	err := d.p.Deliver(t.Context(), core.Envelope{ID: "e1", Received: time.Now(), Type: event.TypeReport, Call: "CA1", Backfilled: true,
		Body: []byte(`{"message":{"type":"end-of-call-report","call":{"id":"CA1","status":"finished"},"analysis":{"summary":"Booked."}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, d.page)
	body := c.until("/calls/CA1", `<span class="mark">repaired</span>`)
	if !strings.Contains(body, "m-backfilled") || strings.Contains(body, "There is no report") {
		t.Errorf("the event is not marked, or the call is said to have no report:\n%s", body)
	}
	c.until("/charts", `</i>repaired<span>1</span>`)
	if _, body := c.get("/"); !strings.Contains(body, `id="only-live">Live <span>0</span>`) || strings.Contains(body, "mark warn") {
		t.Errorf("the list has it as live, or with an issue:\n%s", body)
	}
}

// A call that the sweep ended has no report, and every page says so.
func TestCallWithoutAReport(t *testing.T) {
	d := startBackend(t)
	d.status("CA1", "finished")
	d.ahead.Store(int64(100 * time.Hour))
	if err := d.p.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, d.page)
	c.until("/", `<span class="mark warn">no report</span>`)
	if body := c.until("/calls/CA1", "There is no report"); !strings.Contains(body, `<span class="mark warn">no report</span>`) || !strings.Contains(body, "call ended") {
		t.Errorf("the call's page does not say that it has no report:\n%s", body)
	}
	c.until("/charts", `</i>no report<span>1</span>`)
}

func TestStoreErrorIsShown(t *testing.T) {
	d := startBackend(t)
	d.said("CA1", "hello")
	c := newClient(t, d.page)
	c.until("/", "CA1")
	d.down.Store(true)
	c.until("/", "The store cannot be read at the moment")
	if status, _ := c.get("/calls/CA1"); status != http.StatusServiceUnavailable {
		t.Errorf("a call: %d", status)
	}
	d.down.Store(false)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, body := c.get("/"); !strings.Contains(body, "cannot be read") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the error stays on the page")
		}
	}
}
