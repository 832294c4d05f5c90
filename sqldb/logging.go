package sqldb

import (
	"context"
	"log/slog"
)

// A quietHandler passes on River's warnings and errors with their numbers, times
// and flags only. Strings are dropped: an error of a database can quote stored
// data.
type quietHandler struct{ next slog.Handler }

func (q quietHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.next.Enabled(ctx, l)
}

func (q quietHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(numericAttrs([]slog.Attr{a})...)
		return true
	})
	return q.next.Handle(ctx, clean)
}

func (q quietHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return quietHandler{q.next.WithAttrs(numericAttrs(as))}
}

func (q quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{q.next.WithGroup(name)}
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
