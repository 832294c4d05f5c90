package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
)

func TestClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newClass(10*minBodyBytes, 3, 5*time.Second, rejectEvent)
		leave, ok := l.acquire(t.Context(), 9*minBodyBytes)
		if !ok {
			t.Fatal("no room in an empty lane")
		}
		go func() { time.Sleep(2 * time.Second); leave() }()
		begin := time.Now()
		leave2, ok := l.acquire(t.Context(), 1<<40) // clamped: it has the whole class
		if waited := time.Since(begin); !ok || waited != 2*time.Second {
			t.Fatalf("%v after %v, want room when the first leaves", ok, waited)
		}
		begin = time.Now()
		if _, ok := l.acquire(t.Context(), 1); ok || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v, want no room after 5 s", ok, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 { // the places of the waiting
			go l.acquire(ctx, 1)
		}
		synctest.Wait()
		begin = time.Now()
		if _, ok := l.acquire(t.Context(), 1); ok || time.Since(begin) != 0 {
			t.Errorf("%v after %v, want to be refused at once", ok, time.Since(begin))
		}
		cancel()
		synctest.Wait()
		leave2()
		for range 3 {
			if _, ok := l.acquire(t.Context(), 1); !ok {
				t.Error("a place was not given back")
			}
		}
	})
}

// nowhere is an inbox that takes all.
type nowhere struct{}

func (nowhere) Put(context.Context, ...core.Envelope) error { return nil }

func TestAdmission(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "echo", Description: "Says it.", Effect: core.ReadOnly},
		func(_ context.Context, in struct {
			Say string `json:"say"`
		}) (string, error) {
			return in.Say, nil
		})
	err := p.Bind(core.Platform{Name: "test", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g := newAdmissionControl(p, 1<<20)
	g.events.wait, g.tools.wait = time.Millisecond, time.Millisecond
	h := g.handler(corehttp.Handler(p))
	ask := func(path, body, secret string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("X-Interactly-Secret", secret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const event = `{"message":{"type":"hang","call":{"id":"CA1"}}}`

	leaveEvents, _ := g.events.acquire(t.Context(), g.events.maxBytes)
	if w := ask("/events", event, testSecret); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != `{"error":"try again"}` {
		t.Errorf("an event without room: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := ask("/tools/echo", `{"say":"yes"}`, testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "yes") {
		t.Errorf("a tool beside a flood of events: %d %s", w.Code, w.Body)
	}
	// A tool call in an envelope goes to the events' URL, and a caller waits for
	// it; so does one in which the type comes late.
	const envelope = `{"message":{%s"call":{"id":"CA1"},"toolCallList":[{"id":"t1","function":{"name":"echo","arguments":{"say":"yes"}}}],"type":"tool-calls"}}`
	for _, before := range []string{`"type":"tool-calls",`, "", `"artifact":"` + strings.Repeat("a", 2*prefixBytes) + `",`} {
		body := fmt.Sprintf(envelope, before)
		if strings.HasPrefix(before, `"type"`) {
			body = strings.Replace(body, `,"type":"tool-calls"}}`, `}}`, 1)
		}
		if w := ask("/events", body, testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "yes") {
			t.Errorf("a tool call in an envelope, while events wait: %d %s", w.Code, w.Body)
		}
	}
	if w := ask("/events", event, "another secret that is long enough"); w.Code != 401 {
		t.Errorf("a stranger: %d, want 401 at once", w.Code)
	}
	leaveTools, _ := g.tools.acquire(t.Context(), g.tools.maxBytes)
	if w := ask("/tools/echo", `{"say":"yes"}`, testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "I cannot do that at this moment") {
		t.Errorf("a tool without room: %d %s, want a sentence", w.Code, w.Body)
	}
	if w := ask("/events", fmt.Sprintf(envelope, ""), testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "I cannot do that at this moment") {
		t.Errorf("a tool call in an envelope without room: %d %s, want a sentence", w.Code, w.Body)
	}
	if w := ask("/events", `{"message":{"type":"assistant-request","call":{"id":"CA1"}}}`, testSecret); w.Code != 503 {
		t.Errorf("a request for a reply without room: %d, want 503", w.Code)
	}
	leaveEvents()
	leaveTools()
	if w := ask("/events", event, testSecret); w.Code != 200 {
		t.Errorf("an event with room: %d", w.Code)
	}
	if w := ask("/tools/echo", `{"say":"yes"}`, testSecret); !strings.Contains(w.Body.String(), "yes") {
		t.Errorf("a tool with room: %s", w.Body)
	}
}

// boundAnywhere is a processor that takes all events of who knows the secret.
func boundAnywhere(t *testing.T) *core.Processor {
	t.Helper()
	p := core.New()
	if err := p.Bind(core.Platform{Name: "test", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a request of a size through a handler that does not look at its body.
func ask(h http.Handler, path string, size int64) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(`{"message":{"type":"hang"}}`))
	r.Header.Set("X-Interactly-Secret", testSecret)
	r.ContentLength = size
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// However many requests arrive, no more bytes are inside than the capacity; each is
// answered 200, or 503 with Retry-After, in time; and a request that waits gets in.
func TestAdmissionIsBounded(t *testing.T) {
	p := boundAnywhere(t)
	synctest.Test(t, func(t *testing.T) {
		const mb = 1 << 20
		var mu sync.Mutex
		var inside, most int64
		h := newAdmissionControl(p, 64*mb).handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			inside += r.ContentLength
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			inside -= r.ContentLength
			mu.Unlock()
		}))
		begin := time.Now()
		answers := map[int]int{}
		var all sync.WaitGroup
		for range 256 {
			all.Go(func() {
				w := ask(h, "/events", 6*mb)
				mu.Lock()
				defer mu.Unlock()
				if answers[w.Code]++; w.Code == 503 && w.Header().Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			})
		}
		all.Wait()
		if most > 32*mb || most < 24*mb {
			t.Errorf("%d bytes at a time, want up to half of 64 MiB", most)
		}
		if answers[200] < 25 || answers[200]+answers[503] != 256 || time.Since(begin) > 7*time.Second {
			t.Errorf("answers %v after %v; want five a second for the 5 s that one waits, and no others", answers, time.Since(begin))
		}
	})
}

// Large events block neither tool calls nor ordinary events, and a burst of the
// latter blocks no tool calls.
func TestAdmissionClasses(t *testing.T) {
	p := boundAnywhere(t)
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		slow := true
		h := newAdmissionControl(p, 64<<20).handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if slow {
				<-leave
			}
		}))
		var all sync.WaitGroup
		flood := func(path string, size int64, n int) {
			slow = true
			for range n {
				all.Go(func() { ask(h, path, size) })
			}
			synctest.Wait()
			slow = false
		}
		atOnce := func(path string, size int64, among string) {
			t.Helper()
			begin := time.Now()
			if w := ask(h, path, size); w.Code != 200 || w.Body.Len() != 0 || time.Since(begin) != 0 {
				t.Errorf("among %s: %s is answered %d %s after %v", among, path, w.Code, w.Body, time.Since(begin))
			}
		}
		flood("/events", 6<<20, 5)
		atOnce("/events", 20_000, "large events")
		atOnce("/tools/x", 1<<20, "large events")
		flood("/events", maxSmallBytes, 256)
		atOnce("/tools/x", 1<<20, "events")
		if w := ask(h, "/events", 20_000); w.Code != 503 {
			t.Errorf("no room for events: %d", w.Code)
		}
		close(leave)
		all.Wait()
		atOnce("/events", 6<<20, "nobody")
	})
}

