package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
	"github.com/serverurl/serverurl/sqldb"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// eachDatabase runs a test on a fresh database of each kind.
func eachDatabase(t *testing.T, f func(t *testing.T, url func(t testing.TB) string)) {
	t.Run("SQLite", func(t *testing.T) { f(t, freshSQLite) })
	t.Run("Postgres", func(t *testing.T) { f(t, pgtest.Open) })
}

func freshSQLite(t testing.TB) string { return filepath.Join(t.TempDir(), "serverurl.db") }

func open(t testing.TB, url string) *sqldb.Database {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

const testSecret = "server-test-secret-7f3a9b21"

// startServer runs the front desk in this process until the test ends.
func startServer(t *testing.T, url string) (root string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, app.New(), Config{
			Addr: "127.0.0.1:0", Database: url, OnReady: func(u string) { ready <- u },
			Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
			Logger:   slog.New(slog.DiscardHandler),
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	})
	select {
	case root = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return root
}

func TestAdapter(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		coretest.Adapter(t, coretest.Target{URL: startServer(t, url(t)), Secret: testSecret})
	})
}

func TestScenarios(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		u := url(t)
		o := simulate.Options{URL: startServer(t, u), Secret: testSecret, State: finalstate.In(open(t, u).Store()), SettleTimeout: time.Minute}
		for _, faults := range [][]simulate.Fault{nil, {simulate.FaultDuplicate, simulate.FaultReorder}, {simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate}} {
			o.Faults = faults
			simulatetest.Run(t, o, "booking", "barge-in", "no-report", "hang", "model-error", "transfer", "web-call", "failed-call", "report-only")
		}
	})
}

func TestHealth(t *testing.T) {
	root := startServer(t, freshSQLite(t))
	for _, path := range []string{"/healthz", "/readyz", "/", "//healthz", "/healthz/", "//readyz//", "//"} {
		for _, method := range []string{"GET", "HEAD"} {
			req, err := http.NewRequestWithContext(t.Context(), method, root+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || err != nil || (len(body) > 0) != (method == "GET") {
				t.Errorf("%s %s: status %d %q, %v", method, path, resp.StatusCode, body, err)
			}
		}
	}
}

// A connection outlives what balancers keep theirs for; a setting changes it.
func TestIdleTimeout(t *testing.T) {
	for setting, want := range map[string]time.Duration{"": 620 * time.Second, "75s": 75 * time.Second} {
		c, err := ParseConfig(nil, func(name string) string {
			if name == "SERVERURL_IDLE_TIMEOUT" {
				return setting
			}
			return ""
		}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		r := &running{Config: c.withDefaults(), p: app.New()}
		if got := r.httpServer(nil).IdleTimeout; got != want {
			t.Errorf("%q: %v, want %v", setting, got, want)
		}
	}
	if _, err := ParseConfig(nil, func(name string) string {
		if name == "SERVERURL_IDLE_TIMEOUT" {
			return "600"
		}
		return ""
	}, io.Discard); err == nil {
		t.Error("600 is taken for a duration")
	}
}

// What tunnels, proxies and old clients make of a request is answered.
func TestWrappings(t *testing.T) {
	root := startServer(t, freshSQLite(t))
	const who, host = "X-Interactly-Secret: " + testSecret + "\r\nContent-Type: application/json\r\n", "Host: desk.test\r\n"
	const event, args = `{"message":{"type":"hang","call":{"id":"CA1"}}}`, `{"date":"2035-07-17"}`
	chunked := func(body string) string {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;a=b\r\n%s\r\n%x;name=\"value\"\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", body[:3], len(body)-3, body[3:])
	}
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for _, c := range []struct{ situation, event, tool string }{
		{"chunks with extensions and a trailer", "POST /events HTTP/1.1\r\n" + host + who + chunked(event), "POST /tools/find_open_slots HTTP/1.1\r\n" + host + who + chunked(args)},
		{"HTTP/1.0 with a host", "POST /events HTTP/1.0\r\n" + host + who + sized(event), "POST /tools/find_open_slots HTTP/1.0\r\n" + host + who + sized(args)},
		{"HTTP/1.0 without one", "POST /events HTTP/1.0\r\n" + who + sized(event), "POST /tools/find_open_slots HTTP/1.0\r\n" + who + sized(args)},
		{"the absolute form of a URL", "POST http://desk.test/events HTTP/1.1\r\n" + host + who + sized(event), "POST http://desk.test/tools/find_open_slots HTTP/1.1\r\n" + host + who + sized(args)},
		{"two slashes", "POST //events HTTP/1.1\r\n" + host + who + sized(event), "POST //tools/find_open_slots HTTP/1.1\r\n" + host + who + sized(args)},
		{"a slash at the end and an escaped name", "POST /events/ HTTP/1.1\r\n" + host + who + sized(event), "POST /tools/find%5Fopen_slots/ HTTP/1.1\r\n" + host + who + sized(args)},
		{"blank lines and white space around", "POST /events HTTP/1.1\r\n" + host + who + sized("\r\n "+event+"\r\n\r\n"), "POST /tools/find_open_slots HTTP/1.1\r\n" + host + who + sized("\r\n "+args+"\r\n\r\n")},
	} {
		if status, body := raw(t, root, c.event); status != 200 || body != "{}" {
			t.Errorf("%s: an event: %d %q", c.situation, status, body)
		}
		if status, body := raw(t, root, c.tool); status != 200 || !strings.Contains(body, "openings") {
			t.Errorf("%s: a tool: %d %q", c.situation, status, body)
		}
	}
}

// An address that others can reach needs a secret.
func TestRunRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Config
		want string
	}{
		{"anyone on every interface", Config{Addr: ":0", Verifier: auth.Verifier{AllowUnauthenticated: true}}, "a secret is needed"},
		{"no secret at all", Config{Addr: "127.0.0.1:0"}, "openssl rand -hex 32"},
		{"a weak secret", Config{Addr: "127.0.0.1:0", Verifier: auth.Verifier{Secrets: auth.ParseSecrets("hunter2")}}, "openssl rand -hex 32"},
		{"an address in use", Config{Addr: "127.0.0.1:99999", Verifier: auth.Verifier{AllowUnauthenticated: true}}, "cannot listen"},
	} {
		c.c.Database, c.c.Logger = freshSQLite(t), slog.New(slog.DiscardHandler)
		if err := Run(t.Context(), app.New(), c.c); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// release builds the program that is deployed, once for all tests.
var release = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serverurl-release-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as all deployed programs, so that their packages are compiled once
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// A process is the deployed program, running.
type process struct {
	*exec.Cmd
	root   string
	stderr *bytes.Buffer
}

func startProcess(t *testing.T, database string, env ...string) *process {
	t.Helper()
	path, err := release()
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, path, database, env...)
}

