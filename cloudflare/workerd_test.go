package cloudflare

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

// A workerd is D1, Queues and R2 of miniflare in workerd, behind the JavaScript
// that is deployed. The Go side runs in the test.
type workerd struct {
	url       string
	client    *http.Client
	databases atomic.Int32 // that are in use

	mu      sync.Mutex
	backend *core.Processor // of requests
	deliver coretest.DeliverFunc
	inbox   *Inbox
	dead    []string
}

// running is the workerd that all tests share: it takes seconds to start.
var running struct {
	*workerd
	stop func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if running.stop != nil {
		running.stop()
	}
	os.Exit(code)
}

// startWorkerd returns the workerd of all tests, with no backend and no inbox.
func startWorkerd(t *testing.T) *workerd {
	t.Helper()
	if running.workerd == nil {
		running.workerd, running.stop = launchWorkerd(t)
	}
	w := running.workerd
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backend, w.deliver, w.inbox, w.dead = nil, nil, nil, nil
	return w
}

func launchWorkerd(t *testing.T) (w *workerd, stop func()) {
	t.Helper()
	node := testenv.Program(t, "node")
	testenv.Program(t, "npm")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := emulate.Install(t.Context(), root, io.Discard); err != nil {
		t.Fatal(err)
	}
	// Without connections that are kept: workerd may close one at the moment at
	// which it is used again.
	w = &workerd{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	callback := httptest.NewServer(w)
	cmd := exec.Command(node, filepath.Join("testdata", "host.mjs"), filepath.Join(root, "wrangler.jsonc"), callback.URL)
	cmd.Env = append(os.Environ(), "WRANGLER_SEND_METRICS=false", "CLOUDFLARE_CF_FETCH_ENABLED=false")
	var said bytes.Buffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		callback.Close()
	}
	line := make([]byte, 100)
	n, err := stdout.Read(line)
	if err != nil {
		stop()
		t.Fatalf("workerd did not start: %v\n%s", err, &said)
	}
	w.url = strings.TrimSpace(string(line[:n]))
	return w, stop
}

// Do implements Bindings. As in a Worker, an operation that is given up goes on.
func (w *workerd) Do(ctx context.Context, frame []byte) ([]byte, error) {
	return w.do(ctx, w.url+"/0", frame)
}

func (w *workerd) do(ctx context.Context, url string, frame []byte) ([]byte, error) {
	type result struct {
		frame []byte
		err   error
	}
	ended := make(chan result, 1)
	frame = bytes.Clone(frame)
	go func() {
		r, err := http.NewRequest("POST", url, bytes.NewReader(frame))
		if err != nil {
			ended <- result{nil, err}
			return
		}
		r.Header.Set("X-Test", "host")
		resp, err := w.client.Do(r)
		if err != nil {
			ended <- result{nil, err}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		ended <- result{b, err}
	}()
	select {
	case r := <-ended:
		return r.frame, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ServeHTTP is what the WASM does for the Worker's handlers.
func (w *workerd) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.mu.Lock()
	deliver, inbox, backend := w.deliver, w.inbox, w.backend
	w.mu.Unlock()
	if r.URL.Path == "/dead" {
		w.died(inbox, body)
		return
	}
	var d invocation
	message, err := decodeFrame(body, &d)
	if err == nil && d.Kind == "fetch" && backend != nil {
		worker{p: backend, log: slog.New(slog.DiscardHandler), outage: new(errcode.Outage)}.run(r.Context(), body, func(frame []byte) { _, _ = out.Write(frame) })
		return
	}
	if err != nil || d.Kind != "message" || inbox == nil {
		http.Error(out, "no", http.StatusInternalServerError)
		return
	}
	// Pauses of a test's length: the deployed ones grow to minutes.
	answer := reply{Done: true}
	ctx, cancel := context.WithTimeout(r.Context(), deliverTimeout)
	defer cancel()
	if inbox.Deliver(ctx, message, deliver) != nil {
		answer = reply{}
	}
	b, _ := encodeFrame(answer)
	_, _ = out.Write(b)
}

func (w *workerd) died(inbox *Inbox, frame []byte) {
	_ = inbox.Deliver(context.Background(), frame, func(_ context.Context, e core.Envelope) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dead = append(w.dead, e.ID)
		return errors.New("kept")
	})
}

// A database is one of the Worker's many.
type database struct {
	*workerd
	n int
}

// Do implements Bindings.
func (d database) Do(ctx context.Context, frame []byte) ([]byte, error) {
	return d.do(ctx, fmt.Sprintf("%s/%d", d.url, d.n), frame)
}

// newStore returns a store in a database of its own.
func (w *workerd) newStore(t *testing.T) *Store {
	t.Helper()
	n := w.databases.Add(1)
	if n >= 80 {
		t.Fatal("testdata/host.mjs makes 80 databases")
	}
	return NewStore(database{w, int(n)})
}

// The store on D1, through the JavaScript that is deployed.
func TestStoreOnD1(t *testing.T) {
	w := startWorkerd(t)
	coretest.Store(t, coretest.Capabilities{RaceIterations: 10}, func(t *testing.T) records.Store { return w.newStore(t) })
}

// A commit may be as large as the core makes it.
func TestLargestCommitOnD1(t *testing.T) {
	s := startWorkerd(t).newStore(t)
	var rs []records.Record
	for n := range records.MaxCommitBytes / records.MaxRecordBytes {
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: bytes.Repeat([]byte{byte(n), 0xff}, records.MaxRecordBytes/2)})
	}
	for n := len(rs); n < records.MaxCommitRecords; n++ {
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: []byte{}})
	}
	if err := s.Commit(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	got, err := s.Range(t.Context(), "large", "", 100)
	if err != nil || len(got) != records.MaxCommitRecords {
		t.Fatalf("%d records, %v", len(got), err)
	}
}

