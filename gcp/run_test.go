package gcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/platform"
)

const runSecret = "gcp-run-test-secret-5d1e77c0"

// environ has what deploy.sh sets.
func environ(name string) string {
	return map[string]string{"FUNCTION_TARGET": "Deliver", "GOOGLE_CLOUD_PROJECT": "p1", "SERVERURL_TOPIC": "events", "SERVERURL_SECRET": runSecret}[name]
}

func TestOptions(t *testing.T) {
	var log bytes.Buffer
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	p, checked := core.New(), 0
	o := platform.Options{
		Start:  func(context.Context) error { checked++; return nil },
		Limits: core.Limits{MaxBodyBytes: 100},
		Now:    func() time.Time { return at },
	}
	if _, err := run(p, o, environ, &log); err != nil {
		t.Fatal(err)
	}
	if checked != 1 || !p.Now().Equal(at) || p.MaxBodyBytes() != 100 {
		t.Errorf("checked %d times, clock %v, %d bytes", checked, p.Now(), p.MaxBodyBytes())
	}
	if line := log.String(); !strings.Contains(line, `"severity":"INFO","message":"started","platform":"gcp","version":`) || !strings.Contains(line, `"store":"firestore","retention":"forever","secrets":1}`) {
		t.Error(line)
	}
	broken := errors.New("the calendar does not answer")
	if _, err := run(core.New(), platform.Options{Start: func(context.Context) error { return broken }}, environ, io.Discard); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A mistake in a function ends the process, after its closers.
func TestMainPanics(t *testing.T) {
	t.Setenv("FUNCTION_TARGET", "Deliver")
	closed := false
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "GOOGLE_CLOUD_PROJECT is not set") || !closed {
			t.Errorf("%v, closed: %t", err, closed)
		}
	}()
	Main(core.New(), platform.Options{Close: []func(context.Context) error{func(context.Context) error { closed = true; return nil }}})
}

// None of two options could be preferred.
func TestMainTakesOneOptions(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "2 Options") {
			t.Error(err)
		}
	}()
	Main(core.New(), platform.Options{}, platform.Options{})
}

// A request that is there when the end is announced is answered.
func TestServeUntil(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	p := core.New()
	core.AddTool(p, core.Tool{Name: "wait", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) {
		close(started)
		<-release
		return "answered", nil
	})
	var log bytes.Buffer
	f, err := run(p, platform.Options{}, environ, &log)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served, answer := make(chan error, 1), make(chan string, 1)
	go func() { served <- f.serveUntil(ctx, listener) }()
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+listener.Addr().String()+"/tools/wait", strings.NewReader("{}"))
		req.Header.Set("X-Interactly-Secret", runSecret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-started
	stop()
	close(release)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if said := log.String(); strings.Count(said, `"message":"stopping","platform":"gcp","reason":"signal"`) != 1 {
		t.Error(said)
	}
	if got := <-answer; !strings.Contains(got, "answered") {
		t.Error(got)
	}
}

// deploy.sh has the number of attempts after which the log says that a message is a
// dead letter.
func TestMaxAttempts(t *testing.T) {
	b, err := os.ReadFile("deploy.sh")
	if err != nil || !strings.Contains(string(b), fmt.Sprintf("--max-delivery-attempts=%d ", maxAttempts)) {
		t.Errorf("not %d, %v", maxAttempts, err)
	}
}