// A body that is larger than the class takes the whole class.
func TestAdmissionOfAnySize(t *testing.T) {
	p := boundAnywhere(t)
	for _, most := range []int64{1, 1 << 20, 64 << 20} {
		h := newAdmissionControl(p, most).handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for _, size := range []int64{-1, 0, 1, 1 << 20, 1 << 40} {
			for _, path := range []string{"/events", "/tools/x"} {
				if w := ask(h, path, size); w.Code != 200 || w.Body.Len() != 0 {
					t.Errorf("gate of %d, body of %d: %d %s", most, size, w.Code, w.Body)
				}
			}
		}
	}
}

// chunks is a body of unknown length that comes in pieces.
type chunks struct {
	io.Reader
	pause time.Duration
}

func (c chunks) Read(p []byte) (int, error) {
	time.Sleep(c.pause)
	return c.Reader.Read(p[:min(len(p), 16<<10)])
}

// slowTool is a processor with a tool that takes 1.5 s.
func slowTool(t *testing.T) *core.Processor {
	t.Helper()
	p := core.New()
	type in struct {
		Text string `json:"text"`
	}
	core.AddTool(p, core.Tool{Name: "slow", Effect: core.ReadOnly}, func(_ context.Context, in in) (string, error) {
		time.Sleep(1500 * time.Millisecond)
		return fmt.Sprint(len(in.Text)), nil
	})
	err := p.Bind(core.Platform{Name: "test", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Tunnels and .NET send bodies in chunks. They are served like those that say how
// long they are: capacity is charged for the bytes that came.
func TestAdmissionOfChunks(t *testing.T) {
	const some = -1
	const noCapacity = "I cannot do that at this moment"
	for _, c := range []struct {
		what       string
		callers, n int
		pause      time.Duration
		refused    int
	}{
		{"six callers at once", 6, 10, 0, 0},
		{"bodies that take two seconds to come", 6, 10, time.Second, 0},
		{"larger bodies", 6, 900 << 10, 0, 0},
		{"more than there is capacity for", 6, 900 << 12, 0, some},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := slowTool(t)
			g := newAdmissionControl(p, 64<<20)
			h := g.handler(corehttp.Handler(p))
			var mu sync.Mutex
			refused := 0
			var all sync.WaitGroup
			for range c.callers {
				all.Go(func() {
					body := `{"text":"` + strings.Repeat("a", c.n%(1<<20)) + `"}` + strings.Repeat(" ", c.n)
					r := httptest.NewRequest("POST", "/tools/slow", chunks{strings.NewReader(body), c.pause})
					r.Header.Set("X-Interactly-Secret", testSecret)
					r.ContentLength = -1
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					mu.Lock()
					defer mu.Unlock()
					if strings.Contains(w.Body.String(), noCapacity) {
						refused++
					} else if want := fmt.Sprintf(`{"result":"%d"}`, c.n%(1<<20)); w.Code != 200 || w.Body.String() != want {
						t.Errorf("%s: %d %s, want %s", c.what, w.Code, w.Body, want)
					}
				})
			}
			all.Wait()
			if refused != c.refused && (c.refused != some || refused == 0 || refused == c.callers) {
				t.Errorf("%s: %d of %d were refused, want %d", c.what, refused, c.callers, c.refused)
			}
			if !g.tools.bytes.TryAcquire(g.tools.maxBytes) || len(g.tools.slots) != 0 {
				t.Errorf("%s: capacity was not given back", c.what)
			}
		})
	}
}

// A sender that knows the secret and sends no more than the beginning of a body
// holds capacity for a limited time: others get in.
func TestAdmissionCutsOffASlowBody(t *testing.T) {
	p := boundAnywhere(t)
	g := newAdmissionControl(p, 120_000) // one large event at a time
	g.large.wait, g.large.bodyTimeout = 10*time.Second, 10*time.Millisecond
	inside := make(chan struct{}, 100)
	srv := httptest.NewServer(g.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		corehttp.Handler(p).ServeHTTP(w, r)
	})))
	defer srv.Close()
	for range 5 {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: x\r\nX-Interactly-Secret: %s\r\nContent-Length: 100000\r\n\r\n{%s", testSecret, strings.Repeat(" ", prefixBytes))
	}
	<-inside // one of them has the capacity
	body := `{"message":{"type":"hang","call":{"id":"CA1"},"x":"` + strings.Repeat("x", 100_000) + `"}}`
	if status, reply, err := post(http.DefaultClient, srv.URL+"/events", body); err != nil || status != 200 {
		t.Errorf("%d %s %v", status, reply, err)
	}
}

