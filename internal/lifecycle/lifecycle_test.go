package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/testing/importcheck"
	"github.com/serverurl/serverurl/platform"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "every platform uses it, Workers included",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", importcheck.Module+"/platform", "github.com/go-json-experiment/json/...")
	importcheck.CheckWASM(t)
}

// A check or a closer that ignores its context holds up nobody.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := Start(t.Context(), "here", platform.Options{Start: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, StartTimeout)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != StartTimeout {
			t.Errorf("start: %v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if err := Ready(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }); err == nil || time.Since(begin) != ReadyTimeout {
			t.Errorf("ready: %v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		hangs := func(context.Context) error { time.Sleep(time.Hour); return nil }
		err = Close("here", platform.Options{Close: []func(context.Context) error{hangs}}, CloseTimeout)
		if err == nil || !strings.Contains(err.Error(), "abandoned") || time.Since(begin) != CloseTimeout {
			t.Errorf("close: %v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Hour) // until it has ended
	})
}

func TestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		info            debug.BuildInfo
		version, commit string
	}{
		"a program that imports it": {debug.BuildInfo{
			Main: debug.Module{Path: "example.com/clinic", Version: "(devel)"}, Deps: []*debug.Module{{Path: module, Version: "v1.2.3"}},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}},
		}, "v1.2.3", "0123456789ab+changes"},
		"itself":  {debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "(devel)", "unknown"},
		"nothing": {debug.BuildInfo{}, "unknown", "unknown"},
	} {
		if v, commit := versionOf(&c.info); v != c.version || commit != c.commit {
			t.Errorf("%s: %q %q", name, v, commit)
		}
	}
}

func TestOne(t *testing.T) {
	if _, err := One([]platform.Options{{}, {}}); err == nil || err.Error() != "platform: 2 Options were given; put everything into one" {
		t.Error(err)
	}
	if o, err := One([]platform.Options{{Start: func(context.Context) error { return nil }}}); err != nil || o.Start == nil {
		t.Error(err)
	}
}

// A panic is an error of one line, with its place and what it says. A log has its
// place only.
func TestPanics(t *testing.T) {
	fails := func(context.Context) error { panic(errors.Join(errors.New("canary"), errors.New("two"))) }
	// This package counts as ours, so the place of its own panics is unknown.
	const says = "panic at unknown: canary; two"
	if err := Start(t.Context(), "here", platform.Options{Start: fails}, StartTimeout); err == nil || err.Error() != "here: the start check failed: "+says {
		t.Error(err)
	}
	closed := 0
	closes := func(context.Context) error { closed++; return nil }
	err := Close("here", platform.Options{Close: []func(context.Context) error{closes, nil, fails, closes}}, CloseTimeout)
	if err == nil || err.Error() != "here: closing: "+says || closed != 2 {
		t.Errorf("%v, %d closed", err, closed)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	LogNotReady(log, Ready(t.Context(), fails))
	LogNotReady(log, Ready(t.Context(), func(context.Context) error { return errors.New("canary") }))
	for _, want := range []string{
		`level=ERROR msg="readiness check panicked" go_type=*errors.joinError place=unknown`, `level=WARN msg="readiness check failed" reason=*errors.errorString`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s: %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "canary") {
		t.Error(out.String())
	}
}

// A stop says why, and quotes nothing.
func TestLogStopping(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	LogStopping(log, nil)
	LogStopping(log, errors.New("canary"))
	if said := out.String(); !strings.Contains(said, "msg=stopping reason=signal\n") || !strings.Contains(said, "msg=stopping reason=error error=*errors.errorString\n") {
		t.Error(said)
	}
}

// The line names the tenants, and no secret.
func TestStartLine(t *testing.T) {
	var out bytes.Buffer
	StartLine{
		Platform: "server", Store: "postgres", Retention: calls.Retention{Content: 90 * 24 * time.Hour},
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets("south:canary-1-7d5e0c3b9a,north:canary-2-7d5e0c3b9a")},
	}.Log(slog.New(slog.NewTextHandler(&out, nil)))
	if line := out.String(); !strings.Contains(line, `level=INFO msg=started platform=server version=`) || !strings.Contains(line, `store=postgres retention="content=90d" secrets=2 tenants=north,south`) || strings.Contains(line, "canary") {
		t.Error(line)
	}
}
