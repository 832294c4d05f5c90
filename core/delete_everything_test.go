package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// canaryName is in everything that is sent of the call.
const canaryName = "Canary Quillfeather"

// fillEveryClass stores something of the call in every class of the key space,
// each by the functions that do so in a backend.
func fillEveryClass(t *testing.T) *backend {
	t.Helper()
	ran := 0
	b, take := observed(t, bookingTool(&ran))
	large := strings.Repeat(canaryName+" ", 2*records.MaxRecordBytes/len(canaryName)) // needs blobs
	b.event(fmt.Sprintf(`{"message":{"type":"status-update","call":{"id":%q,"status":"ringing","userNumber":%q}}}`, callID, canaryName))
	b.event(conversation(0, message(0, canaryName), message(1, large)))
	b.event(conversation(0, message(0, canaryName), message(1, large))) // a duplicate
	b.call("/tools/book?call="+callID, `{"time":"`+canaryName+`"}`)
	b.call("/tools/book", `{"time":"09:30"}`) // without a call
	b.event(report(0, message(0, canaryName)))
	b.deliver()
	if r := b.Handle(t.Context(), request("POST", "/events", `{"message":`+"\x00")); r.Status != 400 {
		t.Fatalf("a body that is not JSON: status %d", r.Status)
	}
	for _, o := range take() {
		var err error
		switch {
		case o.Tool != nil:
			err = calls.RecordToolRequest(t.Context(), b.store, *o.Tool)
		case o.Event.Duplicate:
			err = calls.RecordDuplicate(t.Context(), b.store, *o.Event)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := calls.WriteAudit(t.Context(), b.store, calls.AuditEntry{Actor: "sam", Action: calls.AuditExport, Call: calls.AuditCallRef(callID)}); err != nil {
		t.Fatal(err)
	}
	if err := calls.PlaceHold(t.Context(), b.store, callID); err != nil {
		t.Fatal(err)
	}
	if err := b.AppStore("bookings").Commit(t.Context(), records.Record{Key: "day/1", Value: []byte("app")}); err != nil {
		t.Fatal(err)
	}
	return b
}

// classes returns the keys of the store by class; of those whose key or value
// matches only.
func (b *backend) classes(matches func(string) bool) map[callstate.Class][]string {
	found := map[callstate.Class][]string{}
	for _, r := range b.store.All() {
		if matches(r.Key) || matches(string(r.Value)) {
			class, _ := callstate.ClassOf(r.Key)
			found[class] = append(found[class], r.Key)
		}
	}
	return found
}

func ofTheCall(s string) bool {
	return strings.Contains(s, callID) || strings.Contains(s, canaryName)
}

// Deleting a call leaves nothing of it but its tombstone and lines of the audit
// log, whatever was stored; and other classes are left alone.
func TestDeleteLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fillEveryClass(t)
		before := b.classes(func(string) bool { return true })
		for _, d := range callstate.Directories {
			if d.Class == callstate.ClassTombstone || d.Class == callstate.ClassCursor || d.Class == callstate.ClassInbox {
				continue // written by the deletion, by sweeps, and by inboxes
			}
			if len(before[d.Class]) == 0 {
				t.Errorf("nothing of class %q was stored: the test does not cover it", d.Class)
			}
		}
		for _, d := range callstate.Directories {
			if strings.HasPrefix(d.Path, "calls/ID/") && !slices.ContainsFunc(before[d.Class], func(key string) bool {
				return strings.HasPrefix(key, strings.Replace(d.Path, "ID", callID, 1)+"/")
			}) {
				t.Errorf("nothing was stored in %s: the test does not cover it", d.Path)
			}
		}
		if err := calls.ReleaseHold(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		if err := calls.Delete(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		left := b.classes(ofTheCall)
		want := map[callstate.Class][]string{
			callstate.ClassCall:      {callstate.CallKey(callID)}, // the tombstone
			callstate.ClassTombstone: {callstate.DeletedKey(callID)},
		}
		for class, keys := range left {
			if !slices.Equal(keys, want[class]) {
				t.Errorf("%s: left %q, want %q", class, keys, want[class])
			}
		}
		if value := b.store.All()[slices.IndexFunc(b.store.All(), func(r records.Record) bool { return r.Key == callstate.CallKey(callID) })].Value; strings.Contains(string(value), callID) {
			t.Errorf("the tombstone has more than the fact: %s", value)
		}
		after := b.classes(func(string) bool { return true })
		for _, class := range []callstate.Class{callstate.ClassTool, callstate.ClassQuarantine, callstate.ClassAudit, callstate.ClassApp} {
			if !slices.Equal(after[class], before[class]) {
				t.Errorf("%s: %q, before %q", class, after[class], before[class])
			}
		}
		if len(after[callstate.ClassRequest]) != 1 {
			t.Errorf("%d recorded requests are left, want the one without a call", len(after[callstate.ClassRequest]))
		}
	})
}

// What is recorded after the deletion is not stored; what is recorded during it
// is purged by a later sweep.
func TestNothingIsRecordedOfADeletedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fillEveryClass(t)
		if err := calls.ReleaseHold(t.Context(), b.store, callID); err != nil {
			t.Fatal(err)
		}
		late := calls.ToolRequest{ReceivedAt: time.Now(), Call: callID, Args: []byte(`"` + canaryName + `"`)}
		raced := false
		b.store.FailAfter = func(op string, keys []string) error {
			if op == "Get" && len(keys) == 1 && keys[0] == callstate.CallKey(callID) && !raced {
				raced = true // the call is deleted after the recorder has looked at it
				return calls.Delete(context.Background(), b.store, callID)
			}
			return nil
		}
		if err := calls.RecordToolRequest(t.Context(), b.store, late); err != nil {
			t.Fatal(err)
		}
		if got := b.classes(ofTheCall)[callstate.ClassRequest]; len(got) != 1 {
			t.Fatalf("%q: the race did not happen", got)
		}
		time.Sleep(time.Hour)
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := calls.RecordToolRequest(t.Context(), b.store, late); err != nil {
			t.Fatal(err)
		}
		if err := calls.RecordDuplicate(t.Context(), b.store, calls.EventArrival{Call: callID, Type: event.TypeHang, Envelope: "e"}); err != nil {
			t.Fatal(err)
		}
		left := b.classes(ofTheCall)
		if len(left[callstate.ClassRequest])+len(left[callstate.ClassContent]) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// Tools may be called before the first event of a call, and events may never
// come.
func TestDeleteCallThatHasToolsOnly(t *testing.T) {
	ran := 0
	b := newBackend(t, bookingTool(&ran))
	b.call("/tools/book?call="+callID, `{"time":"`+canaryName+`"}`)
	if err := calls.Delete(t.Context(), b.store, callID); err != nil {
		t.Fatal(err)
	}
	if left := b.classes(ofTheCall); len(left[callstate.ClassContent]) > 0 || len(left) != 2 {
		t.Errorf("left %v, want two tombstones", left)
	}
}

// An export has something of every directory that a deletion deletes.
func TestExportHasEveryClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fillEveryClass(t)
		e, err := calls.Export(t.Context(), b.store, callID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		exported := map[string]string{"log": "events", "blobs": "messages", "tools": "tools", "requests": "requests", "repeats": "duplicates", "early": "call"}
		for _, d := range callstate.Directories {
			name, ok := strings.CutPrefix(d.Path, "calls/ID/")
			if !ok {
				continue
			}
			if field := string(fields[exported[name]]); len(field) < 10 {
				t.Errorf("%s: the export has %s as %q", d.Path, exported[name], field)
			}
		}
		if len(e.Requests) != 1 || !strings.Contains(string(e.Requests[0].Args), canaryName) || len(e.Duplicates) != 1 {
			t.Errorf("%d requests, %d duplicates", len(e.Requests), len(e.Duplicates))
		}
	})
}

// Recorded requests are content: with that of their call, or by themselves.
func TestRetentionOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		ran := 0
		b := newBackend(t, bookingTool(&ran), func(on *core.Platform) { on.Retention = calls.Retention{Content: 7 * day} })
		b.event(report(0, message(0, canaryName)))
		b.deliver()
		for _, id := range []event.CallID{callID, ""} {
			if err := calls.RecordToolRequest(t.Context(), b.store, calls.ToolRequest{ReceivedAt: time.Now(), Call: id, Result: canaryName}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{6 * day, 2}, {8 * day, 0}} {
			time.Sleep(c.after - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			if err := b.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := b.classes(ofTheCall)[callstate.ClassRequest]; len(got) != c.want {
				t.Errorf("after %v: %q, want %d", c.after, got, c.want)
			}
		}
	})
}