// The caller of a tool whose body does not arrive gets a sentence, not silence.
func TestSlowToolBodyIsAnswered(t *testing.T) {
	p := boundAnywhere(t)
	g := newAdmissionControl(p, 1<<20)
	g.tools.bodyTimeout = 10 * time.Millisecond
	srv := httptest.NewServer(g.handler(corehttp.Handler(p)))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /tools/echo HTTP/1.1\r\nHost: x\r\nX-Interactly-Secret: %s\r\nContent-Length: 1000\r\n\r\n{", testSecret)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), "nothing was changed") {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

// A sender that is refused while it sends receives the reason, even if its body
// fits no buffer.
func TestRefusalIsReceived(t *testing.T) {
	p := boundAnywhere(t)
	g := newAdmissionControl(p, 1<<20)
	g.large.wait = time.Millisecond
	leave, _ := g.large.acquire(t.Context(), g.large.maxBytes)
	defer leave()
	srv := httptest.NewServer(g.handler(corehttp.Handler(p)))
	defer srv.Close()
	for range 20 {
		if status, reply, err := post(http.DefaultClient, srv.URL+"/events", strings.Repeat("x", 6<<20)); status != 503 {
			t.Errorf("%d %s %v", status, reply, err)
		}
	}
}

// The body of an unauthenticated request is not read, so that a client without a
// secret can take neither memory nor time.
func TestUnauthenticatedBodiesAreNotRead(t *testing.T) {
	p := core.New()
	if err := p.Bind(core.Platform{Name: "test", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/events", "/tools/echo", "/nothing"} {
		r := httptest.NewRequest("POST", path, unreadable{t})
		w := httptest.NewRecorder()
		newAdmissionControl(p, 1<<20).handler(corehttp.Handler(p)).ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized && w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}

// Without a secret, only what runs on this machine may send: not a page in the
// developer's browser, whatever type its body has.
func TestPagesOfOthersMayNotSend(t *testing.T) {
	for _, development := range []bool{true, false} {
		verifier := auth.Verifier{AllowUnauthenticated: development}
		if !development {
			verifier.Secrets = auth.ParseSecrets(testSecret)
		}
		p := core.New()
		if err := p.Bind(core.Platform{Name: "test", Store: coretest.NewMemoryStore(), Inbox: nowhere{}, Verifier: verifier, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		r := &running{Config: Config{Verifier: verifier}.withDefaults(), p: p}
		for site, want := range map[string]int{"": 200, "same-origin": 200, "cross-site": 403} {
			if !development {
				want = 200 // a page of others does not have the secret
			}
			req := httptest.NewRequest("POST", "http://127.0.0.1:8080/tools/none", strings.NewReader(`{}`))
			req.Header.Set("Content-Type", "text/plain")
			req.Header.Set("X-Interactly-Secret", testSecret)
			req.Header.Set("Sec-Fetch-Site", site)
			w := httptest.NewRecorder()
			r.httpServer(nil).Handler.ServeHTTP(w, req)
			if w.Code != want {
				t.Errorf("development %v, %q: %d, want %d", development, site, w.Code, want)
			}
		}
	}
}
