package sqldb

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// River's errors while a database restarts are warnings, few of them; those that go
// on for minutes want a person once; those of a clean stop are nothing. No string of
// River's is in any of them.
func TestRiverLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		state := new(riverLog)
		log := slog.New(quietHandler{slog.NewTextHandler(&out, nil), state})
		fail := func() {
			log.Error("Elector: Error attempting to elect", "attempt", 1, "text", "canary", "err", errors.New("canary"))
			log.Warn("Rescuer: slow", "count", 2)
			log.Info("not of interest")
		}
		count := func(level string) int {
			defer out.Reset()
			if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), "interest") {
				t.Error(out.String())
			}
			return strings.Count(out.String(), "level="+level)
		}
		for range 100 { // 10 s
			fail()
			time.Sleep(100 * time.Millisecond)
		}
		if n := count("WARN"); n != 2 {
			t.Errorf("a restart: %d warnings, want one of each message", n)
		}
		for range 300 { // 5 minutes
			fail()
			time.Sleep(time.Second)
		}
		if n := count("ERROR"); n != 1 {
			t.Errorf("an outage: %d errors", n)
		}
		state.stop()
		fail()
		if n := count("WARN") + count("ERROR"); n != 0 {
			t.Errorf("a stop: %d lines", n)
		}
	})
}
