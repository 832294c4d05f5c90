package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// runLogged runs the front desk and returns its URL, its log, and what stops it.
func runLogged(t *testing.T, database string) (root string, log *lockedBuffer, stop func()) {
	t.Helper()
	log = new(lockedBuffer)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, app.New(), Config{
			Addr: "127.0.0.1:0", Database: database, OnReady: func(u string) { ready <- u },
			Verifier:      auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
			Logger:        slog.New(slog.NewTextHandler(log, nil)),
			SweepInterval: 50 * time.Millisecond,
		})
	}()
	select {
	case root = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return root, log, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	}
}

// noErrors fails the test for each line of a log that wants a person.
func noErrors(t *testing.T, log *lockedBuffer) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("wants a person: %s", line)
		}
	}
}

// waitFor waits until a condition is met, or fails the test after a minute.
func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	for begin := time.Now(); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("there is no sign of %s", what)
		}
	}
}

// A clean stop logs neither ERROR nor WARN, however early it comes.
func TestCleanStopLogsNoError(t *testing.T) {
	eachDatabase(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		for _, wait := range []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond} { // any is right
			root, log, stop := runLogged(t, url)
			request(t, "POST", root+"/events", hangs("CA1"))
			time.Sleep(wait)
			stop()
			noErrors(t, log)
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "level=WARN") && !strings.Contains(line, "a power cut can") { // the test's own server
					t.Error(line)
				}
			}
		}
	})
}

// The log says of which event a delivery failed.
func TestFailedDeliveryIsNamed(t *testing.T) {
	p := core.New()
	p.OnHang(func(context.Context, core.Hang) error { return errors.New("canary") })
	log := new(lockedBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, p, Config{
			Addr: "127.0.0.1:0", Database: freshSQLite(t), OnReady: func(u string) { ready <- u },
			Verifier: auth.Verifier{Secrets: auth.ParseSecrets("north:" + testSecret)}, Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	root := <-ready
	if status, body := request(t, "POST", root+"/events", hangs("CA1")); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	waitFor(t, "a failed delivery", func() bool { return strings.Contains(log.String(), "delivery failed") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	want := `level=WARN msg="delivery failed" platform=server type=hang tenant=north call=` + p.LogTag("north/CA1") + ` reason="handler failed" attempt=1 dead=false`
	if said := log.String(); !strings.Contains(said, want) || strings.Contains(said, "canary") {
		t.Errorf("no %s in %s", want, said)
	}
}

// The restart of a database logs no ERROR: events are refused, tools answer, and
// all goes on when it is back.
func TestDatabaseRestartLogsNoError(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{TCP: true, NoSync: true})
	root, log, stop := runLogged(t, cluster.Database(t))
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		if status, body := request(t, "POST", root+"/events", hangs("CA1")); status != 200 {
			t.Fatalf("before: %d %s", status, body)
		}
		waitFor(t, "deliveries", func() bool { return strings.Contains(log.String(), "msg=event ") })
		if err := cluster.Stop(mode); err != nil {
			t.Fatal(err)
		}
		if status, body := request(t, "POST", root+"/events", hangs("CA2")); status != 503 {
			t.Errorf("meanwhile: %d %s", status, body)
		}
		if status, body := request(t, "POST", root+"/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`); status != 200 {
			t.Errorf("a tool: %d %s", status, body)
		}
		if err := cluster.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "an event that is accepted", func() bool {
			status, _ := request(t, "POST", root+"/events", hangs("CA3"))
			return status == 200
		})
	}
	stop()
	noErrors(t, log)
	said := log.String()
	if !strings.Contains(said, `level=WARN msg="event rejected"`) {
		t.Error("the refused events are not in the log")
	}
	lines := strings.Count(said, "level=WARN")
	if lines > 60 {
		t.Errorf("%d warnings for two restarts:\n%s", lines, said)
	}
}
