package sqldb

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/serverurl/serverurl/internal/errcode"
)

// A riverLog decides at which level River's lines are logged: see [errcode.Outage].
// River logs an error with each query of each of its services that fails, about ten a
// second while a database restarts, and some at a clean stop.
type riverLog struct {
	outage errcode.Outage

	mu      sync.Mutex
	stopped bool
	last    map[string]time.Time // when a message was logged
}

// riverPause is the time between two lines with the same message.
const riverPause = 30 * time.Second

// errRiver stands for what a line of River reports: it tries again by itself.
var errRiver = errcode.Passing("sqldb: river")

// stop makes what River logs from now on the noise of a clean stop.
func (l *riverLog) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

// level returns the level of a line, or false if it is not worth one.
func (l *riverLog) level(r slog.Record, now time.Time) (slog.Level, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return slog.LevelDebug, true
	}
	level := slog.LevelWarn
	if r.Level >= slog.LevelError {
		level = l.outage.Level(now, errRiver)
	}
	if level < slog.LevelError && now.Sub(l.last[r.Message]) < riverPause {
		return level, false
	}
	if l.last == nil {
		l.last = map[string]time.Time{}
	}
	l.last[r.Message] = now // River's messages are constants
	return level, true
}

// A quietHandler passes on River's warnings and errors with their numbers, times
// and flags only, at the level of a riverLog. Strings are dropped: an error of a
// database can quote stored data.
type quietHandler struct {
	next slog.Handler
	log  *riverLog
}

func (q quietHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (q quietHandler) Handle(ctx context.Context, r slog.Record) error {
	level, ok := q.log.level(r, time.Now())
	if !ok || !q.next.Enabled(ctx, level) {
		return nil
	}
	clean := slog.NewRecord(r.Time, level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(numericAttrs([]slog.Attr{a})...)
		return true
	})
	return q.next.Handle(ctx, clean)
}

func (q quietHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return quietHandler{q.next.WithAttrs(numericAttrs(as)), q.log}
}

func (q quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{q.next.WithGroup(name), q.log}
}

func numericAttrs(as []slog.Attr) []slog.Attr {
	var clean []slog.Attr
	for _, a := range as {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool, slog.KindDuration, slog.KindTime:
			clean = append(clean, slog.Attr{Key: a.Key, Value: v})
		case slog.KindAny:
			if err, ok := v.Any().(error); ok {
				clean = append(clean, slog.String(a.Key, reason(err)))
			}
		}
	}
	return clean
}
