package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/coretest"
)

func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane(10*leastBody, 3, 5*time.Second, tellLater)
		leave, ok := l.enter(t.Context(), 9*leastBody)
		if !ok {
			t.Fatal("no room in an empty lane")
		}
		go func() { time.Sleep(2 * time.Second); leave() }()
		begin := time.Now()
		leave2, ok := l.enter(t.Context(), 1<<40) // clamped: it has the lane for itself
		if waited := time.Since(begin); !ok || waited != 2*time.Second {
			t.Fatalf("%v after %v, want room when the first leaves", ok, waited)
		}
		begin = time.Now()
		if _, ok := l.enter(t.Context(), 1); ok || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v, want no room after 5 s", ok, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 { // the places of the waiting
			go l.enter(ctx, 1)
		}
		synctest.Wait()
		begin = time.Now()
		if _, ok := l.enter(t.Context(), 1); ok || time.Since(begin) != 0 {
			t.Errorf("%v after %v, want to be refused at once", ok, time.Since(begin))
		}
		cancel()
		synctest.Wait()
		leave2()
		for range 3 {
			if _, ok := l.enter(t.Context(), 1); !ok {
				t.Error("a place was not given back")
			}
		}
	})
}

// nowhere is an inbox that takes all.
type nowhere struct{}

func (nowhere) Put(context.Context, ...core.Envelope) error { return nil }

func TestGate(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "echo", Description: "Says it.", Effect: core.ReadOnly},
		func(_ context.Context, in struct {
			Say string `json:"say"`
		}) (string, error) {
			return in.Say, nil
		})
	err := p.Bind(core.Platform{Name: "test", Store: coretest.NewStore(), Inbox: nowhere{}, Sender: core.Sender{Secrets: core.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(p, 1<<20)
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

	leaveEvents, _ := g.events.enter(t.Context(), g.events.bytes)
	if w := ask("/events", event, testSecret); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != `{"error":"try again"}` {
		t.Errorf("an event without room: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := ask("/tools/echo", `{"say":"yes"}`, testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "yes") {
		t.Errorf("a tool beside a flood of events: %d %s", w.Code, w.Body)
	}
	if w := ask("/events", event, "another secret that is long enough"); w.Code != 401 {
		t.Errorf("a stranger: %d, want 401 at once", w.Code)
	}
	leaveTools, _ := g.tools.enter(t.Context(), g.tools.bytes)
	if w := ask("/tools/echo", `{"say":"yes"}`, testSecret); w.Code != 200 || !strings.Contains(w.Body.String(), "I cannot do that at this moment") {
		t.Errorf("a tool without room: %d %s, want a sentence", w.Code, w.Body)
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

// A body of a stranger is not read, so that nobody without a secret can take room
// or time.
func TestStrangersAreNotRead(t *testing.T) {
	p := core.New()
	if err := p.Bind(core.Platform{Name: "test", Store: coretest.NewStore(), Inbox: nowhere{}, Sender: core.Sender{Secrets: core.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/events", "/tools/echo", "/nothing"} {
		r := httptest.NewRequest("POST", path, unreadable{t})
		w := httptest.NewRecorder()
		newGate(p, 1<<20).handler(corehttp.Handler(p)).ServeHTTP(w, r)
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