func startProgram(t *testing.T, path, database string, env ...string) *process {
	t.Helper()
	return startWith(t, path, database, func(*process) {}, env...)
}

// startWith starts a program that change has changed.
func startWith(t *testing.T, path, database string, change func(*process), env ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(path, "-addr", "127.0.0.1:0", "-database", database), stderr: &bytes.Buffer{}}
	p.Env = append(append(os.Environ(), "SERVERURL_SECRET="+testSecret), env...)
	p.Stderr = p.stderr
	change(p)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = p.Wait()
		t.Fatalf("it did not start: %v\n%s", err, p.stderr)
	}
	p.root = strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	return p
}

// post sends a body as the authenticated sender.
func post(client *http.Client, url, body string) (status int, reply string, err error) {
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Interactly-Secret", testSecret)
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// 1,000 identical requests at once, on two processes that share a database:
// one run, 1,000 equal replies.
func TestSameRequestOnTwoProcesses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		u := url(t)
		one, two := startProcess(t, u), startProcess(t, u)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
		defer client.CloseIdleConnections()
		replies := make([]string, 1000)
		var wg sync.WaitGroup
		barrier := make(chan struct{})
		for i := range replies {
			root := one.root
			if i%2 == 1 {
				root = two.root
			}
			wg.Go(func() {
				<-barrier
				status, reply, err := post(client, root+"/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
				replies[i] = fmt.Sprint(status, reply, err)
			})
		}
		close(barrier)
		wg.Wait()
		for _, r := range replies {
			if r != replies[0] || !strings.Contains(r, "Booked") {
				t.Fatalf("replies differ: %s and %s", replies[0], r)
			}
		}
		call, err := calls.Read(t.Context(), open(t, u).Store(), "CA1")
		if !errors.Is(err, callstate.ErrNotFound) {
			t.Fatalf("%+v, %v: no event came, so there is no call", call, err)
		}
		recs, err := open(t, u).Store().Range(t.Context(), "calls/CA1/tools", "", 10)
		recs = slices.DeleteFunc(recs, func(r records.Record) bool { return callstate.IsToolNote(r.Key) })
		if err != nil || len(recs) != 1 || !regexp.MustCompile(`"state":"done","fence":1,`).Match(recs[0].Value) {
			t.Errorf("%d records, %v: want one, done, begun once", len(recs), err)
		}
	})
}

