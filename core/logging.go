package core

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"regexp"
	"slices"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/errcode"
)

// Patterns of strings that may be logged. None of them matches a phone number, an
// address, or a sentence with a name.
var (
	tagPattern   = regexp.MustCompile(`^[0-9a-f]{12}$`)
	wordsPattern = regexp.MustCompile(`^[a-z][a-z_-]*( [a-z_-]+){0,3}$`) // our constants
	namePattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)   // names in the program
	codePattern  = regexp.MustCompile(`^[A-Za-z0-9_.*()\[\]-]{1,64}$`)   // functions and types of the program
	linePattern  = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,40}/?[A-Za-z0-9_.-]{1,60}\.go:\d{1,6}$`)
	matchPattern = regexp.MustCompile(`^(anyone|[a-z]+( secret)? \d{1,3} of \d{1,3})$`)
)

// loggedFields is the allowlist: the keys that may be logged, and a filter for
// their strings; nil allows none. Numbers, durations, times and booleans may have
// any of these keys. Everything else is dropped, so that logging a new field is a
// decision made here.
var loggedFields = map[string]func(string) string{
	"type":   callstate.LoggedType[string],
	"status": oneOf("initiated", "queued", "ringing", "ongoing", "in-progress", "forwarded", "finished", "failed", "busy", "no-answer"),
	"call":   matching(tagPattern),

	"fingerprint": matching(tagPattern),

	"tool":      matching(namePattern),
	"tenant":    matching(namePattern),
	"handler":   matching(codePattern),
	"parameter": matching(sourceName),
	"platform":  matching(namePattern),
	"matched":   matching(matchPattern),
	"go_type":   matching(codePattern),
	"place":     matching(linePattern),
	"reason":    matching(wordsPattern),
	"state":     matching(wordsPattern),
	"effect":    matching(wordsPattern),
	"error":     matching(wordsPattern),

	"bytes": nil, "took_ms": nil, "age": nil, "attempt": nil, "count": nil, "messages": nil, "entries": nil, "pending": nil,
	"late": nil, "replayed": nil, "fence": nil, "revision": nil, "calls": nil, "limit": nil,
	"asked": nil, "failed": nil, "unknown": nil,
}

// oneOf returns a filter that passes known words and replaces others, which a
// sender may have chosen, by "other".
func oneOf[S ~string](words ...S) func(string) string {
	return func(s string) string {
		if s == "" || slices.Contains(words, S(s)) {
			return s
		}
		return "other"
	}
}

// matching returns a filter that passes short strings of a pattern and replaces
// others by "other".
func matching(p *regexp.Regexp) func(string) string {
	return func(s string) string {
		if s == "" || len(s) <= 64 && p.MatchString(s) {
			return s
		}
		return "other"
	}
}

// allowlist returns a handler that passes only loggedFields to h. Messages are
// constants of this package; a test checks that.
func allowlist(h slog.Handler) slog.Handler { return allowHandler{h} }

type allowHandler struct{ next slog.Handler }

func (a allowHandler) Enabled(ctx context.Context, l slog.Level) bool { return a.next.Enabled(ctx, l) }

func (a allowHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(at slog.Attr) bool {
		clean.AddAttrs(allowed(nil, at)...)
		return true
	})
	return a.next.Handle(ctx, clean)
}

func (a allowHandler) WithAttrs(as []slog.Attr) slog.Handler {
	var clean []slog.Attr
	for _, at := range as {
		clean = allowed(clean, at)
	}
	if len(clean) == 0 {
		return a
	}
	return allowHandler{a.next.WithAttrs(clean)}
}

// WithGroup drops the group's name, because loggedFields has no groups.
func (a allowHandler) WithGroup(string) slog.Handler { return a }

// allowed appends what may be logged of an attribute, with groups flattened.
func allowed(to []slog.Attr, at slog.Attr) []slog.Attr {
	v := at.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, in := range v.Group() {
			to = allowed(to, in)
		}
		return to
	}
	clean, known := loggedFields[at.Key]
	if !known {
		return to
	}
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool, slog.KindDuration, slog.KindTime:
		return append(to, slog.Attr{Key: at.Key, Value: v})
	case slog.KindAny:
		if err, ok := v.Any().(error); ok && err != nil {
			return append(to, slog.String(at.Key, errorCode(err)))
		}
	}
	if s, ok := stringOf(v); ok && s == "" {
		return to // it says nothing
	} else if ok && clean != nil {
		return append(to, slog.String(at.Key, clean(s)))
	}
	return to
}

// stringOf returns the text of a string, or of a value of a string type such as
// event.Type.
func stringOf(v slog.Value) (string, bool) {
	if v.Kind() == slog.KindString {
		return v.String(), true
	}
	if r := reflect.ValueOf(v.Any()); v.Kind() == slog.KindAny && r.Kind() == reflect.String {
		return r.String(), true
	}
	return "", false
}

// knownErrors are the errors whose text is constant.
var knownErrors = []error{
	records.ErrStale, callstate.ErrNotFound, callstate.ErrOnHold, callstate.ErrBadRecord,
	ErrNotBound, ErrHandlerFailed, errBadAnswer, errNotAll,
	auth.ErrNoSecret, auth.ErrWeakSecret, auth.ErrUnauthenticated, auth.ErrStaleTimestamp, auth.ErrHeaderTooLarge,
	context.Canceled, context.DeadlineExceeded,
}

// errorCode returns what may be logged of an error. The text of any other error
// may quote a payload.
func errorCode(err error) string {
	if b, ok := errors.AsType[badBody](err); ok {
		return string(b)
	}
	return errcode.Of(err, knownErrors...)
}
