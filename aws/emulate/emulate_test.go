package emulate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core/coretest"
)

const secret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"

// maxBody is what surely fits: Lambda takes 6 MB as an event in JSON, where a
// body of JSON grows by its quotes; a load balancer takes 1 MB.
func maxBody(as emulate.Trigger) int {
	if as == emulate.ALB || as == emulate.ALBMulti {
		return 1_000_000
	}
	return 4_700_000
}

// built is the program, built once for all tests of this package.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serverurl-emulate-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bootstrap")
	return path, emulate.Build(context.Background(), "../..", "./cmd/lambda", path, "emulate")
})

// run runs the emulator until the test ends, and returns its URL.
func run(t *testing.T, o emulate.Options) (url string) {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if o.Bootstrap == "" {
		o.Bootstrap = path
	}
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	out, in := io.Pipe()
	log := new(safeBuffer)
	o.Addr, o.Stdout, o.Log = "127.0.0.1:0", in, log
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulate.Run(ctx, o); in.Close() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			all := log.String()
			t.Logf("log:\n%s", all[max(0, len(all)-2000):])
		}
	})
	said := make(chan string, 1)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 1024)
		for {
			n, err := out.Read(b)
			all.Write(b[:n])
			if _, rest, ok := strings.Cut(all.String(), "listening on "); ok && strings.HasSuffix(rest, "\n") {
				said <- strings.TrimSpace(rest)
				_, _ = io.Copy(io.Discard, out)
				return
			}
			if err != nil {
				close(said)
				return
			}
		}
	}()
	url, ok := <-said
	if !ok {
		t.Fatalf("no server: %v\n%s", <-ended, log)
	}
	return url
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

// The deployed adapter gives the golden bytes behind every front, though its
// process is frozen on the last byte of each reply.
func TestAdapterBehindEveryFront(t *testing.T) {
	for _, as := range emulate.Triggers {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			url := run(t, emulate.Options{Trigger: as, Freeze: true, Env: []string{"SERVERURL_SECRET=" + secret}})
			coretest.Adapter(t, coretest.Target{URL: url, Secret: secret, MaxBodyBytes: maxBody(as)})
		})
	}
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// An event goes through the queue to the worker, which is another process.
func TestEventsReachTheWorker(t *testing.T) {
	data := t.TempDir()
	url := run(t, emulate.Options{Data: data, Freeze: true, MaxInvocations: 3, Env: []string{"SERVERURL_SECRET=" + secret}})
	for _, status := range []string{"ongoing", "finished"} {
		if code, body := post(t, url, `{"message":{"type":"status-update","call":{"id":"CA-1","status":"`+status+`"}}}`); code != 200 || body != "{}" {
			t.Fatalf("%d %s", code, body)
		}
	}
	queue := filepath.Join(data, "queue")
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		files, err := os.ReadDir(queue)
		if err == nil && len(files) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d events are still in the queue (%v)", len(files), err)
		}
	}
	if dead, err := os.ReadDir(filepath.Join(data, "dead")); err != nil || len(dead) != 0 {
		t.Errorf("%d dead letters (%v)", len(dead), err)
	}
}

// acceptAndEnd posts events, and ends the process after every other reply.
func acceptAndEnd(t *testing.T, f *emulate.Function, n int) {
	t.Helper()
	front := httptest.NewServer(emulate.HTTPTrigger(f, emulate.FunctionURL))
	defer front.Close()
	for i := range n {
		body := fmt.Sprintf(`{"message":{"type":"status-update","call":{"id":"CA-%d","status":"ongoing"}}}`, i)
		if code, said := post(t, front.URL, body); code != 200 {
			t.Fatalf("event %d: %d %s", i, code, said)
		}
		if i%2 == 1 {
			f.Kill()
		}
	}
}

// The same promise as on SQS, for the files.
func TestNothingAcceptedIsLost(t *testing.T) {
	bootstrap, err := built()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: bootstrap, Freeze: true, Timeout: 30 * time.Second,
		Env: []string{"SERVERURL_EMBEDDED=" + data, "SERVERURL_SECRET=" + secret}})
	defer f.Close()
	acceptAndEnd(t, f, 100)
	files, err := os.ReadDir(filepath.Join(data, "queue"))
	if err != nil || len(files) != 100 {
		t.Errorf("%d events in the queue, 100 were accepted (%v)", len(files), err)
	}
}

func TestBodyOverTheCapIsRefusedByTheFront(t *testing.T) {
	url := run(t, emulate.Options{Trigger: emulate.ALB, Env: []string{"SERVERURL_SECRET=" + secret}})
	if code, body := post(t, url, strings.Repeat(" ", 1_000_001)); code != 413 {
		t.Errorf("%d %s", code, body)
	}
}

func TestConcurrentRequests(t *testing.T) {
	url := run(t, emulate.Options{MaxConcurrency: 8, Freeze: true, Env: []string{"SERVERURL_SECRET=" + secret}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if code, body := post(t, url+"/tools/find_open_slots", `{"date":"2035-07-17"}`); code != 200 || !strings.Contains(body, `{"result":"`) {
					t.Errorf("%d %s", code, body)
				}
			}
		})
	}
	all.Wait()
}

func TestRunRefusesWhatIsNotHere(t *testing.T) {
	for _, c := range []struct {
		o    emulate.Options
		want string
	}{
		{emulate.Options{Addr: "0.0.0.0:8080"}, "loopback"},
		{emulate.Options{Addr: ":8080"}, "loopback"},
		{emulate.Options{Trigger: "api"}, "unknown trigger"},
		{emulate.Options{Env: []string{"TABLE_NAME=calls"}}, "never talks to AWS"},
		{emulate.Options{Env: []string{"AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1"}}, "both"},
	} {
		if err := emulate.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
