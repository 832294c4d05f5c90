package emulate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/testing/testenv"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

const (
	root   = "../.."
	secret = "0c1d8e6f5a7b42930f1e6d5c4b3a2918"
)

// built are the WASMs that tests run, by package, built once.
var built = struct {
	mu    sync.Mutex
	dir   string
	paths map[string]string
}{paths: map[string]string{}}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// wasm is what is deployed, or another package, built.
func wasm(t *testing.T, pkg string) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if p := built.paths[pkg]; p != "" {
		return p
	}
	if built.dir == "" {
		var err error
		if built.dir, err = os.MkdirTemp("", "serverurl-worker-test-"); err != nil {
			t.Fatal(err)
		}
	}
	p := filepath.Join(built.dir, fmt.Sprint(len(built.paths), ".wasm"))
	if err := emulate.Build(t.Context(), root, pkg, p); err != nil {
		t.Fatal(err)
	}
	built.paths[pkg] = p
	return p
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// run starts the Worker, in memory where o has no Data, until the test ends.
func run(t testing.TB, o emulate.Options) (url string, log *safeBuffer) {
	t.Helper()
	testenv.Program(t, "node")
	testenv.Program(t, "npm")
	log = new(safeBuffer)
	out := new(safeBuffer)
	o.Addr, o.Dir, o.Stdout, o.Log = "127.0.0.1:0", root, out, log
	if o.Data == "" {
		o.Data = "-"
	}
	if o.Secrets == nil {
		o.Secrets = map[string]string{"SERVERURL_SECRET": secret}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulate.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			all := log.String()
			t.Logf("log:\n%s", all[max(0, len(all)-3000):])
		}
	})
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, rest, ok := strings.Cut(out.String(), "listening on "); ok && strings.HasSuffix(rest, "\n") {
			return strings.TrimSpace(rest), log
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("no server: %v\n%s", err, log)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("no server in two minutes\n%s", log)
		}
	}
}

func send(ctx context.Context, url, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", secret)
	r.Close = true // the front closes idle connections after 5 s, which a stalled machine reaches in the middle
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	status, said, err := send(t.Context(), url, body)
	if err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, said, err)
	}
	return said
}

// The WASM that is deployed gives the golden bytes in workerd.
func TestAdapterInWorkerd(t *testing.T) {
	url, _ := run(t, emulate.Options{WASM: wasm(t, "./cmd/cloudflare")})
	coretest.Adapter(t, coretest.Target{URL: url, Secret: secret})
}

// Whole calls, with all that goes wrong on the way.
func TestCallsInWorkerd(t *testing.T) {
	url, _ := run(t, emulate.Options{WASM: wasm(t, "./cmd/cloudflare")})
	simulatetest.Run(t, simulate.Options{URL: url, Secret: secret, Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate},
		AllowUnchecked: true, // nothing here reads D1
	}, "booking", "barge-in", "no-report")
}

// 40 duplicates at the same time, each on an instance of its own, are one run.
func TestDuplicatesInWorkerd(t *testing.T) {
	url, _ := run(t, emulate.Options{WASM: wasm(t, "./cloudflare/emulate/testdata/odd")})
	for round := range 10 {
		replies := make([]string, 40)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() {
				_, said, err := send(t.Context(), url+"/tools/count?call=CA1", fmt.Sprintf(`{"n":%d}`, round))
				replies[i] = fmt.Sprint(said, err)
			})
		}
		wg.Wait()
		for _, r := range replies {
			if r != replies[0] || !strings.Contains(r, "ran as") {
				t.Fatalf("round %d: replies differ: %s and %s", round, replies[0], r)
			}
		}
		if said := post(t, url+"/tools/counted", fmt.Sprintf(`{"n":%d}`, round)); !strings.Contains(said, "ran 1 times") {
			t.Fatalf("round %d: %s", round, said)
		}
	}
}

