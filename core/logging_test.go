package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// patient is what must not be logged. (A single word may be a tool's name.)
const patient = "CANARY Sam Rivera +1 415 555 0142"

type stateError struct{ text string }

func (e *stateError) Error() string { return e.text }

func (e *stateError) SQLState() string { return "40001" }

type cloudError struct{ text, code string }

func (e cloudError) Error() string { return e.text }

func (e cloudError) ErrorCode() string { return e.code }

type sneaky struct{}

func (sneaky) LogValue() slog.Value {
	return slog.GroupValue(slog.String("reason", patient), slog.String("x", patient))
}

func (sneaky) String() string { return patient }

// logged returns the fields of one line that is logged with args.
func logged(t *testing.T, args ...any) map[string]any {
	t.Helper()
	var out bytes.Buffer
	l := slog.New(allowlist(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}})))
	l.Info("x", args...)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAllowlist(t *testing.T) {
	anyErr := errors.New(patient + " +14155550142")
	for _, c := range []struct {
		rule  string
		key   string
		value any
		want  any // nil: dropped
	}{
		{"a known type", "type", "hang", "hang"},
		{"a type of string", "type", event.TypeReport, "end-of-call-report"},
		{"an invented type", "type", patient, "other"},
		{"an invented status", "status", "sam rivera", "other"},
		{"a status of HTTP", "status", 401, 401.0},
		{"a tag of a call", "call", "0123456789ab", "0123456789ab"},
		{"a bare id of a call", "call", "WC-0c8e0f0e", "other"},
		{"a type of string as id", "call", event.CallID("WC-0c8e0f0e"), "other"},
		{"a tool", "tool", "find_open_slots", "find_open_slots"},
		{"a tool that nobody made", "tool", "find slots; drop", "other"},
		{"a reason of ours", "reason", "too large", "too large"},
		{"a number of a phone", "reason", "call 4155550142", "other"},
		{"a name of a person", "reason", "Sam Rivera", "other"},
		{"a sentence", "reason", "i would like to see the dentist please", "other"},
		{"a very long word", "reason", strings.Repeat("a", 100), "other"},
		{"which secret matched", "matched", "secret 2 of 2", "secret 2 of 2"},
		{"which signature matched", "matched", "signing secret 1 of 1", "signing secret 1 of 1"},
		{"a secret as a match", "matched", patient, "other"},
		{"nothing", "reason", "", nil},
		{"bytes", "bytes", 12, 12.0},
		{"text under a key for numbers", "bytes", "12", nil},
		{"a time in milliseconds", "took_ms", 1.5, 1.5},
		{"a boolean", "late", true, true},
		{"a Secret", "reason", auth.NewSecret(patient), "other"},
		{"an unknown key", "text", "hello", nil},
		{"an unknown number", "phone", 14155550142, nil},
		{"a body", "reason", []byte(patient), nil},
		{"a struct", "reason", struct{ A string }{patient}, nil},
		{"a Stringer", "reason", bytes.NewBufferString(patient), nil},
		{"nil", "reason", nil, nil},
		{"an error that we know", "reason", fmt.Errorf("%s: %w", patient, records.ErrStale), records.ErrStale.Error()},
		{"a deadline", "reason", fmt.Errorf("%s: %w", patient, context.DeadlineExceeded), "context deadline exceeded"},
		{"a bad body", "reason", fmt.Errorf("%s: %w", patient, errTooDeep), "too deep"},
		{"an error of the system", "reason", &fs.PathError{Op: "open", Path: patient, Err: syscall.ENOSPC}, syscall.ENOSPC.Error()},
		{"an error of a database", "reason", fmt.Errorf("a: %w", &stateError{patient}), "SQLSTATE-40001"},
		{"an error of a cloud", "reason", cloudError{patient, "ThrottlingException"}, "ThrottlingException"},
		{"an error with a strange code", "reason", cloudError{patient, patient + " " + patient}, "core.cloudError"},
		{"any other error", "reason", fmt.Errorf("a: %w", anyErr), "*errors.errorString"},
		{"several errors", "reason", errors.Join(anyErr, records.ErrStale), records.ErrStale.Error()},
		{"a LogValuer with text", "reason", sneaky{}, "other"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := logged(t, c.key, c.value)
			if got[c.key] != c.want || len(got) > 1 {
				t.Errorf("%s=%v is logged as %v, want %v", c.key, c.value, got, c.want)
			}
		})
	}
}

