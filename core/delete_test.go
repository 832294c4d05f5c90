package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// left returns the keys of records that contain the call's id or its messages.
func (b *backend) left(id string) []string {
	var keys []string
	for _, r := range b.store.All() {
		if strings.Contains(r.Key, id) || strings.Contains(string(r.Value), id) || strings.Contains(string(r.Value), "line 0") {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

type bookingArgs struct {
	Time string `json:"time"`
}

func bookingTool(ran *int) func(p *core.Processor) {
	return func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book", Description: "Book."}, func(context.Context, bookingArgs) (string, error) {
			*ran++
			return fmt.Sprintf("Booked %d.", *ran), nil
		})
	}
}

// A deleted call has no events, transcript or tools. A late event does not bring it
// back, and no tool runs for it.
func TestDeleteCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran, tool := 0, "/tools/book?call="+callID
		b := newBackend(t, bookingTool(&ran))
		if err := calls.Delete(t.Context(), b.store, callID); !errors.Is(err, callstate.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		b.event(conversation(0, messages(0, 30)...))
		b.event(strings.ReplaceAll(conversation(0, messages(0, 2)...), callID, "CA-another"))
		b.call(tool, `{"time":"09:30"}`)
		b.event(report(0, messages(0, 30)...))
		b.deliver()
		if err := calls.PlaceHold(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		if err := calls.Delete(t.Context(), b.store, callID); !errors.Is(err, callstate.ErrOnHold) {
			t.Errorf("held: %v", err)
		}
		if err := calls.ReleaseHold(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		b.event(report(5)) // waits in the inbox
		for range 2 {
			if err := calls.Delete(t.Context(), b.store, callID); err != nil {
				t.Fatal(err)
			}
		}
		b.deliver()
		want := []string{"calls/" + callID, "gone/" + callID}
		check := func(what string) {
			t.Helper()
			got := slices.DeleteFunc(b.left(callID), func(k string) bool { return strings.Contains(k, "CA-another") })
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: left %q, want %q", what, got, want)
			}
		}
		check("deleted")
		if _, err := calls.Read(t.Context(), b.store, callID); !errors.Is(err, callstate.ErrNotFound) {
			t.Errorf("it can be read: %v", err)
		}
		if calls, _, err := calls.List(t.Context(), b.store, "", 10); err != nil || len(calls) != 1 || calls[0].ID != "CA-another" {
			t.Errorf("list: %v %v", calls, err)
		}
		time.Sleep(2 * time.Minute)
		b.call(tool, `{"time":"09:30"}`)
		if ran != 1 {
			t.Errorf("the tool ran %d times", ran)
		}
		want = want[:1]
		time.Sleep(time.Hour)
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("swept")
		time.Sleep(36 * 24 * time.Hour)
		want = nil
		check("after 36 days")
	})
}

// A deletion that is cut off anywhere is completed by the next one.
func TestDeleteCallResumes(t *testing.T) {
	for n := 0; ; n++ {
		b := newBackend(t, nil)
		b.event(report(0, messages(0, 30)...))
		b.deliver()
		cut := &cutStore{Store: b.store, left: n}
		err := calls.Delete(t.Context(), cut, callID)
		if err := calls.Delete(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		if got := b.left(callID); len(got) != 2 {
			t.Errorf("cut off at commit %d: left %q", n, got)
		}
		if err == nil {
			if n < 2 {
				t.Errorf("only %d commits", n)
			}
			return
		}
	}
}

type cutStore struct {
	records.Store
	left int
}

func (c *cutStore) Commit(ctx context.Context, rs ...records.Record) error {
	if c.left--; c.left < 0 {
		return errors.New("down")
	}
	return c.Store.Commit(ctx, rs...)
}

func TestExportCall(t *testing.T) {
	ran := 0
	b := newBackend(t, bookingTool(&ran))
	b.call("/tools/book?call="+callID, `{"time":"09:30"}`)
	b.event(conversation(0, messages(0, 3)...))
	b.event(report(0, messages(0, 4)...))
	b.deliver()
	if err := calls.WriteAudit(t.Context(), b.store, calls.AuditEntry{Actor: "sam", Action: calls.AuditExport, Call: calls.AuditCallRef(callID)}); err != nil {
		t.Fatal(err)
	}
	e, err := calls.Export(t.Context(), b.store, callID)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Messages) != 4 || len(e.Events) != 2 || len(e.Events[0].Body) == 0 || len(e.Tools) != 1 || len(e.Audit) != 1 || e.Report == nil {
		t.Errorf("export: %d messages, %d events, %d tools, %d lines of the audit log", len(e.Messages), len(e.Events), len(e.Tools), len(e.Audit))
	}
	if strings.Contains(e.Audit[0].Call, callID) {
		t.Error("the audit log contains the id")
	}
}

