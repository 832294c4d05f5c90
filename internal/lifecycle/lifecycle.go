// Package lifecycle starts and ends a backend in the same way on every platform: it
// runs what platform.Options holds, and logs the start line. It starts no process
// and ends none.
package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/stack"
	"github.com/serverurl/serverurl/platform"
)

const (
	// StartTimeout is how long a start check may take.
	StartTimeout = 30 * time.Second

	// ShortStartTimeout is the same where the platform gives a start less time:
	// Lambda's init has 10 s, and a Worker's first request is waiting.
	ShortStartTimeout = 8 * time.Second

	// ReadyTimeout bounds one readiness check.
	ReadyTimeout = 2 * time.Second

	// CloseTimeout is how long closers may take together. With the server's other
	// timeouts it is within the 30 s that container platforms give.
	CloseTimeout = 3 * time.Second
)

// One returns the options that a Main was given, and an error if they are more than
// one, because none of them could be preferred.
func One(opts []platform.Options) (platform.Options, error) {
	switch len(opts) {
	case 0:
		return platform.Options{}, nil
	case 1:
		return opts[0], nil
	}
	return platform.Options{}, fmt.Errorf("platform: %d Options were given; put everything into one", len(opts))
}

// Start runs the start check. A panic of it is an error with its place.
func Start(ctx context.Context, name string, o platform.Options, timeout time.Duration) error {
	if o.Start == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := safely(ctx, o.Start); err != nil {
		return fmt.Errorf("%s: the start check failed: %w", name, err)
	}
	return nil
}

// Ready runs a readiness check, which may be nil. A panic of it is an error: see
// [LogNotReady].
func Ready(ctx context.Context, check func(context.Context) error) error {
	if check == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ReadyTimeout)
	defer cancel()
	return safely(ctx, check)
}

// LogNotReady logs that a readiness check has failed, without what the check says: a
// panic is a mistake in the program, and has its place; an error may pass by itself.
func LogNotReady(log *slog.Logger, err error) {
	if p, ok := errors.AsType[*PanicError](err); ok {
		log.Error("readiness check panicked", p.Log()...)
		return
	}
	log.Warn("readiness check failed", "reason", errcode.Of(err))
}

// Close calls the closers, the last one first, and skips those that are nil. It
// returns after the timeout even if one ignores its context.
func Close(name string, o platform.Options, timeout time.Duration) error {
	if len(o.Close) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var errs []error
		for i := len(o.Close) - 1; i >= 0; i-- {
			if f := o.Close[i]; f != nil {
				errs = append(errs, safely(ctx, f)) // a panic of one is kept from the others
			}
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: closing: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: closing took more than %v and was abandoned", name, timeout)
	}
}

// A PanicError is a panic of a function of the backend's own. Its text is one line,
// and has the panic's value: it is for stderr, not for a log.
type PanicError struct{ stack.Panic }

func (e *PanicError) Error() string {
	return strings.ReplaceAll(fmt.Sprintf("panic at %s: %v", e.Place, e.Value), "\n", "; ")
}

// ErrorCode returns what a log may have of it.
func (e *PanicError) ErrorCode() string { return "panic" }

// safely calls f. A panic is a [PanicError].
func safely(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{stack.Recovered(v)}
		}
	}()
	return f(ctx)
}

// LogStopping logs that a stop begins: of a signal, or because something has failed.
// log is one with the platform.
func LogStopping(log *slog.Logger, failed error) {
	if failed == nil {
		log.Info("stopping", "reason", "signal")
		return
	}
	log.Info("stopping", "reason", "error", "error", errcode.Of(failed))
}

// LogStopped logs that a stop, which [LogStopping] has announced, is at its end.
func LogStopped(log *slog.Logger) { log.Info("stopped") }

// A StartLine is what is logged when a backend has started.
type StartLine struct {
	Platform  string
	Store     string // "sqlite", "postgres", "dynamodb", "firestore", "d1"
	Verifier  auth.Verifier
	Retention calls.Retention
}

// Log logs the line.
func (s StartLine) Log(log *slog.Logger) {
	version, commit := version()
	log = log.With("platform", s.Platform, "version", version, "commit", commit, "store", s.Store,
		"retention", cmp.Or(s.Retention.String(), "forever"), "secrets", s.Verifier.Count())
	if names := s.Verifier.Tenants(); len(names) > 0 {
		log = log.With("tenants", strings.Join(names, ","))
	}
	log.Info("started")
}

const module = "github.com/serverurl/serverurl"

// version returns the version of this module, and the commit from which the program
// was built; "unknown" for what the Go command has not recorded.
func version() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) (version, commit string) {
	if info.Main.Path == module {
		version = info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == module {
			version = d.Version
		}
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	return cmp.Or(version, "unknown"), cmp.Or(commit, "unknown") + modified
}