// TestAllowlistLeaksNothing puts a patient's data into every part of a log line.
func TestAllowlistLeaksNothing(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(allowlist(slog.NewJSONHandler(&out, nil)))
	for key := range loggedFields {
		for _, v := range []any{patient, errors.New(patient), sneaky{}, []string{patient}, map[string]string{patient: patient}, slog.GroupValue(slog.String(key, patient)), event.Type(patient), event.CallID(patient)} {
			l.Info("x", key, v, patient, v, slog.Group(patient, key, v), slog.Group(key, patient, v))
			l.With(key, v, patient, v).WithGroup(patient).With(patient, v).Warn("x", key, v)
		}
	}
	if out.Len() == 0 || bytes.Contains(out.Bytes(), []byte("CANARY")) {
		t.Errorf("leaks:\n%s", out.Bytes())
	}
}

func TestAllowlistGroups(t *testing.T) {
	got := logged(t, slog.Group("g", "bytes", 1, "name", "Sam", slog.Group("h", "count", 2)), "late", false)
	if fmt.Sprint(got) != "map[bytes:1 count:2 late:false]" {
		t.Errorf("got %v", got)
	}
	var out bytes.Buffer
	slog.New(allowlist(slog.NewTextHandler(&out, nil))).With("platform", "aws").WithGroup("g").With("x", 1).Warn("m", "count", 3)
	if !strings.HasSuffix(out.String(), "level=WARN msg=m platform=aws count=3\n") {
		t.Errorf("got %s", out.String())
	}
}

// TestAllowlistIsAHandler checks the contract of slog.Handler.
func TestAllowlistIsAHandler(t *testing.T) {
	var out bytes.Buffer
	h := allowlist(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level of the handler inside does not count")
	}
	r := slog.NewRecord(time.Time{}, slog.LevelWarn, "m", 0)
	if err := h.Handle(t.Context(), r); err != nil || strings.Contains(out.String(), "time") {
		t.Errorf("a zero time is written: %s %v", out.String(), err)
	}
}

func TestCallTag(t *testing.T) {
	key, other := auth.Verifier{Secrets: auth.ParseSecrets("5f1d0c9a7b3e48d2a6c4e8f0b1d3957a")}, auth.Verifier{Secrets: auth.ParseSecrets("0d7e2b91c4f8a6355e8091d2c7ba43f6")}
	k, o := key.LogKey(), other.LogKey()
	a := calls.LogTag(k, "WC-1")
	if a != calls.LogTag(k, "WC-1") || a == calls.LogTag(k, "WC-2") || a == calls.LogTag(o, "WC-1") {
		t.Error("a tag depends on the key and the id, and on nothing else")
	}
	for _, matched := range []string{"secret 1 of 2", "signing secret 2 of 2", "webhook secret 1 of 1", "anyone"} {
		if !matchPattern.MatchString(matched) {
			t.Errorf("%q cannot be logged", matched)
		}
	}
	if !tagPattern.MatchString(a) {
		t.Errorf("tag %q cannot be logged", a)
	}
}

// TestLogCalls parses this package: each log message is a constant, and each key
// is in the allowlist, so that no field is dropped unnoticed.
func TestLogCalls(t *testing.T) {
	files, _ := filepath.Glob("*.go")
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := sel.X.(*ast.SelectorExpr); !ok || on.Sel.Name != "log" {
				return true
			}
			args := call.Args
			if sel.Sel.Name == "Log" { // with a context and a level
				args = args[2:]
			}
			for i, a := range args {
				lit, ok := a.(*ast.BasicLit)
				switch {
				case i%2 == 0 && i > 0:
				case !ok || lit.Kind != token.STRING:
					t.Errorf("%s: a message or a key that is no constant", set.Position(a.Pos()))
				case i > 0:
					key, _ := strconv.Unquote(lit.Value)
					if _, known := loggedFields[key]; !known {
						t.Errorf("%s: the key %q is dropped: add it to loggedFields or leave it out", set.Position(a.Pos()), key)
					}
				}
			}
			return true
		})
	}
}
