package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/simulate"
)

// A request in progress when SIGTERM arrives is answered, and its event is there
// after the next start.
func TestStopDrains(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p, url := dev(t, data)
	host := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	const body = `{"message":{"type":"status-update","call":{"id":"CA-late","status":"ongoing"}}}`
	fmt.Fprintf(conn, "POST /events HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", host, len(body))
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	// Now it is being read.
	ended := make(chan error, 1)
	go func() { ended <- p.terminate() }()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		other, err := net.Dial("tcp", host)
		if err != nil {
			break // new connections are refused
		}
		other.Close()
		if time.Now().After(end) {
			t.Fatal("it is still listening")
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended with a request in progress: %v", err)
	default:
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the request in progress got %v, %v", resp, err)
	}
	resp.Body.Close()
	if err := <-ended; err != nil {
		t.Fatalf("exit: %v\n%s", err, p.err.String())
	}

	p, _ = dev(t, data)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"calls", "--store", data}, &out, io.Discard); code == 0 && strings.Contains(out.String(), "CA-late") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("an acknowledged event is lost")
		}
	}
	if err := p.terminate(); err != nil {
		t.Error(err)
	}
}

// dev starts serverurl dev as a process of its own.
func dev(t *testing.T, data string) (*process, string) {
	t.Helper()
	path, err := exec.LookPath("serverurl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "dev", "--addr", "127.0.0.1:0", "--store", data)
	cmd.Env = append(os.Environ(), "GORACE="+raceOptions)
	p, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-p.done
	})
	url, err := p.says(listening)
	if err != nil {
		t.Fatal(err)
	}
	return p, url
}

// The demo runs until it is stopped, and leaves nothing behind.
func TestDemoKeepsRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs safeBuffer
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, []string{"demo", "--speed", "10000"}, &out, &errs) }()
	for end := time.Now().Add(patience); !strings.Contains(out.String(), "Ctrl-C stops it."); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the call does not end:\n%s%s", out.String(), errs.String())
		}
	}
	url := strings.Fields(out.String())[2]
	resp, err := http.Get(url + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %v", url, resp, err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if !strings.Contains(out.String(), "serverurl play barge-in --url "+url) {
		t.Errorf("no hint what to do next:\n%s", out.String())
	}
	stop()
	if code := <-exit; code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
	goleak.VerifyNone(t, before)
}

// An interrupted play reports how many calls it finished.
func TestPlayIsInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs safeBuffer
	_, url := dev(t, filepath.Join(t.TempDir(), "data"))
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, []string{"play", "booking", "--url", url}, &out, &errs) }()
	for end := time.Now().Add(patience); !strings.Contains(out.String(), "ongoing"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the call does not begin:\n%s%s", out.String(), errs.String())
		}
	}
	stop()
	if code := <-exit; code != 1 || errs.String() != "serverurl: stopped after 0 of 1 calls\n" {
		t.Errorf("exit %d: %q", code, errs.String())
	}
}

// Of a report only what is known is printed.
func TestReportLines(t *testing.T) {
	for want, r := range map[string]reportJSON{
		"": {},
		"    report  A cleaning.\n            Good, 1.5 s, ended by the user\n": {Summary: "A cleaning.", SuccessEvaluation: "Good", DurationMs: 1500, EndedBy: "user"},
		"    report  A cleaning.\n":                                     {Summary: "A cleaning."},
		"    report  A cleaning.\n            ended by the assistant\n": {Summary: "A cleaning.", EndedBy: "assistant"},
		"    report  Good, 0.1 s\n":                                     {SuccessEvaluation: "Good", DurationMs: 100},
		"    report  60.0 s\n":                                          {Summary: "\u202e", DurationMs: 60_000},
	} {
		var out bytes.Buffer
		callDetailJSON{Report: &r}.print(&terminal{out: screen.NewWriter(&out)}, calls.Call{}, nil, nil, nil)
		if head, got, _ := strings.Cut(out.String(), "\n\n"); got != want || head != "  , open" && head != "  , open\n" {
			t.Errorf("%+v: printed %q, want %q", r, got, want)
		}
	}
}

func TestColorsOnlyOnAScreen(t *testing.T) {
	r := simulate.Result{Scenario: "booking", Call: "CA1", Seed: 7}
	bad := r
	bad.Failures = []string{"line 3: it is wrong"}
	for _, live := range []bool{false, true} {
		var out bytes.Buffer
		term := &terminal{out: screen.NewWriter(&out), live: live}
		show(term)(simulate.Progress{Kind: "caller", Text: "Hello."})
		progress(term, r, 1, 3, 0)
		progress(term, bad, 2, 3, 1)
		progress(term, r, 3, 3, 1)
		if got := strings.Contains(out.String(), "\x1b["); got != live {
			t.Errorf("on a screen %v, colors %v: %q", live, got, out.String())
		}
		if !strings.Contains(out.String(), "to repeat it: --seed 7 --calls 1") || !strings.Contains(out.String(), "it is wrong") {
			t.Errorf("no hint how to repeat a failure: %q", out.String())
		}
		if live != strings.Contains(out.String(), "3 of 3 calls, 1 failed\n") {
			t.Errorf("on a screen %v, progress is %q", live, out.String())
		}
	}
}

// Hundreds of failures usually have one cause: the first few are printed.
func TestFailuresAreFew(t *testing.T) {
	var out bytes.Buffer
	failures(&terminal{out: &out}, simulate.Result{Failures: strings.Split(strings.Repeat("wrong\n", 99)+"wrong", "\n")})
	if got := strings.Count(out.String(), "\n"); got != 9 || !strings.Contains(out.String(), "and 92 more; --json has them all") {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
}
