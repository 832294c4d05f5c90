package calls_test

import (
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
)

func TestAuditPosition(t *testing.T) {
	s := coretest.NewMemoryStore()
	at := time.UnixMilli(1784044931823)
	for i, actor := range []string{"first", "second", "third"} {
		if err := calls.WriteAudit(t.Context(), s, calls.AuditEntry{At: at.Add(time.Duration(i) * time.Millisecond), Actor: actor, Action: calls.AuditView}); err != nil {
			t.Fatal(err)
		}
	}
	entries, next, err := calls.ReadAudit(t.Context(), s, calls.AuditPosition(at.Add(time.Millisecond)), 10)
	if err != nil || next != "" || len(entries) != 2 || entries[0].Actor != "second" || entries[1].Actor != "third" {
		t.Errorf("%+v, %q, %v; want the second and the third", entries, next, err)
	}
}
