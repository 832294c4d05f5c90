package emulate_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/gcp/emulate"
)

// pretend is a function that does what it is asked to: the test's own program.
func pretend() {
	var now, most atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/pid", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { os.Exit(3) })
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("/size", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("/most", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, most.Load()) })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond) // so that others are here too
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

func startPretend(t *testing.T, o emulate.FunctionOptions) (url string, f *emulate.Function) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Program, o.Target, o.Env = self, "Pretend", append(o.Env, "PRETEND=1")
	f = emulate.NewFunction(o)
	srv := httptest.NewServer(f)
	t.Cleanup(func() { srv.Close(); f.Close() })
	return srv.URL, f
}

// A process that ends takes its request with it, and the next request has a
// new one.
func TestProcessThatEndsIsReplaced(t *testing.T) {
	url, f := startPretend(t, emulate.FunctionOptions{})
	_, first := post(t, url+"/pid", "")
	if code, _ := post(t, url+"/exit", ""); code != http.StatusBadGateway {
		t.Errorf("status %d, want 502", code)
	}
	_, second := post(t, url+"/pid", "")
	f.Kill()
	_, third := post(t, url+"/pid", "")
	if first == second || second == third {
		t.Errorf("processes %s, %s, %s", first, second, third)
	}
	f.Close()
	if code, _ := post(t, url+"/pid", ""); code != http.StatusServiceUnavailable {
		t.Errorf("status %d after Close, want 503", code)
	}
}

func TestTimeoutIs504(t *testing.T) {
	url, _ := startPretend(t, emulate.FunctionOptions{Timeout: 2 * time.Second})
	if _, env := post(t, url+"/env", ""); !strings.Contains(env, "CLOUD_RUN_TIMEOUT_SECONDS=2") {
		t.Errorf("it is not told its time: %s", env)
	}
	if code, _ := post(t, url+"/wait", ""); code != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", code)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	url, _ := startPretend(t, emulate.FunctionOptions{Concurrency: 3})
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if code, _, err := try(context.Background(), url+"/busy", ""); code != 200 || err != nil {
				t.Errorf("%d, %v", code, err)
			}
		})
	}
	all.Wait()
	if _, most := post(t, url+"/most", ""); most != "2" && most != "3" {
		t.Errorf("%s at a time, want 3", most)
	}
}

func TestLargeRequestIsRefused(t *testing.T) {
	url, _ := startPretend(t, emulate.FunctionOptions{})
	if code, said := post(t, url+"/size", strings.Repeat("x", 32<<20)); code != 200 || !strings.HasPrefix(said, "33554432") {
		t.Errorf("32 MiB: %d %s", code, said)
	}
	code, _, err := try(t.Context(), url+"/size", strings.Repeat("x", 32<<20+1))
	if err == nil && code != http.StatusRequestEntityTooLarge {
		t.Errorf("a byte more: %d", code)
	}
}

// An instance has no CPU while it has no request.
func TestFreeze(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the state of a process is read from /proc")
	}
	url, _ := startPretend(t, emulate.FunctionOptions{Freeze: true})
	for range 3 {
		_, pid := post(t, url+"/pid", "")
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
			if err != nil {
				t.Fatal(err)
			}
			if state := string(b[strings.LastIndexByte(string(b), ')')+2]); state == "T" {
				break
			} else if time.Now().After(end) {
				t.Fatalf("its state is %s", state)
			}
		}
	}
}

// A function sees what the platform sets and what it is given, and nothing
// else of the environment of its parent.
func TestEnvironment(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "canary")
	url, _ := startPretend(t, emulate.FunctionOptions{Env: []string{"SERVERURL_TOPIC=events"}})
	_, env := post(t, url+"/env", "")
	for _, want := range []string{"FUNCTION_TARGET=Pretend", "K_SERVICE=Pretend", "SERVERURL_TOPIC=events"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(env, "canary") {
		t.Error("it sees credentials")
	}
}

// Only what a subscription pushes becomes an event.
func TestEventarcRefuses(t *testing.T) {
	h := emulate.Eventarc(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") }), "//pubsub.googleapis.com/projects/p/topics/t")
	for _, body := range []string{"", "{}", "canary", `{"message":{"data":""}}`} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", body, w.Code)
		}
	}
}