// What goes wrong in one request is its own.
func TestOneRequestIsLost(t *testing.T) {
	url, log := run(t, emulate.Options{WASM: wasm(t, "./cloudflare/emulate/testdata/odd")})
	fine := func() {
		t.Helper()
		if said := post(t, url+"/tools/slow", `{"n":1}`); said != `{"result":"slept"}` {
			t.Errorf("%s", said)
		}
	}
	fine()
	var wg sync.WaitGroup
	for range 5 { // others are under way meanwhile
		wg.Go(func() {
			if _, said, err := send(t.Context(), url+"/tools/slow", `{"n":1500}`); said != `{"result":"slept"}` {
				t.Errorf("beside a trap: %s %v", said, err)
			}
		})
	}
	if said := post(t, url+"/tools/panic", `{}`); strings.Contains(said, "mistake") || !strings.Contains(said, `{"result":"`) {
		t.Errorf("panic: %s", said)
	}
	fine()
	status, said, err := send(t.Context(), url+"/tools/exit", `{}`)
	if err != nil || status != 503 || said != `{"error":"try again"}` {
		t.Errorf("a trap: %d %s %v", status, said, err)
	}
	fine()
	if said := post(t, url+"/tools/grow", `{}`); !strings.Contains(said, "grown") {
		t.Errorf("grow: %s", said)
	}
	fine()
	for range 30 { // clients that hang up: no instance is lost with them
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, _, _ = send(ctx, url+"/tools/slow", `{"n":300}`)
		cancel()
	}
	wg.Wait()
	fine()
	for end := time.Now().Add(5 * time.Minute); !strings.Contains(log.String(), `"state":"trap"`); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the trap is not in the log")
		}
	}
	if strings.Contains(log.String(), "a mistake") {
		t.Error("what a panic said is in the log")
	}
}

// An event that was answered 200 is in the queue, and the queue outlives nobody
// but its process; D1 outlives that too.
func TestRecordsOutliveTheWorker(t *testing.T) {
	data := t.TempDir()
	t.Run("before", func(t *testing.T) {
		url, _ := run(t, emulate.Options{Data: data, WASM: wasm(t, "./cloudflare/emulate/testdata/odd")})
		post(t, url+"/tools/count?call=CA1", `{"n":1}`)
	})
	t.Run("after", func(t *testing.T) {
		url, _ := run(t, emulate.Options{Data: data, WASM: wasm(t, "./cloudflare/emulate/testdata/odd")})
		if said := post(t, url+"/tools/counted", `{"n":1}`); !strings.Contains(said, "ran 1 times") {
			t.Error(said)
		}
		post(t, url+"/tools/count?call=CA1", `{"n":1}`)
		if said := post(t, url+"/tools/counted", `{"n":1}`); !strings.Contains(said, "ran 1 times") {
			t.Error(said)
		}
	})
}

