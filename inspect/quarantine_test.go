package inspect_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/internal/callstate"
)

// Quarantine can be shown, retried and deleted on the page, and each is in the audit
// log; a read-only page changes nothing.
func TestQuarantinePage(t *testing.T) {
	d := startBackend(t)
	d.post("/events", `{"message": Sam <b>Rivera</b>`)
	again := calls.QuarantinedBody{ID: "again", Received: time.Now(), Reason: "not json", TriedBy: "another", Body: []byte(`{"message":{"type":"hang","call":{"id":"CA-again"},"text":"\ud83d"}}`)}
	if err := callstate.PutQuarantined(t.Context(), d.store, again); err != nil {
		t.Fatal(err)
	}
	broken := ""
	all, err := calls.ListQuarantine(t.Context(), d.store, "", 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, q := range all {
		if q.ID != "again" {
			broken = q.ID
		}
	}
	readOnly := newClient(t, serve(t, d.store, inspect.Options{ReadOnly: true, Inbox: d.inbox, DeadLetters: d.inbox, Pending: d.inbox.pending}))
	for _, path := range []string{"show", "retry", "delete"} {
		if _, body := readOnly.send("/health/quarantine/"+path, url.Values{"id": {broken}}); strings.Contains(body, "Rivera") {
			t.Errorf("a read-only page does %s", path)
		}
	}
	if _, body := readOnly.get("/health"); strings.Contains(body, "/health/quarantine/") || !strings.Contains(body, broken) || strings.Contains(body, "Rivera") {
		t.Error("a read-only page offers to change quarantine, or does not list it")
	}

	c := newClient(t, d.page)
	c.until("/health", broken)
	if _, body := c.send("/health/quarantine/show", url.Values{"id": {broken}}); !strings.Contains(body, "Sam &lt;b&gt;Rivera") || !strings.Contains(body, "not json") {
		t.Errorf("shown %s", body)
	}
	c.send("/health/quarantine/retry", url.Values{"id": {broken}})
	c.send("/health/quarantine/retry", url.Values{"id": {"again"}})
	c.until("/", "CA-again")
	c.send("/health/quarantine/delete", url.Values{"id": {broken}})
	if all, err := calls.ListQuarantine(t.Context(), d.store, "", 10); err != nil || len(all) != 0 {
		t.Errorf("left %+v, %v", all, err)
	}
	did := ""
	for _, a := range d.audit() {
		did += a.Action + ";"
	}
	for _, want := range []string{calls.AuditViewQuarantine, calls.AuditRetryQuarantine, calls.AuditDeleteQuarantine} {
		if strings.Count(did, want) != 1 {
			t.Errorf("audit log %s, want one %q", did, want)
		}
	}
}