// The inbox on a queue and a bucket, through the consumer that is deployed.
func TestInboxOnQueues(t *testing.T) {
	w := startWorkerd(t)
	open := func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
		in := NewInbox(w, w.newStore(t))
		w.mu.Lock()
		defer w.mu.Unlock()
		w.deliver, w.inbox, w.dead = deliver, in, nil
		return in
	}
	coretest.Inbox(t, coretest.InboxCapabilities{
		ConcurrentEvents: 200,
		DeadLetterIDs: func(context.Context, core.Inbox) ([]string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return append([]string{}, w.dead...), nil
		},
	}, open)
}

// An offloaded message is deleted when it is delivered, and one that nothing
// points at is swept.
func TestOffloadedMessages(t *testing.T) {
	w := startWorkerd(t)
	store := w.newStore(t)
	in := NewInbox(w, store)
	delivered := make(chan core.Envelope, 10)
	w.mu.Lock()
	w.inbox, w.deliver = in, func(_ context.Context, e core.Envelope) error {
		if e.ID == "large" { // and not one of another test
			delivered <- e
		}
		return nil
	}
	w.mu.Unlock()
	offloaded := func() int {
		rs, err := store.Range(t.Context(), offloadDir, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(rs)
	}
	large := core.Envelope{ID: "large", Received: time.UnixMilli(1784044931823).UTC(), Type: event.TypeReport, Call: "CA1", Body: bytes.Repeat([]byte("0123456789"), 20_000)}
	if err := in.Put(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-delivered:
		if !bytes.Equal(e.Body, large.Body) {
			t.Errorf("%d bytes, want %d", len(e.Body), len(large.Body))
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("it was not delivered")
	}
	for end := time.Now().Add(5 * time.Minute); offloaded() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the body is still there after its delivery")
		}
	}

	orphan, err := encodeFrame(message{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.offload(t.Context(), orphan); err != nil { // and then the Worker dies
		t.Fatal(err)
	}
	if err := in.Sweep(t.Context()); err != nil || offloaded() != 1 {
		t.Errorf("a young body was swept, %v", err)
	}
	if err := in.sweep(t.Context(), 0); err != nil || offloaded() != 0 {
		t.Errorf("%d bodies are left, %v", offloaded(), err)
	}
}

// Errors of the platform come out as codes, without its words.
func TestErrorsAreCodes(t *testing.T) {
	w := startWorkerd(t)
	for _, c := range []struct {
		op   operation
		want string
	}{
		{operation{Op: "d1", Statements: []statement{{"SELECT * FROM patients", []any{}}}}, "cloudflare: d1: schema"},
		{operation{Op: "unknown"}, "cloudflare: unknown: binding"},
		{operation{Op: "fetch", Method: "GET", URL: "http://127.0.0.1:1/"}, "cloudflare: fetch: "},
	} {
		_, _, err := do(t.Context(), w, c.op)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "patients") {
			t.Errorf("%s: %v, want %s", c.op.Op, err, c.want)
		}
	}
}

// A signature is over the bytes as they were sent, and a header may hold commas:
// what JavaScript hands to Go holds both.
func TestSignedBytesArrive(t *testing.T) {
	w := startWorkerd(t)
	raw := []byte("b7c1f3a9d2e84056917fae30c5d8b264")
	key := auth.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(raw))
	p := core.New()
	store := w.newStore(t)
	if err := p.Bind(core.Platform{Name: "cloudflare", Store: store, Inbox: NewInbox(w, store), Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{StandardWebhooksSecrets: []auth.Secret{key}}}); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.backend = p
	w.mu.Unlock()
	for _, body := range []string{
		`{"message":{"type":"hang","call":{"id":"CA1"}}}`,
		"\r\n {  \"message\"\t:{\"type\":\"hang\",\"call\":{\"id\":\"CA2\"}}}  \n\n",
		`{"message":{"type":"hang","call":{"id":"CA3"},"note":"Zoë, 日本語, \u00eb, 😀, ` + "\u2028" + `"}}`,
		`{"message":{"type":"hang","call":{"id":"CA4"},"n":1.0E+2,"n2":0.10}}`,
	} {
		for _, sound := range []bool{true, false} {
			signed := body
			if !sound {
				signed += " "
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/events?a=%2F,b", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprint(time.Now().Unix())
			mac := hmac.New(sha256.New, raw)
			mac.Write([]byte("msg_1." + at + "." + signed))
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			r.Header.Set("Date", "Mon, 23 Nov 2026 12:00:00 GMT")
			r.Header.Set("Webhook-Id", "msg_1")
			r.Header.Set("Webhook-Timestamp", at)
			r.Header.Set("Webhook-Signature", "v1,AAAA v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			resp, err := w.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if want := map[bool]int{true: 200, false: 401}[sound]; resp.StatusCode != want {
				t.Errorf("%q, signed as it is: %t: status %d, want %d", body, sound, resp.StatusCode, want)
			}
		}
	}
}
