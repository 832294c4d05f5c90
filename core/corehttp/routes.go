package corehttp

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/internal/stack"
)

// reserved are the first segments of the paths that a platform answers itself.
var reserved = []string{"events", "tools", "healthz", "readyz", "cron"}

// WithRoutes returns a handler that gives requests to paths of a platform's own (/,
// /events, /tools, /healthz, /readyz and /cron, and all below them) to ours, and all
// others to theirs. If theirs is nil it returns ours. A body for theirs has at most
// limit bytes. A panic of theirs is answered 500, and logged with its type
// and place, and without its text.
func WithRoutes(ours, theirs http.Handler, limit int, log *slog.Logger) http.Handler {
	if theirs == nil {
		return ours
	}
	theirs = http.MaxBytesHandler(theirs, int64(limit))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isReserved(r.URL.EscapedPath()) {
			ours.ServeHTTP(w, r)
			return
		}
		defer recoverRoute(w, log)
		theirs.ServeHTTP(w, r)
	})
}

// isReserved splits a path as core does: slashes too many make no difference.
func isReserved(path string) bool {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	return len(parts) == 0 || slices.Contains(reserved, parts[0])
}

func recoverRoute(w http.ResponseWriter, log *slog.Logger) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		log.Error("route panicked", stack.Recovered(v).Log()...)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}
