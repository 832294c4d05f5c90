package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// Traps that only several events of a call show (docs/events.md#traps); the
// others are the rows of event_test.go.

// Row 10: a conversation-update may say an older time than the one before it.
// The one with more messages counts.
func TestRow10TimeOfTheEventDoesNotOrder(t *testing.T) {
	long, short := conversation(-60_000, messages(0, 4)...), conversation(60_000, messages(0, 2)...)
	for _, events := range [][]string{{long, short}, {short, long}} {
		b := newBackend(t, func(*core.Processor) {})
		for _, e := range events {
			b.event(e)
			b.deliver()
		}
		equal(t, "transcript", texts(b.read(callID).Transcript), []string{"line 0", "line 1", "line 2", "line 3"})
	}
}

// Row 11: the start is set again when the call is answered, and the last one
// counts in whatever order the events come.
func TestRow11LastStartCounts(t *testing.T) {
	started := func(status, at string, sent int) string {
		return fmt.Sprintf(`{"message":{"timestamp":%d,"type":"status-update","call":{"id":%q,"status":%q,"startAt":%q}}}`, sent, callID, status, at)
	}
	queued := started("queued", "2026-07-14T16:02:11.418Z", 1784044931823)
	ongoing := started("ongoing", "2026-07-14T16:02:11.854Z", 1784044931866)
	for _, events := range [][]string{{queued, ongoing}, {ongoing, queued}} {
		b := newBackend(t, func(*core.Processor) {})
		for _, e := range events {
			b.event(e)
			b.deliver()
		}
		equal(t, "start", []time.Time{b.read(callID).Info.StartedAt}, []time.Time{time.Date(2026, 7, 14, 16, 2, 11, 854e6, time.UTC)})
	}
}

func ExampleMessage_FromAssistant() {
	for _, m := range []event.Message{{Role: "user", Text: "Tuesday, please."}, {Role: "bot", Text: "At nine?"}} {
		who := "caller"
		if m.FromAssistant() {
			who = "assistant"
		}
		fmt.Printf("%s: %s\n", who, m.Text)
	}
	// Output:
	// caller: Tuesday, please.
	// assistant: At nine?
}

func ExampleStatus_Terminal() {
	for _, s := range []event.Status{event.StatusOngoing, event.StatusForwarded, event.StatusFinished, event.StatusFailed} {
		fmt.Println(s, s.Terminal())
	}
	// Output:
	// ongoing false
	// forwarded false
	// finished true
	// failed true
}

func ExampleCallInfo_EndedBy() {
	info := event.CallInfo{EndTrigger: "bot", DurationMS: 52648}
	fmt.Println(info.EndedBy(), info.Duration())
	// Output: assistant 52.648s
}

func ExampleCost_Duration() {
	fmt.Println(event.Cost{Seconds: 52.64, Total: 0.052891}.Duration())
	// Output: 52.64s
}
