package gcp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	// What Google's builder adds is required here, so that go.sum has it.
	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
)

var _ = funcframework.Start

// box is an inbox in memory: a message is the text of its envelope's body.
type box struct{}

func (b *box) Put(context.Context, ...core.Envelope) error { return nil }

func (b *box) Decode(_ context.Context, data []byte) ([]core.Envelope, error) {
	switch string(data) {
	case "broken":
		return nil, errors.New("canary: it cannot be opened")
	case "panics":
		panic("canary: it panics")
	}
	var es []core.Envelope
	for i, id := range strings.Fields(string(data)) {
		es = append(es, core.Envelope{ID: fmt.Sprint(i, id), Type: "hang", Call: event.CallID(id), Received: time.Now(),
			Body: fmt.Appendf(nil, `{"message":{"type":"hang","call":{"id":%q,"status":"ongoing"}}}`, id)})
	}
	return es, nil
}

// functions are those of a backend in memory, and what they log.
func functions(t testing.TB, change func(*core.Processor), o gcp.Options) (*gcp.Functions, *coretest.MemoryStore, *bytes.Buffer) {
	t.Helper()
	log, p, store := new(bytes.Buffer), core.New(), coretest.NewMemoryStore()
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if change != nil {
		change(p)
	}
	err := p.Bind(core.Platform{Name: "gcp", Store: store, Inbox: new(box), Verifier: auth.Verifier{AllowUnauthenticated: true}, ReplyTimeout: o.Timeout, Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	return gcp.NewFunctions(p, new(box).Decode, &o), store, log
}

// message is a CloudEvent as Eventarc sends it.
func message(data string) cloudevent.Event {
	return raw(fmt.Sprintf(`{"message":{"data":%q,"messageId":"1","attributes":{"type":"hang"},"publishTime":"2035-07-16T09:00:00Z","orderingKey":""},`+
		`"subscription":"projects/p/subscriptions/s","deliveryAttempt":3}`, base64.StdEncoding.EncodeToString([]byte(data))))
}

func raw(data string) cloudevent.Event {
	e := cloudevent.New()
	e.SetID("1")
	e.SetSource("//pubsub.googleapis.com/projects/p/topics/t")
	e.SetType("google.cloud.pubsub.topic.v1.messagePublished")
	_ = e.SetData("application/json", []byte(data))
	return e
}

func TestDeliverDelivers(t *testing.T) {
	f, store, _ := functions(t, nil, gcp.Options{})
	for range 2 { // again changes nothing
		if err := f.Deliver(t.Context(), message("CA1 CA2")); err != nil {
			t.Fatal(err)
		}
		for _, id := range []event.CallID{"CA1", "CA2"} {
			if c, err := calls.Read(t.Context(), store, id); err != nil || c.PendingHandlers != 0 {
				t.Errorf("%s: %+v, %v", id, c.Summary, err)
			}
		}
	}
}

// What cannot be delivered fails, so that it is redelivered, and neither the
// error, which the framework logs, nor our log holds anything of it.
func TestDeliverFails(t *testing.T) {
	for name, c := range map[string]struct {
		e    cloudevent.Event
		want string
	}{
		"a message that cannot be opened": {message("broken"), "redelivered"},
		"a panic":                         {message("panics"), "panic"},
		"a handler that fails":            {message("CA-canary"), "redelivered"},
		"no JSON":                         {raw("canary"), "not a Pub/Sub message"},
		"another event":                   {raw(`{"name":"canary"}`), "not a Pub/Sub message"},
		"data that is no base64":          {raw(`{"message":{"data":"canary!"}}`), "not a Pub/Sub message"},
		"no data":                         {raw(``), "not a Pub/Sub message"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, log := functions(t, func(p *core.Processor) {
				p.OnHang(func(context.Context, core.Hang) error { return errors.New("canary: a handler says") })
			}, gcp.Options{})
			err := f.Deliver(t.Context(), c.e)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if text := fmt.Sprint(err, log); strings.Contains(text, "canary") || log.Len() == 0 {
				t.Errorf("said %s", text)
			}
			if said := log.String(); name == "a handler that fails" && !strings.Contains(said, `msg="delivery failed" platform=gcp type=hang call=`) {
				t.Errorf("not which event: %s", said)
			}
		})
	}
}

// An envelope that fails does not keep the others of its message from being
// delivered.
func TestDeliverDeliversTheOthers(t *testing.T) {
	f, store, _ := functions(t, func(p *core.Processor) {
		p.OnHang(func(_ context.Context, e core.Hang) error {
			if e.Call.ID == "CA1" {
				return errors.New("not this one")
			}
			return nil
		})
	}, gcp.Options{})
	if err := f.Deliver(t.Context(), message("CA1 CA2")); err == nil {
		t.Error("no error")
	}
	if c, err := calls.Read(t.Context(), store, "CA2"); err != nil || c.PendingHandlers != 0 {
		t.Errorf("%+v, %v", c.Summary, err)
	}
}

// A function knows when its time is over, and ends its work before.
func TestTimeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left []time.Duration
		f, _, _ := functions(t, func(p *core.Processor) {
			p.OnHang(func(ctx context.Context, _ core.Hang) error {
				at, _ := ctx.Deadline()
				left = append(left, time.Until(at))
				<-ctx.Done()
				return ctx.Err()
			})
			core.AddTool(p, core.Tool{Name: "slow", Budget: time.Minute, Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			})
		}, gcp.Options{Timeout: 10 * time.Second})
		if err := f.Deliver(t.Context(), message("CA1")); err == nil {
			t.Error("no error")
		}
		if len(left) != 1 || left[0] > 8*time.Second {
			t.Errorf("%v were left, want 8 s at most", left)
		}
		start, w := time.Now(), httptest.NewRecorder()
		f.Receive(w, httptest.NewRequest("POST", "/tools/slow", strings.NewReader("{}")))
		if took := time.Since(start); w.Code != 200 || took >= 10*time.Second || took < 9*time.Second {
			t.Errorf("%d after %v, want 200 before 10 s", w.Code, took)
		}
	})
}