// Each class has its own retention; calls in progress or on hold stay.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		keep, err := calls.ParseRetention("content=30d, calls=90d, quarantine=10d, audit=1y")
		if err != nil {
			t.Fatal(err)
		}
		b := newBackend(t, nil, func(on *core.Platform) { on.Retention = keep })
		body := func(id string) string { return strings.ReplaceAll(report(0, messages(0, 2)...), callID, id) }
		for n := range 120 {
			b.event(body(fmt.Sprintf("CA-old-%d", n)))
		}
		b.event(body("CA-held"))
		b.event(strings.ReplaceAll(status("ongoing", 0), callID, "CA-going"))
		b.deliver()
		if err := calls.PlaceHold(t.Context(), b.store, "CA-held"); err != nil {
			t.Fatal(err)
		}
		_ = b.Handle(t.Context(), request("POST", "/events", `{"message":{"no":"type"}}`))
		if err := calls.WriteAudit(t.Context(), b.store, calls.AuditEntry{Actor: "sam", Action: calls.AuditHold}); err != nil {
			t.Fatal(err)
		}
		count := func(prefix string) (n int) {
			for _, r := range b.store.All() {
				if strings.HasPrefix(r.Key, prefix) && !strings.Contains(string(r.Value), `"gone":true`) {
					n++
				}
			}
			return n
		}
		logs := func() (n int) {
			for _, r := range b.store.All() {
				if strings.Contains(r.Key, "/log/") {
					n++
				}
			}
			return n
		}
		for _, c := range []struct {
			after                    time.Duration
			calls, logs, quar, lines int
		}{
			{9 * day, 122, 123, 2, 1}, // a quarantined body is two records; the call in progress has ended by its idle timeout
			{11 * day, 122, 123, 0, 1},
			{31 * day, 122, 1, 0, 1},
			{91 * day, 1, 1, 0, 1},
			{366 * day, 1, 1, 0, 0},
		} {
			time.Sleep(c.after - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			for range 4 {
				if err := b.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
			}
			found := 0
			all, _, err := calls.List(t.Context(), b.store, "", 1000)
			if err != nil {
				t.Fatal(err)
			}
			found = len(all)
			if found != c.calls || logs() != c.logs || count("quarantine/") != c.quar || count("audit/") != c.lines {
				t.Errorf("after %v: %d calls, %d log lines, %d quarantined, %d lines of the audit log; want %+v", c.after, found, logs(), count("quarantine/"), count("audit/"), c)
			}
		}
		if got := b.read("CA-held"); len(got.Transcript) != 2 {
			t.Errorf("the held call has %d messages", len(got.Transcript))
		}
	})
}

func TestParseRetention(t *testing.T) {
	for _, bad := range []string{"bodies=3d", "content", "content=", "content=3", "content=-3d", "content=3w", "content=90d,calls=30d", "content=d", "audit=600y"} {
		if _, err := calls.ParseRetention(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if r, err := calls.ParseRetention(""); err != nil || r != (calls.Retention{}) {
		t.Errorf("nothing: %+v, %v", r, err)
	}
}

// A fakeDeadLetters is a dead-letter queue in memory.
type fakeDeadLetters struct{ letters []core.DeadLetter }

func (d *fakeDeadLetters) List(context.Context, int) ([]core.DeadLetter, error) {
	return d.letters, nil
}

func (d *fakeDeadLetters) Get(_ context.Context, id string) (core.DeadLetter, error) {
	for _, l := range d.letters {
		if l.ID == id {
			return l, nil
		}
	}
	return core.DeadLetter{}, core.ErrDeadLetterNotFound
}

func (d *fakeDeadLetters) Delete(_ context.Context, id string) error {
	n := len(d.letters)
	d.letters = slices.DeleteFunc(d.letters, func(l core.DeadLetter) bool { return l.ID == id })
	if n == len(d.letters) {
		return core.ErrDeadLetterNotFound
	}
	return nil
}

// A redriven event is marked and merged once; it runs the handlers that have not
// succeeded, and no tool.
func TestRedrive(t *testing.T) {
	ran, oks, broken := 0, 0, true
	b := newBackend(t, func(p *core.Processor) {
		bookingTool(&ran)(p)
		p.OnReport(func(context.Context, core.Report) error { oks++; return nil })
		p.OnReport(func(_ context.Context, r core.Report) error {
			if broken {
				return errors.New("down")
			}
			if r.RedriveCount != 1 {
				t.Errorf("the handler sees %d redrives", r.RedriveCount)
			}
			return nil
		})
	})
	b.call("/tools/book?call="+callID, `{"time":"09:30"}`)
	b.event(report(0, messages(0, 2)...))
	es := b.inbox.take()
	if err := b.Deliver(t.Context(), es[0]); !errors.Is(err, core.ErrHandlerFailed) {
		t.Fatal(err)
	}
	dead := &fakeDeadLetters{[]core.DeadLetter{{ID: "7", Envelopes: es}, {ID: "8"}}}
	broken = false
	if _, err := core.Redrive(t.Context(), b.store, b.inbox, dead, "9", "sam"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := core.Redrive(t.Context(), b.store, b.inbox, dead, "8", "sam"); !errors.Is(err, core.ErrUndecodable) {
		t.Errorf("unreadable: %v", err)
	}
	if _, err := core.Redrive(t.Context(), b.store, b.inbox, dead, "7", "sam"); err != nil {
		t.Fatal(err)
	}
	b.deliver()
	c := b.read(callID)
	if ran != 1 || oks != 1 || c.PendingHandlers != 0 || len(c.Events) != 1 || len(dead.letters) != 1 {
		t.Errorf("tool ran %d, done handler ran %d, %d pending, %d events, %d dead", ran, oks, c.PendingHandlers, len(c.Events), len(dead.letters))
	}
	lines, _, err := calls.ReadAudit(t.Context(), b.store, "", 10)
	if err != nil || len(lines) != 1 || lines[0].Actor != "sam" || lines[0].Action != calls.AuditRedrive || lines[0].Call != calls.AuditCallRef(callID) {
		t.Errorf("audit log: %+v, %v", lines, err)
	}
}
