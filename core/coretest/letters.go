package coretest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// DeadLetters tries the place of an inbox's dead letters. open returns an inbox
// whose deliveries end as deliver says, at the first failure or soon, its place,
// and a store. Everything is delivered while the test runs.
func DeadLetters(t *testing.T, open func(t *testing.T, deliver Deliver) (core.Inbox, core.DeadLetters, records.Store)) {
	broken := make(chan bool, 1)
	broken <- true
	came := make(chan core.Envelope, 100)
	in, dead, store := open(t, func(_ context.Context, e core.Envelope) error {
		b := <-broken
		broken <- b
		if b {
			return errors.New("sam rivera is not well")
		}
		came <- e
		return nil
	})
	ctx := t.Context()
	for _, id := range []string{"one", "two"} {
		e := core.Envelope{ID: id, Received: time.Now().UTC().Truncate(time.Microsecond), Type: event.TypeReport, Call: "CA-" + event.CallID(id), Body: []byte(`{"message":"` + id + `"}`)}
		if err := in.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	list := func(want int) []core.DeadLetter {
		t.Helper()
		var got []core.DeadLetter
		var err error
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if got, err = dead.List(ctx, 100); err != nil {
				t.Fatal(err)
			}
			if len(got) == want {
				return got
			}
		}
		t.Fatalf("%d dead letters, want %d", len(got), want)
		return nil
	}
	byID := map[string]core.DeadLetter{}
	for _, d := range list(2) {
		if len(d.Envelopes) != 1 {
			t.Fatalf("a letter holds %d envelopes", len(d.Envelopes))
		}
		if d.Reason == "sam rivera is not well" {
			t.Error("the reason holds a handler's words")
		}
		byID[d.Envelopes[0].ID] = d
	}
	if one, err := dead.List(ctx, 1); err != nil || len(one) != 1 {
		t.Errorf("a list of one has %d, %v", len(one), err)
	}
	if _, err := dead.Get(ctx, "nobody"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("find nobody: %v", err)
	}
	if err := dead.Delete(ctx, "nobody"); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("drop nobody: %v", err)
	}
	found, err := dead.Get(ctx, byID["one"].ID)
	if err != nil || string(found.Envelopes[0].Body) != `{"message":"one"}` || found.Envelopes[0].Call != "CA-one" {
		t.Fatalf("found %+v, %v", found, err)
	}
	if err := dead.Delete(ctx, byID["two"].ID); err != nil {
		t.Fatal(err)
	}
	if err := dead.Delete(ctx, byID["two"].ID); !errors.Is(err, core.ErrDeadLetterNotFound) {
		t.Errorf("drop twice: %v", err)
	}
	list(1)
	<-broken
	broken <- false
	if _, err := core.Redrive(ctx, store, in, dead, byID["one"].ID, "tester"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-came:
		if e.ID != "one" || e.RedriveCount != 1 || string(e.Body) != `{"message":"one"}` {
			t.Errorf("came back: %+v", e)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the replayed event was not delivered")
	}
	list(0)
	lines, _, err := calls.ReadAudit(ctx, store, "", 10)
	if err != nil || len(lines) != 1 || lines[0].Action != calls.AuditRedrive || lines[0].Actor != "tester" {
		t.Errorf("journal: %+v, %v", lines, err)
	}
}
