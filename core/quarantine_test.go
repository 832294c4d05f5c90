package core_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/callstate"
)

// older stores a body as another version of the program quarantined it.
func older(t *testing.T, b *backend, id, body string, received time.Time) {
	t.Helper()
	err := callstate.PutQuarantined(t.Context(), b.store, calls.QuarantinedBody{ID: id, Received: received, Reason: "not json", TriedBy: "another", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
}

func inQuarantine(t *testing.T, b *backend) (ids []string) {
	t.Helper()
	all, err := calls.ListQuarantine(t.Context(), b.store, "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		ids = append(ids, q.ID)
	}
	return ids
}

// What an older version could not read becomes an event of the time at which it was
// received, once, and the audit log says so.
func TestQuarantineIsReadAfterAnUpgrade(t *testing.T) {
	b := newBackend(t, nil)
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	older(t, b, "emoji", `{"message":{"type":"conversation-update","call":{"id":"`+callID+`","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"great \ud83d"}]}}`, at)
	older(t, b, "large", `{"message":{"type":"hang","call":{"id":"CA2"},"x":"`+strings.Repeat("x", 600<<10)+`"},"a":1,"a":2}`, at)
	older(t, b, "broken", `{"message":{"type":"hang","call":{"id":"CA3"`, at)
	older(t, b, "tool", `{"message":{"type":"tool-calls","call":{"id":"CA4"}}}`, at)
	for range 2 {
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := inQuarantine(t, b); fmt.Sprint(got) != "[broken tool]" {
		t.Errorf("left in quarantine: %v", got)
	}
	es := b.inbox.take()
	if len(es) != 2 {
		t.Fatalf("%d events were accepted, want 2", len(es))
	}
	for _, e := range es {
		if !e.Received.Equal(at) {
			t.Errorf("%s was received at %v, want %v", e.Call, e.Received, at)
		}
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	if got := b.read(callID).Transcript; len(got) != 1 || got[0].Text != "great \ufffd" {
		t.Errorf("transcript %+v", got)
	}
	lines, _, err := calls.ReadAudit(t.Context(), b.store, "", 100)
	if err != nil || len(lines) != 2 || lines[0].Action != calls.AuditRetryQuarantine {
		t.Errorf("audit log %+v, %v", lines, err)
	}
}

// The same program does not try again what it could not read.
func TestQuarantineIsTriedOnce(t *testing.T) {
	b := newBackend(t, nil)
	b.Handle(t.Context(), request("POST", "/events", `{"message":{}}`))
	older(t, b, "broken", `{`, time.Now())
	record := func() (version int64) {
		recs, err := b.store.Get(t.Context(), callstate.QuarantineDir+"/broken")
		if err != nil {
			t.Fatal(err)
		}
		return recs[0].Version
	}
	var tried []int64
	for range 3 {
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		tried = append(tried, record())
	}
	if tried[0] != tried[2] {
		t.Errorf("the record was written again: versions %v", tried)
	}
	all, err := calls.ListQuarantine(t.Context(), b.store, "", 10)
	if err != nil || len(all) != 2 || all[0].TriedBy != all[1].TriedBy {
		t.Errorf("%+v, %v", all, err)
	}
}

// Quarantine is bounded in number and bytes: the oldest go.
func TestQuarantineIsBounded(t *testing.T) {
	b := newBackend(t, nil)
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	for n := range 1010 {
		older(t, b, fmt.Sprintf("%04d", n), fmt.Sprint("x", n), at.Add(time.Duration(n)*time.Second))
	}
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inQuarantine(t, b); len(got) != 1000 || got[0] != "0010" {
		t.Errorf("%d are left, the first is %s", len(got), got[0])
	}
	for n := range 11 {
		older(t, b, fmt.Sprintf("large-%02d", n), fmt.Sprint(n, strings.Repeat("x", 6<<20)), at.Add(time.Hour+time.Duration(n)*time.Second))
	}
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inQuarantine(t, b); len(got) != 10 || got[0] != "large-01" {
		t.Errorf("%d are left: %v", len(got), got)
	}
	for _, r := range b.store.All() {
		if strings.HasPrefix(r.Key, callstate.QuarantineBlobsDir+"/large-00") {
			t.Errorf("%s is left", r.Key)
		}
	}
	if !strings.Contains(b.logs.String(), "quarantine is full") {
		t.Error("the log does not say so")
	}
}

// That somebody was shown a body is in the audit log before they see it; that it was deleted too.
func TestQuarantineIsAudited(t *testing.T) {
	b := newBackend(t, nil)
	older(t, b, "one", `{"broken`, time.Now())
	q, err := calls.ReadQuarantined(t.Context(), b.store, "one", "riley")
	if err != nil || string(q.Body) != `{"broken` {
		t.Errorf("%+v, %v", q, err)
	}
	if err := core.RetryQuarantined(t.Context(), b.store, b.inbox, "one", "riley"); err != core.ErrStillUnreadable {
		t.Errorf("retry: %v", err)
	}
	if err := calls.DeleteQuarantined(t.Context(), b.store, "one", "riley"); err != nil {
		t.Error(err)
	}
	for _, do := range []func() error{
		func() error { return calls.DeleteQuarantined(t.Context(), b.store, "one", "riley") },
		func() error { _, err := calls.ReadQuarantined(t.Context(), b.store, "one", "riley"); return err },
		func() error { return core.RetryQuarantined(t.Context(), b.store, b.inbox, "one", "riley") },
	} {
		if err := do(); err != calls.ErrNotQuarantined {
			t.Errorf("after deletion: %v", err)
		}
	}
	lines, _, err := calls.ReadAudit(t.Context(), b.store, "", 100)
	if text := fmt.Sprint(lines); err != nil || len(lines) != 2 || !strings.Contains(text, calls.AuditViewQuarantine) ||
		!strings.Contains(text, calls.AuditDeleteQuarantine) || strings.Count(text, "riley") != 2 {
		t.Errorf("audit log %+v, %v", lines, err)
	}
	if left := inQuarantine(t, b); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// Secrets are masked in whatever wrapping they came: in every member of a name that
// occurs twice, next to half an emoji, and compressed.
func TestSecretsAreRedactedInAnyWrapping(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprintf(w, `{"message":{"type":"hang","call":{"id":"CA1","x":"%s","controlUrl":"https://control.example.com/4711"}}}`, testSecret)
	_ = w.Close()
	cut := bytes.Clone(packed.Bytes()[:packed.Len()-8])
	for _, body := range []string{
		`{"message":{"type":"hang","call":{"id":"CA1","controlUrl":"https://control.example.com/4711","controlUrl":"https://control.example.com/4712","a":"` + testSecret + `","a":"b"}}}`,
		`{"message":{"type":"hang","call":{"id":"CA1","\u0063ontrolUrl":"https://control.example.com/4711","text":"\ud83d` + testSecret + `\ude00"}}}`,
		"\ufeff" + `{"message":{"type":"hang","call":{"id":"CA1","text":"\xff` + testSecret + `","controlUrl":"https://control.example.com/4711"}}}`,
		`{"message":{"type":"hang","call":{"id":"CA1"}},"secret":"` + testSecret + `","secret":"` + testSecret + `"`, // broken
		packed.String(), string(cut),
	} {
		b := newBackend(t, nil)
		r := request("POST", "/events", body)
		b.Handle(t.Context(), r)
		b.deliver()
		kept := b.logs.String()
		for _, r := range b.store.All() {
			kept += r.Key + string(r.Value)
		}
		if strings.Contains(kept, testSecret) || strings.Contains(kept, "control.example.com") || !strings.Contains(kept, "CA1") {
			t.Errorf("%.60q: kept %s", body, kept)
		}
	}
}
