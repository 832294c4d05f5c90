package main

import (
	"bytes"
	"context"
	"encoding/json" // on purpose: other programs read the output with another decoder
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/testing/mototest"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/sqldb"
)

// raceOptions keep programs under the race detector from sleeping for a second
// before they exit.
const raceOptions = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	testscript.Main(mototest.Tests{M: m}, map[string]func(){"serverurl": main})
}

// TestScripts runs sessions of the command line, in testdata/script. In addition
// to testscript's own, scripts have these commands:
//
//	backend ARG...         start serverurl dev on a free port and set $URL
//	page ARG...            start serverurl inspect on a free port and set $URL
//	emulated ARG...        the same with serverurl emulate, in the module's folder
//	terminate              stop it with SIGTERM: it must exit 0; writes backend.out and backend.err
//	stub STATUS BODY       reply to every request so, and set $STUB; requests are written to stub.log
//	api FILE               serve the calls in the file as Interactly's API does, with the key "key", and set $API
//	bury DATA CALL FILE    make a dead letter of the event in the file
//	shelve DATA ID FILE    quarantine the file as an older version did
//	mark FILE              put a byte order mark before what is in the file
//	exits N CMD ARG...     run a command that must exit with N
//	until RE CMD ARG...    run a command until its stdout matches
//	json PATH VALUE        stdout is JSON with this value, as JSON
//	keys PATH KEY...       stdout is JSON with an object of just these keys
//	keep NAME RE           set $NAME to what the group in RE matches in stdout
//	lines N FILE           stdout, stderr or a file has so many lines
func TestScripts(t *testing.T) {
	testscript.Run(t, params("testdata/script", nil))
}

// The same backend on Postgres, which is named by a URL.
func TestPostgres(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{NoSync: true})
	testscript.Run(t, params("testdata/postgres", map[string]func() string{"DATABASE": func() string { return cluster.Database(t) }}))
}

func params(dir string, env map[string]func() string) testscript.Params {
	return testscript.Params{
		Dir: dir, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", raceOptions)
			for name, value := range env {
				e.Setenv(name, value())
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"backend": startBackend, "page": startPage, "emulated": startEmulated, "terminate": stopBackend, "stub": startStub, "api": startAPI, "bury": bury, "shelve": shelve, "mark": mark, "exits": exits,
			"until": until, "json": checkJSON, "keys": checkKeys, "keep": keep, "lines": checkLines,
		},
	}
}

// patience is how long anything may take on a machine that has much to do.
const patience = 5 * time.Minute

// backends are those that scripts have started.
var backends sync.Map // *testscript.TestScript to *process

// A process is a program with what it has printed.
type process struct {
	cmd      *exec.Cmd
	out, err safeBuffer
	done     chan struct{} // closed when it has ended
	waited   error
}

// A safeBuffer may be read while it is written to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.err
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.waited = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// says waits until the process has printed what re matches, and returns it.
func (p *process) says(re string) (string, error) {
	r := regexp.MustCompile(re)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := r.FindStringSubmatch(p.out.String()); m != nil {
			return m[len(m)-1], nil
		}
		select {
		case <-p.done:
			return "", fmt.Errorf("it has ended: %v\n%s%s", p.waited, p.out.String(), p.err.String())
		default:
		}
	}
	return "", fmt.Errorf("it does not say %q\n%s%s", re, p.out.String(), p.err.String())
}

// terminate sends SIGTERM and waits for the end.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.waited
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("it does not end at SIGTERM")
	}
}

const listening = `(?m)^listening on (http://127\.0\.0\.1:[0-9]+)$`

func startBackend(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("backend cannot be negated: use exits")
	}
	if _, running := backends.Load(ts); running {
		ts.Fatalf("a backend runs already: terminate it first")
	}
	startServer(ts, "URL", listening, command(ts, append([]string{"serverurl", "dev", "--addr", "127.0.0.1:0"}, args...)))
}

func startPage(ts *testscript.TestScript, neg bool, args []string) {
	if _, running := backends.Load(ts); neg || running {
		ts.Fatalf("usage: page ARG..., where nothing runs")
	}
	startServer(ts, "URL", listening, command(ts, append([]string{"serverurl", "inspect", "--addr", "127.0.0.1:0"}, args...)))
}

func startEmulated(ts *testscript.TestScript, neg bool, args []string) {
	if _, running := backends.Load(ts); running || neg {
		ts.Fatalf("one backend at a time")
	}
	cmd := command(ts, append(append([]string{"serverurl", "emulate"}, args...), "--addr", "127.0.0.1:0"))
	root, err := filepath.Abs("../..")
	ts.Check(err)
	cmd.Dir = root
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS"} { // a script has a home of its own
		value, err := exec.Command("go", "env", name).Output()
		ts.Check(err)
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	if cache, err := os.UserCacheDir(); err == nil {
		cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+cache)
	}
	startServer(ts, "URL", listening, cmd)
}

// startServer starts a program that goes on, and waits until it says where it is.
func startServer(ts *testscript.TestScript, name, ready string, cmd *exec.Cmd) {
	p, err := start(cmd)
	ts.Check(err)
	backends.Store(ts, p)
	ts.Defer(func() {
		backends.Delete(ts)
		_ = p.cmd.Process.Kill() // where the script has not stopped it
		<-p.done
	})
	url, err := p.says(ready)
	ts.Check(err)
	ts.Setenv(name, url)
}

