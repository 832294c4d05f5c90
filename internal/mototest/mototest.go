// Package mototest starts moto_server, which stands in for DynamoDB, SQS and
// others, for tests. It is an emulator: it says how a client behaves, not how
// AWS does.
package mototest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/internal/need"
)

var (
	mu      sync.Mutex
	running *exec.Cmd
	url     string
)

// URL returns the endpoint of a moto_server that all tests of the program
// share; Main ends it. Without one on the machine the test is skipped, and in
// CI it fails.
func URL(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if running != nil {
		return url
	}
	path := need.Program(t, "moto_server")
	var err error
	for range 5 { // somebody else may take the port in between
		if url, err = start(path); err == nil {
			return url
		}
	}
	t.Fatal(err)
	return ""
}

func start(path string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", err
	}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		return "", err
	}
	root := "http://127.0.0.1:" + strconv.Itoa(port)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(root + "/moto-api/data.json")
		if err != nil {
			continue
		}
		resp.Body.Close()
		running = cmd
		return root, nil
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return "", fmt.Errorf("moto_server does not answer at %s", root)
}

// Stop ends the server, where one was started.
func Stop() {
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return
	}
	_ = running.Process.Kill()
	_ = running.Wait()
	running = nil
}

// Main runs the tests of a package, and ends what they started.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}
