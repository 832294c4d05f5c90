// Package mototest starts moto_server, an emulator of DynamoDB, SQS and other
// services, for tests. It shows how a client behaves, not how AWS does.
package mototest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/internal/testing/testenv"
)

var (
	mu      sync.Mutex
	running *exec.Cmd
	front   *httptest.Server
	behind  *http.Transport // from front to moto
)

// URL returns the endpoint of a moto_server that all tests of the program share;
// Main stops it. If it is not installed the test is skipped, and in CI it fails.
func URL(t testing.TB) string {
	t.Helper()
	endpoint, err := launch(func() (string, error) { return testenv.Program(t, "moto_server"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// Launch is like URL for a program that is not a test. The caller must call Stop.
func Launch() (endpoint string, err error) {
	return launch(func() (string, error) { return exec.LookPath("moto_server") })
}

func launch(find func() (string, error)) (endpoint string, err error) {
	mu.Lock()
	defer mu.Unlock()
	if running != nil {
		return front.URL, nil
	}
	path, err := find()
	if err != nil {
		return "", err
	}
	for range 5 { // somebody else may take the port in between
		var root *url.URL
		if root, err = start(path); err == nil {
			behind = &http.Transport{}
			front = httptest.NewServer(oneWriter(root))
			return front.URL, nil
		}
	}
	return "", err
}

// oneWriter serializes DynamoDB's writes. The real service checks a condition and
// writes atomically; moto_server does so in two steps, in threads without a lock, so
// that on a busy machine two of forty racers may succeed.
func oneWriter(root *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: behind,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(root); r.Out.Host = r.In.Host },
		ErrorLog:  log.New(io.Discard, "", 0), // clients that go away are what some tests are about
	}
	var writing sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810."); op {
		case "PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems", "TransactGetItems":
			writing.Lock()
			defer writing.Unlock()
			// A client that disconnects does not stop its request.
			r = r.WithContext(context.WithoutCancel(r.Context()))
		}
		proxy.ServeHTTP(w, r)
	})
}

func start(path string) (*url.URL, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	root := &url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(port)}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(root.JoinPath("moto-api/data.json").String())
		if err != nil {
			continue
		}
		resp.Body.Close()
		running = cmd
		return root, nil
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return nil, fmt.Errorf("moto_server does not answer at %s", root)
}

// Stop stops the server, if it was started.
func Stop() {
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return
	}
	_ = running.Process.Kill()
	_ = running.Wait()
	front.Close()
	behind.CloseIdleConnections()
	running = nil
}

// Main runs the tests of a package, and stops what they started.
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests wraps the tests of a package for goleak.VerifyTestMain.
type Tests struct{ M *testing.M }

// Run runs the tests and stops what they started.
func (t Tests) Run() int {
	defer Stop()
	return t.M.Run()
}
