package envelope_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/envelope"
)

// A log says which event it was, and nothing that its sender has made up.
func TestLogFailure(t *testing.T) {
	tag := func(event.CallID) string { return "0f4b83a1c2d9" }
	stale := errors.New("stale")
	for want, err := range map[string]error{
		"[type hang tenant north call 0f4b83a1c2d9]": errors.Join(nil, fmt.Errorf("x: %w", envelope.Failed(core.Envelope{Type: event.TypeHang, Tenant: "north", Call: "north/CA1"}, stale))),
		"[type other]": envelope.Failed(core.Envelope{Type: "Sam Rivera"}, stale),
		"[]":           stale,
	} {
		if got := fmt.Sprint(envelope.LogFailure(err, tag)); got != want || !errors.Is(err, stale) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if envelope.Failed(core.Envelope{}, nil) != nil || len(envelope.Log(core.Envelope{Call: "CA1"}, nil)) != 0 {
		t.Error("nothing is something")
	}
}
