package errcode

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// The rule of all logs: ERROR wants a person, and nothing else is ERROR. What passes
// by itself or is tried again is WARN: a database that is being restarted, a service
// that is busy, a delivery that failed and is repeated. It becomes ERROR when it
// lasts. The end of a clean stop is neither.

// Passing returns a constant error of something that passes by itself.
func Passing(text string) error { return passing(text) }

type passing string

func (p passing) Error() string { return string(p) }

// Temporary implements what Temporary looks for.
func (p passing) Temporary() bool { return true }

// Temporary reports whether the same may succeed later without anybody's help: the
// context has ended, the error says so by a method Temporary, or it is one of passing.
func Temporary(err error, passing ...error) bool {
	for _, p := range append(passing, context.Canceled, context.DeadlineExceeded) {
		if errors.Is(err, p) {
			return true
		}
	}
	e, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && e.Temporary()
}

const (
	// lasting is when a failure that should have passed wants a person: databases
	// and services restart in less.
	lasting = 2 * time.Minute

	// over is how long nothing fails after an outage. It is longer than the pause
	// between two sweeps or attempts.
	over = 3 * time.Minute

	// reminder is how often an outage that lasts is an ERROR again.
	reminder = 10 * time.Minute
)

// An Outage decides at which level failures of the same kind are logged. Its zero
// value is ready for use, also concurrently.
type Outage struct {
	mu                    sync.Mutex
	began, last, reported time.Time
}

// Level returns the level of a failure at a time: ERROR if it is not temporary, and
// from time to time if it is and lasts; otherwise WARN.
func (o *Outage) Level(now time.Time, err error, passing ...error) slog.Level {
	if !Temporary(err, passing...) {
		return slog.LevelError
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.last) > over {
		o.began, o.reported = now, time.Time{}
	}
	o.last = now
	if now.Sub(o.began) < lasting || now.Sub(o.reported) < reminder {
		return slog.LevelWarn
	}
	o.reported = now
	return slog.LevelError
}
