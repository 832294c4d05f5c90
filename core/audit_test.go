package core_test

import (
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
)

func TestAuditFromATime(t *testing.T) {
	s := coretest.NewStore()
	at := time.UnixMilli(1784044931823)
	for i, who := range []string{"first", "second", "third"} {
		if err := core.WriteAudit(t.Context(), s, core.Audit{At: at.Add(time.Duration(i) * time.Millisecond), Who: who, What: core.AuditView}); err != nil {
			t.Fatal(err)
		}
	}
	lines, next, err := core.ReadAudit(t.Context(), s, core.AuditPosition(at.Add(time.Millisecond)), 10)
	if err != nil || next != "" || len(lines) != 2 || lines[0].Who != "second" || lines[1].Who != "third" {
		t.Errorf("%+v, %q, %v; want the second and the third", lines, next, err)
	}
}