// The deployed program refuses to answer without a secret; the emulated one
// answers on loopback.
func TestSecret(t *testing.T) {
	url, log := run(t, emulate.Options{WASM: wasm(t, "./cmd/cloudflare"), Secrets: map[string]string{}})
	if status, said, err := send(t.Context(), url+"/tools/opening_hours", `{"day":"Monday"}`); err != nil || status != 503 {
		t.Errorf("deployed, without a secret: %d %s %v", status, said, err)
	}
	for end := time.Now().Add(5 * time.Minute); !strings.Contains(log.String(), "wrangler secret put SERVERURL_SECRET"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody is told what is missing")
		}
	}
	url, _ = run(t, emulate.Options{Secrets: map[string]string{}})
	post(t, url+"/tools/opening_hours", `{"day":"Monday"}`)
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	testenv.Program(t, "npm")
	for _, c := range []struct {
		o    emulate.Options
		want string
	}{
		{emulate.Options{Addr: "0.0.0.0:8080"}, "want HOST:PORT of this machine only"},
		{emulate.Options{Addr: "127.0.0.1:0", Dir: t.TempDir()}, "run it in the root of the backend's module"},
		{emulate.Options{Addr: taken.Addr().String(), Dir: root, WASM: "none.wasm"}, "cannot listen on " + taken.Addr().String()},
		{emulate.Options{Addr: "127.0.0.1:0", Dir: root, Data: "-", WASM: "none.wasm"}, "workerd has ended"},
	} {
		if err := emulate.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// The memory of workerd does not grow with the requests it has answered: an
// instance that was not let go would be 11 MB for each. 500 of 200 kB and 5,000
// of 2 kB where SERVERURL_SOAK is set, a tenth otherwise.
func TestSoak(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("NOT RUN: the memory of a process is read from /proc")
	}
	scale := 10
	if os.Getenv("SERVERURL_SOAK") != "" {
		scale = 1
	}
	url, _ := run(t, emulate.Options{WASM: wasm(t, "./cmd/cloudflare")})
	large := func(n int) string {
		return fmt.Sprintf(`{"message":{"type":"conversation-update","call":{"id":"CA-%d","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"%s"}]}}`, n, strings.Repeat("An answer. ", 18_000))
	}
	small := func(n int) string {
		return fmt.Sprintf(`{"message":{"type":"status-update","call":{"id":"CA-%d","status":"ongoing"},"note":"%s"}}`, n, strings.Repeat("x", 1900))
	}
	play := func(n int, body func(int) string) {
		t.Helper()
		var wg sync.WaitGroup
		next := make(chan int)
		for range 4 {
			wg.Go(func() {
				for i := range next {
					if status, said, err := send(t.Context(), url+"/events", body(i)); status != 200 {
						t.Errorf("%d: %d %s %v", i, status, said, err)
					}
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		wg.Wait()
	}
	play(100/scale*5, large) // until it is warm
	before := memory(t, url)
	play(500/scale, large)
	play(5000/scale, small)
	after := memory(t, url)
	t.Logf("workerd: %d MB before, %d MB after", before>>10, after>>10)
	// D1 and the queue are in memory as well, with what was sent; eight instances
	// may have come since, of 16 MB, and V8 collects when it likes.
	if sent := 500 / scale * 200; after > before+sent*3+300<<10 {
		t.Errorf("workerd grew from %d to %d kB", before, after)
	}
}

// memory is the resident memory of the workerd that listens at url, in kB.
func memory(t testing.TB, url string) int {
	t.Helper()
	return rss(workerdOf(t, url))
}

// workerdOf is the process that listens at url.
func workerdOf(t testing.TB, url string) string {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, err := os.ReadFile(f)
		if pid := filepath.Base(filepath.Dir(f)); err == nil && strings.TrimSpace(string(name)) == "workerd" && listens(pid, port) {
			return pid
		}
	}
	t.Fatal("workerd is not among the processes")
	return ""
}

// rss is in kB.
func rss(pid string) int {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	kb, _ := strconv.Atoi(string(m[1]))
	return kb
}

// listens reports whether a process has a socket that listens on port.
func listens(pid, port string) bool {
	n, _ := strconv.Atoi(port)
	table, err := os.ReadFile("/proc/" + pid + "/net/tcp")
	if err != nil {
		return false
	}
	m := regexp.MustCompile(fmt.Sprintf(`(?m)^\s*\d+: [0-9A-F]+:%04X [0-9A-F:]+ 0A (?:\S+\s+){5}(\d+)`, n)).FindSubmatch(table)
	if m == nil {
		return false
	}
	files, err := filepath.Glob("/proc/" + pid + "/fd/*")
	if err != nil {
		return false
	}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil && to == "socket:["+string(m[1])+"]" {
			return true
		}
	}
	return false
}

// What is uploaded stays small: a Worker starts with its size.
func TestSize(t *testing.T) {
	path := wasm(t, "./cmd/cloudflare")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := exec.Command("sh", "-c", "gzip -9 -c "+path+" | wc -c").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(packed)))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d in gzip", info.Size(), n)
	if info.Size() > 8<<20 || n > 2<<20 {
		t.Errorf("%d bytes, %d in gzip; want at most 8 MiB and 2 MiB", info.Size(), n)
	}
}
