package cloudflare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/platform"
)

// A worker checks its start before its first request. An instance whose check fails
// answers 503 and is let go, so that the next one checks again.
func TestStart(t *testing.T) {
	env := envconfig.New(envconfig.Cloudflare, func(name string) string {
		return map[string]string{"SERVERURL_SECRET": wasmSecret}[name]
	})
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	b := fakeFetch(func(operation, []byte) (result, []byte) { return result{Status: 204}, nil })
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	fails, checks := true, 0
	o := platform.Options{
		Now:    func() time.Time { return at },
		Limits: core.Limits{MaxBodyBytes: 100},
		Start: func(ctx context.Context) error {
			checks++
			if _, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "https://pms.test/"}); err != nil || fails {
				return errors.Join(err, errors.New("the calendar does not answer"))
			}
			return nil
		},
	}
	store := coretest.NewMemoryStore()
	p := core.New()
	if err := bind(p, b, store, NewInbox(b, store), logger, env, o); err != nil {
		t.Fatal(err)
	}
	if !p.Now().Equal(at) || p.MaxBodyBytes() != 100 {
		t.Errorf("%v, %d bytes", p.Now(), p.MaxBodyBytes())
	}
	w := worker{p: p, log: logger, start: starter(b, logger, env, o), outage: new(errcode.Outage)}
	run := func() (status int, idle bool) {
		frame, err := encodeFrame(invocation{Kind: "fetch", Method: "GET", Path: "/events"})
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		idle = w.run(t.Context(), frame, func(answer []byte) {
			if _, err := decodeFrame(answer, &r); err != nil {
				t.Error(err)
			}
		})
		return r.Status, idle
	}
	if status, idle := run(); status != 503 || idle {
		t.Errorf("the check fails: %d, kept: %t", status, idle)
	}
	fails = false
	for range 2 {
		if status, idle := run(); status != 405 || !idle {
			t.Errorf("the check passes: %d, kept: %t", status, idle)
		}
	}
	if checks != 2 {
		t.Errorf("%d checks", checks)
	}
	if said := log.String(); strings.Count(said, "level=INFO msg=started platform=cloudflare") != 1 || !strings.Contains(said, "store=d1 retention=forever secrets=1") {
		t.Error(said)
	}
}

// The log says of which event a delivery failed.
func TestFailedDelivery(t *testing.T) {
	p := core.New()
	p.OnHang(func(context.Context, core.Hang) error { return errors.New("canary") })
	b := fakeFetch(func(operation, []byte) (result, []byte) { return result{}, nil })
	store := coretest.NewMemoryStore()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	env := envconfig.New(envconfig.Cloudflare, func(name string) string { return map[string]string{"SERVERURL_SECRET": wasmSecret}[name] })
	if err := bind(p, b, store, NewInbox(b, store), logger, env, platform.Options{}); err != nil {
		t.Fatal(err)
	}
	headers, bodies := envelope.Split([]core.Envelope{{ID: "1", Received: time.Now(), Type: "hang", Call: "CA1", Body: []byte(`{"message":{"type":"hang","call":{"id":"CA1"}}}`)}})
	frame, err := encodeFrame(message{Envelopes: headers}, bodies...)
	if err != nil {
		t.Fatal(err)
	}
	w := worker{p: p, inbox: NewInbox(b, store), log: logger, outage: new(errcode.Outage)}
	if r := w.deliver(t.Context(), 1, frame); r.Done {
		t.Errorf("%+v", r)
	}
	if said := log.String(); !strings.Contains(said, `msg="delivery failed" type=hang call=`+p.LogTag("CA1")+` reason="`) || strings.Contains(said, "canary") {
		t.Error(said)
	}
}

// wrangler.jsonc has the number of attempts after which the log says that a message
// is a dead letter.
func TestMaxAttempts(t *testing.T) {
	b, err := os.ReadFile("../wrangler.jsonc")
	if err != nil || !strings.Contains(string(b), fmt.Sprintf(`"max_retries": %d,`, maxAttempts-1)) {
		t.Errorf("not %d, %v", maxAttempts, err)
	}
}
