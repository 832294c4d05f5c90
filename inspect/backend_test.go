package inspect_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/simulate"
)

// A backend is in memory, and has a page.
type backend struct {
	t     testing.TB
	p     *core.Processor
	store *coretest.MemoryStore
	url   string
	page  string
	inbox *memoryInbox
	down  atomic.Bool  // the store fails
	ahead atomic.Int64 // how far the backend's clock is ahead, in ns
	seed  uint64       // of the last call that was played
}

// memoryInbox delivers at once. Its dead letters are what a test puts there.
type memoryInbox struct {
	deliver   func(context.Context, core.Envelope) error
	mu        sync.Mutex
	dead      []core.DeadLetter
	delivered []core.Envelope
}

func (in *memoryInbox) Put(ctx context.Context, es ...core.Envelope) error {
	in.mu.Lock()
	in.delivered = append(in.delivered, es...)
	in.mu.Unlock()
	for _, e := range es {
		if err := in.deliver(context.WithoutCancel(ctx), e); err != nil {
			return err
		}
	}
	return nil
}

func (in *memoryInbox) pending(context.Context, int) (int, error) { return 3, nil }

func (in *memoryInbox) List(context.Context, int) ([]core.DeadLetter, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.dead), nil
}

func (in *memoryInbox) Get(_ context.Context, id string) (core.DeadLetter, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, d := range in.dead {
		if d.ID == id {
			return d, nil
		}
	}
	return core.DeadLetter{}, core.ErrDeadLetterNotFound
}

func (in *memoryInbox) Delete(_ context.Context, id string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.dead = slices.DeleteFunc(in.dead, func(d core.DeadLetter) bool { return d.ID == id })
	return nil
}

// startBackend starts a backend and its page, whose options change may change.
func startBackend(t testing.TB, change ...func(*inspect.Options)) *backend {
	t.Helper()
	d := &backend{t: t, p: app.New(), store: coretest.NewMemoryStore(), seed: 59}
	d.store.Fail = func(string, []string) error {
		if d.down.Load() {
			return errors.New("down")
		}
		return nil
	}
	core.AddTool(d.p, core.Tool{Name: "check_insurance", Description: "Whether a plan is accepted.", Effect: core.ReadOnly},
		func(ctx context.Context, in struct {
			Plan string `json:"plan" jsonschema:"the name of the plan"`
		}) (string, error) {
			if in.Plan == "slow" {
				time.Sleep(3200 * time.Millisecond) // the page shows this latency
			}
			return "Covered.", nil
		})
	r := inspect.NewRecorder()
	d.p.Observe(r.Observe)
	d.inbox = &memoryInbox{deliver: d.p.Deliver}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	err := d.p.Bind(core.Platform{Name: "test", Store: d.store, Inbox: d.inbox, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: quiet,
		Now: func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(corehttp.Handler(d.p))
	t.Cleanup(server.Close)
	d.url = server.URL
	o := inspect.Options{Name: "memory", Recorder: r, Processor: d.p, BackendURL: d.url, Inbox: d.inbox, DeadLetters: d.inbox, Pending: d.inbox.pending, PollInterval: 100 * time.Millisecond, Logger: quiet}
	for _, s := range simulate.List() {
		o.Scenarios = append(o.Scenarios, inspect.Scenario{Name: s.Name, About: s.About})
	}
	o.Play = func(ctx context.Context, name string) error {
		s, err := simulate.Load(name)
		if err == nil {
			_, err = simulate.Run(ctx, simulate.Options{URL: d.url, NoDelay: true, CallIDInURL: true}, s)
		}
		return err
	}
	for _, c := range change {
		c(&o)
	}
	d.page = serve(t, d.store, o)
	ctx, stop := context.WithCancel(context.Background())
	recorded := make(chan error, 1)
	go func() { recorded <- r.Run(ctx, d.store) }()
	t.Cleanup(func() { stop(); <-recorded })
	return d
}

// serve runs a page until the test ends, and returns its URL.
func serve(t testing.TB, s records.Store, o inspect.Options) string {
	t.Helper()
	page := inspect.New(s, &o)
	ctx, stop := context.WithCancel(context.Background())
	ready, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- page.Run(ctx, "127.0.0.1:0", func(url string) { ready <- url }) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	select {
	case url := <-ready:
		return url
	case err := <-served:
		served <- err
		t.Fatal(err)
	}
	return ""
}

// play plays a scenario, fast, and returns the call.
func (d *backend) play(name string, faults ...simulate.Fault) string {
	d.t.Helper()
	d.seed++
	s, err := simulate.Load(name)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := simulate.Run(d.t.Context(), simulate.Options{URL: d.url, NoDelay: !*screenshots || len(faults) > 0, Speed: 6, CallIDInURL: true, Faults: faults, Seed: d.seed}, s)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.Call
}

// post sends a body to the backend, valid or not.
func (d *backend) post(path, body string) int {
	d.t.Helper()
	resp, err := http.Post(d.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// status sends an event about the state of a call.
func (d *backend) status(call, status string) {
	d.t.Helper()
	d.post("/events", `{"message":{"type":"status-update","timestamp":1784044931823,"call":{"id":"`+call+`","status":"`+status+
		`","userNumber":"+14155550142","metadata":{"practiceId":"prac_204"}},"assistant":{"_id":"a1","name":"Front desk"}}}`)
}

// audit returns the audit log.
func (d *backend) audit() []calls.AuditEntry {
	d.t.Helper()
	log, _, err := calls.ReadAudit(d.t.Context(), d.store, "", 100)
	if err != nil {
		d.t.Fatal(err)
	}
	return log
}

// said sends a conversation of one message.
func (d *backend) said(call, text string) {
	d.t.Helper()
	d.post("/events", `{"message":{"type":"conversation-update","call":{"id":"`+call+`","status":"ongoing"},"messages":[{"messageId":"user-1","role":"user","text":"`+text+`","timestamp":1784044931823}]}}`)
}

// A client is a visitor without a browser, with its cookies.
type client struct {
	t    *testing.T
	root string
	http.Client
}

func newClient(t *testing.T, root string) *client {
	c := &client{t: t, root: root}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = &oneJar{}
	return c
}

// oneJar has the cookies of a single server.
type oneJar struct{ cookies []*http.Cookie }

func (j *oneJar) SetCookies(_ *url.URL, cs []*http.Cookie) { j.cookies = cs }
func (j *oneJar) Cookies(*url.URL) []*http.Cookie          { return j.cookies }

func (c *client) get(path string, header ...string) (int, string) {
	c.t.Helper()
	return c.do("GET", path, nil, header...)
}

func (c *client) send(path string, form url.Values, header ...string) (int, string) {
	c.t.Helper()
	return c.do("POST", path, form, header...)
}

func (c *client) do(method, path string, form url.Values, header ...string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.root+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// until fetches a page until it contains want.
func (c *client) until(path, want string) string {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		_, body := c.get(path)
		if strings.Contains(body, want) {
			return body
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s never had %q:\n%s", path, want, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
