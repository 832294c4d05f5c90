package errcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

func TestTemporary(t *testing.T) {
	busy, stale := Passing("busy"), errors.New("stale")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("get: %w", context.Canceled), true},
		{context.DeadlineExceeded, true},
		{fmt.Errorf("put: %w", busy), true},
		{fmt.Errorf("commit: %w", stale), true},
		{&Error{Code: "57P03", Pass: true}, true},
		{&Error{Code: "28P01"}, false},
		{errors.New("other"), false},
		{nil, false},
	} {
		if got := Temporary(c.err, stale); got != c.want {
			t.Errorf("%v: %t", c.err, got)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", busy), busy) {
		t.Error("a passing error is not itself")
	}
}

// A short outage logs no ERROR, one that lasts does from time to time, and after a
// quiet time it begins again.
func TestOutage(t *testing.T) {
	var o Outage
	busy, at := Passing("busy"), time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		after time.Duration
		err   error
		want  slog.Level
	}{
		{0, busy, slog.LevelWarn},
		{lasting - 1, busy, slog.LevelWarn},
		{1, busy, slog.LevelError},
		{1, busy, slog.LevelWarn},
		{0, errors.New("no permission"), slog.LevelError},
		{over, busy, slog.LevelWarn},
		{over, busy, slog.LevelWarn},
		{over, busy, slog.LevelWarn},
		{time.Minute, busy, slog.LevelError},
		{over + 1, busy, slog.LevelWarn},
		{lasting, busy, slog.LevelError},
	} {
		at = at.Add(step.after)
		if got := o.Level(at, step.err); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}