func stopBackend(ts *testscript.TestScript, neg bool, args []string) {
	p, ok := backends.LoadAndDelete(ts)
	if neg || len(args) > 0 || !ok {
		ts.Fatalf("no backend to stop")
	}
	b := p.(*process)
	if err := b.terminate(); err != nil {
		ts.Fatalf("%v\n%s%s", err, b.out.String(), b.err.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs("backend.out"), []byte(b.out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("backend.err"), []byte(b.err.String()), 0o600))
}

func startStub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: stub STATUS BODY")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	log, err := os.Create(ts.MkAbs("stub.log"))
	ts.Check(err)
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		fmt.Fprintf(log, "%s %s secret=%q %s\n", r.Method, r.URL.RequestURI(), r.Header.Get("X-Interactly-Secret"), body)
		mu.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, args[1])
	}))
	ts.Defer(func() {
		srv.Close()
		log.Close()
	})
	ts.Setenv("STUB", srv.URL)
}

// command is a command in the script's folder and environment.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "WORK", "URL", "DATABASE", "SERVERURL_SECRET", "SERVERURL_DATA", "SERVERURL_DATABASE_URL", "GORACE", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exits with %d, want %d", got, want)
	}
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND ARG...")
	}
	re := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && re.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("never matches %q: %v", args[0], err)
		}
	}
}

// printed is the value at a path of the last command's stdout.
func printed(ts *testscript.TestScript, path string) any {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	if path == "." {
		return v
	}
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			of, ok := in[name]
			if !ok {
				ts.Fatalf("no %q in %s", name, path)
			}
			v = of
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(in) {
				ts.Fatalf("no %q in %s: there are %d", name, path, len(in))
			}
			v = in[i]
		default:
			ts.Fatalf("no %q in %s", name, path)
		}
	}
	return v
}

func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	got, err := json.Marshal(printed(ts, args[0]))
	ts.Check(err)
	if (string(got) == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

func checkKeys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: keys PATH KEY...")
	}
	m, ok := printed(ts, args[0]).(map[string]any)
	if !ok {
		ts.Fatalf("%s is no object", args[0])
	}
	got, want := slices.Sorted(maps.Keys(m)), slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s has %q, want %q", args[0], got, want)
	}
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("stdout has no one %q", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func checkLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines N FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); got != want {
		ts.Fatalf("%s has %d lines, want %d:\n%s", args[1], got, want, ts.ReadFile(args[1]))
	}
}

// Scripts are found by a pattern, and a pattern can find nothing.
func TestThereAreScripts(t *testing.T) {
	for _, dir := range []string{"script", "postgres"} {
		if files, _ := filepath.Glob("testdata/" + dir + "/*.txtar"); len(files) == 0 {
			t.Errorf("no scripts in testdata/%s", dir)
		}
	}
}

// startAPI serves the calls in a file as Interactly's API does.
func startAPI(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: api FILE")
	}
	var calls []map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &calls))
	api := simulate.NewAPI("key")
	for _, c := range calls {
		api.AddCall(c)
	}
	srv := httptest.NewServer(api)
	ts.Defer(srv.Close)
	ts.Setenv("API", srv.URL)
}

// bury delivers an event to a handler that fails, until it is dead.
func bury(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: bury DATA CALL FILE")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	url := ts.Getenv("DATABASE")
	if url == "" {
		url = filepath.Join(ts.MkAbs(args[0]), "serverurl.db")
	}
	db, err := sqldb.Open(ctx, url)
	ts.Check(err)
	defer db.Close()
	failing := func(context.Context, core.Envelope) error { return core.ErrHandlerFailed }
	in, err := sqldb.NewInbox(db, failing, sqldb.InboxOptions{MaxAttempts: 1, Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	ran := make(chan error, 1)
	go func() { ran <- in.Run(ctx) }()
	defer func() { stop(); ts.Check(<-ran) }()
	before, err := in.DeadLetters().List(ctx, 1000)
	ts.Check(err)
	ts.Check(in.Put(ctx, core.Envelope{ID: "buried-" + args[1], Received: time.Now(), Type: event.TypeReport, Call: event.CallID(args[1]), Body: []byte(ts.ReadFile(args[2]))}))
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if dead, err := in.DeadLetters().List(ctx, 1000); err == nil && len(dead) > len(before) {
			return
		}
	}
	ts.Fatalf("it does not die")
}

// shelve quarantines a body as another version of the program did.
func shelve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: shelve DATA ID FILE")
	}
	db, err := sqldb.Open(context.Background(), filepath.Join(ts.MkAbs(args[0]), "serverurl.db"))
	ts.Check(err)
	defer db.Close()
	ts.Check(callstate.PutQuarantined(context.Background(), db.Store(), callstate.QuarantinedBody{
		ID: args[1], Received: time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC), Reason: "not json", TriedBy: "another", Body: []byte(ts.ReadFile(args[2])),
	}))
}

// mark puts a byte order mark before what is in a file.
func mark(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\ufeff"+ts.ReadFile(args[0])), 0o600))
}
