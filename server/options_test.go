package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/platform"
)

// A lockedBuffer is for a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// request sends a request and returns status and body.
func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Interactly-Secret", testSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// Each option has its effect, in the order in which they are promised.
func TestOptions(t *testing.T) {
	var log lockedBuffer
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	closer := func(name string) func(context.Context) error {
		return func(context.Context) error { note("close " + name); return nil }
	}
	var unready, panics atomic.Bool
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	release := make(chan struct{})
	p := core.New()
	core.AddTool(p, core.Tool{Name: "slow", Effect: core.ReadOnly, Budget: 300 * time.Millisecond}, func(ctx context.Context, _ struct{}) (string, error) {
		<-release
		note("tool ended")
		return "", nil
	})
	o := platform.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Start:  func(context.Context) error { note("start"); return nil },
		Ready: func(context.Context) error {
			if unready.Load() {
				return errors.New("canary: down")
			}
			if panics.Load() {
				panic("canary: a nil map")
			}
			return nil
		},
		Close:  []func(context.Context) error{closer("first"), closer("last")},
		Limits: core.Limits{MaxBodyBytes: 100},
		Routes: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "own %s %t", r.URL.Path, err != nil)
		}),
		Now: func() time.Time { return at },
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, p, Config{Addr: "127.0.0.1:0", Database: freshSQLite(t), Options: o,
			Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
			OnReady:  func(u string) { note("ready"); ready <- u }})
	}()
	var root string
	select {
	case root = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	if !p.Now().Equal(at) {
		t.Errorf("the clock is %v", p.Now())
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ok"},
		{"GET", "/faq", "", 200, "own /faq false"},
		{"POST", "/faq", strings.Repeat("x", 101), 200, "own /faq true"},
		{"POST", "/events", strings.Repeat(" ", 101), 413, "too large"},
		{"GET", "/events/x", "", 404, "not found"},
		{"GET", "/cron", "", 404, "not found"},
		{"POST", "/healthz", "", 404, "not found"},
		{"GET", "//tools//", "", 404, "not found"},
	} {
		if status, body := request(t, c.method, root+c.path, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	unready.Store(true)
	for range 2 {
		if status, body := request(t, "GET", root+"/readyz", ""); status != 503 || body != "not ready\n" {
			t.Errorf("not ready: %d %q", status, body)
		}
	}
	unready.Store(false)
	if status, _ := request(t, "GET", root+"/readyz", ""); status != 200 {
		t.Errorf("ready again: %d", status)
	}
	panics.Store(true)
	if status, body := request(t, "GET", root+"/readyz", ""); status != 503 || body != "not ready\n" {
		t.Errorf("the check panics: %d %q", status, body)
	}
	panics.Store(false)
	request(t, "POST", root+"/tools/slow", "{}") // its run outlives the reply
	stop()
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"start", "ready", "tool ended", "close last", "close first"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	said := log.String()
	if strings.Count(said, `level=WARN msg="readiness check failed" platform=server reason=`) != 1 || strings.Contains(said, "canary") {
		t.Error(said)
	}
	if !strings.Contains(said, `level=ERROR msg="readiness check panicked" platform=server go_type=string place=server/options_test.go:`) {
		t.Error(said)
	}
	if _, end, ok := strings.Cut(said, "level=INFO msg=stopping platform=server reason=signal\n"); !ok || !strings.HasSuffix(end, "level=INFO msg=stopped platform=server\n") {
		t.Error(said)
	}
	if !strings.Contains(said, "level=INFO msg=started platform=server version=") || !strings.Contains(said, " store=sqlite retention=forever secrets=1") {
		t.Error(said)
	}
}

// The program returns its exit code, with a line for each mistake, and closers run
// whatever the mistake is.
func TestExitCodes(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	file := filepath.Join(t.TempDir(), "serverurl.db")
	broken := func(context.Context) error { return errors.New("the calendar does not answer") }
	for name, c := range map[string]struct {
		args   []string
		getenv func(string) string
		start  func(context.Context) error
		close  func(context.Context) error
		code   int
		says   string

		exactly string // all of it, "*" is anything
	}{
		"help":          {args: []string{"-h"}, getenv: env(), code: 0, says: "Flags take precedence"},
		"unknown flag":  {args: []string{"-port", "1"}, getenv: env(), code: 2, exactly: "server: flag provided but not defined: -port\ntry: server.test -h\n"},
		"an argument":   {args: []string{"serve"}, getenv: env(), code: 2, exactly: "server: unexpected argument \"serve\"\ntry: server.test -h\n"},
		"start panics":  {args: []string{"-database", file}, getenv: env("SERVERURL_SECRET", testSecret), start: func(context.Context) error { panic("boom") }, code: 1, says: "server: the start check failed: panic at server/options_test.go:", exactly: "*: boom\n"},
		"no secret":     {args: []string{"-database", file}, getenv: env(), code: 1, says: "no secret is set"},
		"start check":   {args: []string{"-database", file}, getenv: env("SERVERURL_SECRET", testSecret), start: broken, code: 1, says: "server: the start check failed: the calendar does not answer\n"},
		"closer":        {args: []string{"-h"}, getenv: env(), close: broken, code: 1, says: "server: closing: the calendar does not answer\n"},
		"closer panics": {args: []string{"-h"}, getenv: env(), close: func(context.Context) error { panic("boom") }, code: 1, says: "server: closing: panic at server/options_test.go:", exactly: "*: boom\n"},
	} {
		t.Run(name, func(t *testing.T) {
			closed := 0
			o := platform.Options{Start: c.start, Close: []func(context.Context) error{func(context.Context) error { closed++; return nil }}}
			if c.close != nil {
				o.Close = append(o.Close, c.close)
			}
			var out, said bytes.Buffer
			if code := run(t.Context(), core.New(), o, c.args, c.getenv, &out, &said); code != c.code || !strings.Contains(said.String(), c.says) || closed != 1 {
				t.Errorf("exit code %d, closed %d times, says %q", code, closed, said.String())
			}
			end, anything := strings.CutPrefix(c.exactly, "*")
			if c.exactly != "" && !anything && said.String() != end || anything && (!strings.HasSuffix(said.String(), end) || strings.Contains(said.String(), "goroutine ")) {
				t.Errorf("says %q, want %q", said.String(), c.exactly)
			}
		})
	}
}

// None of two options could be preferred.
func TestMainTakesOneOptions(t *testing.T) {
	if code := Main(core.New(), platform.Options{}, platform.Options{}); code != 2 {
		t.Errorf("exit code %d", code)
	}
}

// With -development and no address nobody else on the network can send.
func TestDevelopmentIsLoopback(t *testing.T) {
	for _, c := range []struct {
		args []string
		port string
		want string
	}{
		{nil, "", ":8080"},
		{nil, "9000", ":9000"},
		{[]string{"-development"}, "", "127.0.0.1:8080"},
		{[]string{"-development"}, "9000", "127.0.0.1:9000"},
		{[]string{"-development", "-addr", "[::1]:0"}, "9000", "[::1]:0"},
	} {
		got, err := ParseConfig(c.args, func(name string) string {
			if name == "PORT" {
				return c.port
			}
			return ""
		}, io.Discard)
		if err != nil || got.Addr != c.want {
			t.Errorf("%v, port %q: %q, %v", c.args, c.port, got.Addr, err)
		}
	}
}

// A panic of a route and a failing check are printed as a tool's.
func TestDevelopmentPrintsOptions(t *testing.T) {
	o := platform.Options{
		Routes: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary: a route") }),
		Ready:  func(context.Context) error { return errors.New("canary: down") },
	}
	ctx, stop := context.WithCancel(t.Context())
	var out, said lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, core.New(), o, []string{"-addr", "127.0.0.1:0", "-database", freshSQLite(t), "-development"}, func(string) string { return "" }, &out, &said)
	}()
	waitFor(t, "an address", func() bool { return strings.Contains(out.String(), "\n") })
	root := strings.TrimSpace(strings.TrimPrefix(out.String(), "listening on "))
	for path, want := range map[string]int{"/hours": 500, "/readyz": 503} {
		for range 2 {
			if status, _ := request(t, "GET", root+path, ""); status != want {
				t.Errorf("%s: %d", path, status)
			}
		}
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
	text := said.String()
	for want, times := range map[string]int{
		"  route GET /hours panicked: canary: a route\n":                                                2,
		"    server.TestDevelopmentPrintsOptions.func1  ":                                               2,
		"  readiness check failed: canary: down\n":                                                      1,
		`level=ERROR msg="route panicked" platform=server go_type=string place=server/options_test.go:`: 2,
		"unknown place": 0,
	} {
		if strings.Count(text, want) != times {
			t.Errorf("not %d times %q: %s", times, want, text)
		}
	}
}

// A panic in a tool is on the developer's terminal in full, with its place. Without
// -development nothing of its text is anywhere.
func TestDevelopmentPrintsFailures(t *testing.T) {
	for _, development := range []bool{true, false} {
		p := core.New()
		core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, struct{}) (string, error) {
			var slots map[string]int
			if slots["canary"] == 0 {
				panic("canary: the slot of Sam Rivera")
			}
			return "", nil
		})
		args := []string{"-addr", "127.0.0.1:0", "-database", freshSQLite(t)}
		if development {
			args = append(args, "-development")
		}
		getenv := func(name string) string { return map[string]string{"SERVERURL_SECRET": testSecret}[name] }
		ctx, stop := context.WithCancel(t.Context())
		var out, said lockedBuffer
		code := make(chan int, 1)
		go func() { code <- run(ctx, p, platform.Options{}, args, getenv, &out, &said) }()
		waitFor(t, "an address", func() bool { return strings.Contains(out.String(), "\n") })
		root := strings.TrimSpace(strings.TrimPrefix(out.String(), "listening on "))
		request(t, "POST", root+"/tools/book?call=CA1", "{}")
		stop()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d", c)
		}
		text := said.String()
		const printed = "  tool book panicked: canary: the slot of Sam Rivera\n"
		if strings.Contains(text, printed) != development || strings.Contains(text, "canary") != development {
			t.Errorf("development %t: %s", development, text)
		}
		if !strings.Contains(text, "server/options_test.go:") || strings.Contains(text, "\x1b") {
			t.Errorf("development %t: no place, or colors: %s", development, text)
		}
		if development && !strings.Contains(text, "    server.TestDevelopmentPrintsFailures.func1") {
			t.Errorf("no stack: %s", text)
		}
	}
}
