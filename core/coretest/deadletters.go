package coretest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// errPrivate is a handler's error that names a patient.
var errPrivate = errors.New("sam rivera is not well")

// DeadLetters runs the test of [core.DeadLetters]. open returns an inbox that
// delivers to deliver while the test runs and dead-letters an envelope soon
// after its first failure, the dead letters of that inbox, and a store.
func DeadLetters(t *testing.T, open func(t *testing.T, deliver DeliverFunc) (core.Inbox, core.DeadLetters, records.Store)) {
	var fails atomic.Bool
	fails.Store(true)
	delivered := make(chan core.Envelope, 100)
	in, dead, store := open(t, func(_ context.Context, e core.Envelope) error {
		if fails.Load() {
			return errPrivate
		}
		delivered <- e
		return nil
	})
	ctx := t.Context()
	for _, id := range []string{"one", "two"} {
		e := core.Envelope{ID: id, Received: time.Now().UTC().Truncate(time.Microsecond), Type: event.TypeReport, Call: "CA-" + event.CallID(id), Body: []byte(`{"message":"` + id + `"}`)}
		if err := in.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	byID := map[string]core.DeadLetter{}
	for _, d := range listDeadLetters(t, dead, 2) {
		if len(d.Envelopes) != 1 {
			t.Fatalf("a dead letter holds %d envelopes", len(d.Envelopes))
		}
		if d.Reason == errPrivate.Error() {
			t.Error("the reason holds the text of a handler's error")
		}
		byID[d.Envelopes[0].ID] = d
	}
	getAndDelete(t, dead, byID["one"].ID, byID["two"].ID)
	fails.Store(false)
	redrive(t, in, dead, store, byID["one"].ID, delivered)
}

// listDeadLetters waits until there are want dead letters.
func listDeadLetters(t *testing.T, dead core.DeadLetters, want int) []core.DeadLetter {
	t.Helper()
	var got []core.DeadLetter
	var err error
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got, err = dead.List(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		if len(got) == want {
			return got
		}
	}
	t.Fatalf("%d dead letters, want %d", len(got), want)
	return nil
}

// getAndDelete reads the dead letter one and deletes the dead letter two.
func getAndDelete(t *testing.T, dead core.DeadLetters, one, two string) {
	t.Helper()
	ctx := t.Context()
	if list, err := dead.List(ctx, 1); err != nil || len(list) != 1 {
		t.Errorf("List with limit 1: %d dead letters, %v", len(list), err)
	}
	if _, err := dead.Get(ctx, "unknown"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("Get of an unknown id: %v", err)
	}
	if err := dead.Delete(ctx, "unknown"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("Delete of an unknown id: %v", err)
	}
	found, err := dead.Get(ctx, one)
	if err != nil || string(found.Envelopes[0].Body) != `{"message":"one"}` || found.Envelopes[0].Call != "CA-one" {
		t.Fatalf("Get: %+v, %v", found, err)
	}
	if err := dead.Delete(ctx, two); err != nil {
		t.Fatal(err)
	}
	if err := dead.Delete(ctx, two); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("second Delete: %v", err)
	}
	listDeadLetters(t, dead, 1)
}

// redrive puts the dead letter id back, and finds it delivered, marked and in
// the audit log.
func redrive(t *testing.T, in core.Inbox, dead core.DeadLetters, store records.Store, id string, delivered <-chan core.Envelope) {
	t.Helper()
	ctx := t.Context()
	if _, err := core.Redrive(ctx, store, in, dead, id, "tester"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-delivered:
		if e.ID != "one" || e.RedriveCount != 1 || string(e.Body) != `{"message":"one"}` {
			t.Errorf("delivered after the redrive: %+v", e)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the redriven event was not delivered")
	}
	listDeadLetters(t, dead, 0)
	entries, _, err := calls.ReadAudit(ctx, store, "", 10)
	if err != nil || len(entries) != 1 || entries[0].Action != calls.AuditRedrive || entries[0].Actor != "tester" {
		t.Errorf("audit log: %+v, %v", entries, err)
	}
}