// Sweep answers POST and nothing else, and says when it was not complete.
func TestSweep(t *testing.T) {
	f, store, log := functions(t, nil, gcp.Options{})
	sweep := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		f.Sweep(w, httptest.NewRequest(method, "/", nil))
		return w
	}
	if w := sweep("GET"); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
	if w := sweep("POST"); w.Code != 200 || w.Body.String() != "{}" {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
	store.Fail = func(string, []string) error { return errors.New("canary: the store is down") }
	if w := sweep("POST"); w.Code != 500 || strings.Contains(w.Body.String()+log.String(), "canary") {
		t.Errorf("with the store down: %d %s, log %s", w.Code, w.Body, log)
	}
}

// Outside of a function nothing is looked at before the first request, and
// then it fails closed.
func TestMainOutsideOfAFunction(t *testing.T) {
	f := gcp.Main(core.New())
	w := httptest.NewRecorder()
	f.Receive(w, httptest.NewRequest("POST", "/events", strings.NewReader("{}")))
	if w.Code != 503 {
		t.Errorf("Receive: %d", w.Code)
	}
	w = httptest.NewRecorder()
	f.Sweep(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 503 {
		t.Errorf("Sweep: %d", w.Code)
	}
	if err := f.Deliver(t.Context(), message("CA1")); err == nil {
		t.Error("Deliver: no error")
	}
}

// 40 racers on one key, on two instances that share the database, 50 rounds:
// one execution each round, equal replies.
func TestRacersOnEmulator(t *testing.T) {
	host, project := gcptest.Firestore(t), gcptest.Project()
	var runs atomic.Int64
	var instances []http.Handler
	for range 2 {
		p := core.New()
		core.AddTool(p, core.Tool{Name: "book", Budget: 20 * time.Second}, func(context.Context, struct {
			N int `json:"n"`
		}) (string, error) {
			return fmt.Sprintf("Booked %d.", runs.Add(1)), nil
		})
		store, logger := gcptest.Store(t, host, project), slog.New(slog.DiscardHandler)
		if err := p.Bind(core.Platform{Name: "gcp", Store: store, Inbox: new(box), Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: logger}); err != nil {
			t.Fatal(err)
		}
		instances = append(instances, http.HandlerFunc(gcp.NewFunctions(p, new(box).Decode, &gcp.Options{Logger: logger}).Receive))
	}
	for round := range 50 {
		replies := make([]string, 40)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() {
				w := httptest.NewRecorder()
				instances[i%2].ServeHTTP(w, httptest.NewRequest("POST", "/tools/book?call=CA1", strings.NewReader(fmt.Sprintf(`{"n":%d}`, round))))
				replies[i] = w.Body.String()
			})
		}
		wg.Wait()
		for _, r := range replies {
			if r != replies[0] || !strings.Contains(r, "Booked") {
				t.Fatalf("round %d: replies differ: %s and %s", round, replies[0], r)
			}
		}
		if runs.Load() != int64(round+1) {
			t.Fatalf("round %d: %d executions", round, runs.Load())
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	f, _, _ := functions(b, nil, gcp.Options{Timeout: time.Minute})
	for b.Loop() {
		w := httptest.NewRecorder()
		f.Receive(w, httptest.NewRequest("POST", "/tools/none", strings.NewReader("{}")))
		_, _ = io.Copy(io.Discard, w.Body)
	}
}
