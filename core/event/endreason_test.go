package event_test

import (
	"testing"

	"github.com/serverurl/serverurl/core/event"
)

func TestHasReport(t *testing.T) {
	for reason, want := range map[event.EndReason]bool{
		"": false, event.EndReasonReport: true, event.EndReasonBackfill: true,
		event.EndReasonReportTimeout: false, event.EndReasonIdleTimeout: false,
	} {
		if got := reason.HasReport(); got != want {
			t.Errorf("%q: got %v, want %v", reason, got, want)
		}
	}
}
