package core_test

import (
	"testing"

	"github.com/serverurl/serverurl/core"
)

func TestEndReasonsWithAReport(t *testing.T) {
	for reason, want := range map[core.EndReason]bool{"": false, core.EndReported: true, core.EndRepaired: true, core.EndNoReport: false, core.EndSilent: false} {
		if got := reason.HasReport(); got != want {
			t.Errorf("%q has a report: %v, want %v", reason, got, want)
		}
	}
}