// SIGKILL under load, again and again: every event that was acknowledged is
// there. A kill does not test the disk, only the order of commit and answer. The
// chaos program does the same hundreds of times.
func TestKilledUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		cycles int
		url    func(testing.TB) string
	}{{"SQLite", 20, freshSQLite}, {"Postgres", 5, pgtest.Open}} {
		t.Run(c.name, func(t *testing.T) {
			u := c.url(t)
			var acked sync.Map
			var n, count atomic.Int64
			for cycle := range c.cycles {
				p := startProcess(t, u)
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						for {
							id := fmt.Sprintf("CA-%d-%d", cycle, n.Add(1))
							status, _, err := post(client, p.root+"/events", `{"message":{"type":"status-update","call":{"id":"`+id+`","status":"ongoing"}}}`)
							if err != nil {
								return // it is dead
							}
							if status == 200 {
								acked.Store(id, true)
								count.Add(1)
							}
						}
					})
				}
				// Anywhere in the load, but not before it.
				enough := count.Load() + int64(1+rand.IntN(200))
				for count.Load() < enough {
					runtime.Gosched()
				}
				if err := p.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = p.Wait()
				wg.Wait()
				client.CloseIdleConnections()
			}
			missing := notStored(t, u, &acked)
			t.Logf("%d kills, %d events acknowledged, %d missing", c.cycles, count.Load(), len(missing))
			if len(missing) > 0 || count.Load() < int64(c.cycles) {
				t.Errorf("%d of %d acknowledged events are missing, such as %v", len(missing), count.Load(), missing[:min(5, len(missing))])
			}
		})
	}
}

// notStored returns the calls that are neither in the store nor in the inbox.
func notStored(t *testing.T, url string, acked *sync.Map) (missing []string) {
	db := open(t, url)
	inbox, err := sqldb.NewInbox(db, nil, sqldb.InboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const most = 10_000
	es, err := inbox.Pending(t.Context(), most)
	if err != nil || len(es) == most {
		t.Fatalf("%d events wait, %v", len(es), err)
	}
	waiting := map[string]bool{}
	for _, e := range es {
		waiting[string(e.Call)] = true
	}
	acked.Range(func(key, _ any) bool {
		id := key.(string)
		if waiting[id] {
			return true
		}
		if _, err := calls.Read(t.Context(), db.Store(), event.CallID(id)); err != nil {
			missing = append(missing, id)
		}
		return true
	})
	return missing
}

// SIGTERM under load: what has come in is answered, and the program exits 0.
func TestStopsGracefully(t *testing.T) {
	u := freshSQLite(t)
	p := startProcess(t, u)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var acked sync.Map
	var count, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("CA-%d-%d", i, n)
				status, _, err := post(client, p.root+"/events", `{"message":{"type":"hang","call":{"id":"`+id+`"}}}`)
				switch {
				case errors.Is(err, syscall.ECONNREFUSED):
					return
				case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "server closed idle connection")):
					return // the connection was idle when it was closed
				case err != nil || status != 200:
					refused.Add(1)
					t.Errorf("status %d, %v", status, err)
					return
				}
				acked.Store(id, true)
				count.Add(1)
			}
		})
	}
	for count.Load() < 200 {
		runtime.Gosched()
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := p.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.stderr)
	}
	if missing := notStored(t, u, &acked); len(missing) > 0 {
		t.Errorf("%d of %d acknowledged events are missing", len(missing), count.Load())
	}
}

// The largest body that is taken, through the whole program.
func TestMemoryOfALargeBody(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the peak of a process is read from /proc")
	}
	var b strings.Builder
	b.WriteString(`{"message":{"type":"conversation-update","call":{"id":"CA-large","status":"ongoing"},"messages":[`)
	text := strings.Repeat("An answer that takes about as long as answers take. ", 160)
	for n := 0; b.Len() < 6<<20-2*len(text); n++ {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"messageId":"user-%d","role":"user","text":"%d %s","timestamp":1784044938334}`, n, rand.Uint64(), text)
	}
	b.WriteString(`]}}`)
	least := 1 << 30
	for range 3 { // the least of three: when the collector runs is up to chance
		u := freshSQLite(t)
		p := startProcess(t, u, "GOGC=")
		if status, reply, err := post(http.DefaultClient, p.root+"/events", b.String()); status != 200 || err != nil {
			t.Fatal(status, reply, err)
		}
		state := finalstate.In(open(t, u).Store())
		for {
			if s, ok, err := state(t.Context(), "CA-large"); err != nil {
				t.Fatal(err)
			} else if ok && s.Messages > 0 {
				break
			}
			runtime.Gosched()
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(data)
		kb, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, kb)
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()
	}
	t.Logf("a body of %d bytes: the program's peak is %d kB", b.Len(), least)
	if least > 40<<10 {
		t.Errorf("the program's peak is %d kB, want less than 40 MB", least)
	}
}
