package runtimeapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"go.uber.org/goleak"
)

// The test's own binary is the bootstrap of its functions.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_BOOTSTRAP") {
	case "":
		temp, err := os.MkdirTemp("", "serverurl-runtimeapi-test-")
		if err != nil {
			panic(err)
		}
		os.Setenv("TMPDIR", temp) // removed with what the tests build
		goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(temp)
			os.Exit(code)
		}))
	case "bad init":
		os.Exit(3)
	default:
		lambda.Start(odd{})
	}
}

// odd behaves as the event says.
type odd struct{}

func (odd) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	switch string(payload) {
	case `"pid"`:
		return fmt.Appendf(nil, "%d", os.Getpid()), nil
	case `"panic"`:
		panic("a mistake")
	case `"exit"`:
		os.Exit(0)
	case `"error"`:
		return nil, errors.New("it is rejected")
	case `"hang"`:
		select {}
	case `"wait"`:
		<-ctx.Done()
		return []byte(`"waited"`), nil
	case `"large"`:
		return bytes.Repeat([]byte("x"), MaxPayload+1), nil
	case `"full"`:
		return bytes.Repeat([]byte("x"), MaxPayload), nil
	case `"env"`:
		return []byte(strings.Join(os.Environ(), "\n")), nil
	}
	return payload, nil
}

func oddFunction(t *testing.T, o FunctionOptions) *Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Bootstrap = self
	if o.Env == nil {
		o.Env = []string{"TEST_BOOTSTRAP=odd"}
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	f := NewFunction(o)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func invoke(t *testing.T, f *Function, event string) string {
	t.Helper()
	out, err := f.Invoke(t.Context(), []byte(`"`+event+`"`))
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return string(out)
}

func TestEnvironmentIsReused(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{})
	if a, b := invoke(t, f, "pid"), invoke(t, f, "pid"); a != b {
		t.Errorf("process %s, then %s", a, b)
	}
}

func TestFailuresOfAFunction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event, want string
		same        bool // whether the process survives
	}{
		{"error", "errorString", true},
		{"panic", "string", false},
		{"exit", "Runtime.ExitError", false},
		{"hang", "Sandbox.Timedout", false},
		{"large", "Function.ResponseSizeTooLarge", false},
	} {
		t.Run(c.event, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if c.event == "hang" {
				timeout = 2 * time.Second
			}
			f := oddFunction(t, FunctionOptions{Timeout: timeout})
			before := invoke(t, f, "pid")
			_, err := f.Invoke(t.Context(), []byte(`"`+c.event+`"`))
			fe, ok := errors.AsType[*FunctionError](err)
			if !ok || fe.Type != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if !c.same {
				waitGone(t, before)
			}
			if after := invoke(t, f, "pid"); (after == before) != c.same {
				t.Errorf("process %s, then %s; the same: want %t", before, after, c.same)
			}
		})
	}
}

// waitGone waits until a process has ended: one that reports a panic runs a little
// longer, and might get another invocation.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if exec.Command("kill", "-0", pid).Run() != nil {
			return
		}
	}
	t.Errorf("process %s is still running", pid)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{})
	if out := invoke(t, f, "full"); len(out) != MaxPayload {
		t.Errorf("a reply at the limit has %d bytes", len(out))
	}
	if _, err := f.Invoke(t.Context(), make([]byte, MaxPayload+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an event over the limit: %v", err)
	}
}

func TestInitError(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{Env: []string{"TEST_BOOTSTRAP=bad init"}})
	_, err := f.Invoke(t.Context(), []byte(`{}`))
	if fe, ok := errors.AsType[*FunctionError](err); !ok || fe.Type != "Runtime.ExitError" {
		t.Errorf("got %v", err)
	}
}

func TestNoBootstrap(t *testing.T) {
	t.Parallel()
	f := NewFunction(FunctionOptions{Bootstrap: "/nowhere/bootstrap"})
	defer f.Close()
	_, err := f.Invoke(t.Context(), []byte(`{}`))
	if fe, ok := errors.AsType[*FunctionError](err); !ok || fe.Type != "Runtime.InvalidEntrypoint" {
		t.Errorf("got %v", err)
	}
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{MaxConcurrency: 2, Timeout: 3 * time.Second})
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { _, _ = f.Invoke(context.Background(), []byte(`"hang"`)) })
	}
	for {
		f.mu.Lock()
		busy := len(f.all)
		f.mu.Unlock()
		if busy == 2 {
			break
		}
		runtime.Gosched()
	}
	if _, err := f.Invoke(t.Context(), []byte(`"pid"`)); !errors.Is(err, ErrThrottled) {
		t.Errorf("got %v", err)
	}
	held.Wait()
	invoke(t, f, "pid")
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{Timeout: time.Second})
	// The context of the function ends at the deadline, at which it is also killed:
	// either may be first.
	out, err := f.Invoke(t.Context(), []byte(`"wait"`))
	if fe, ok := errors.AsType[*FunctionError](err); string(out) != `"waited"` && (!ok || fe.Type != "Sandbox.Timedout") {
		t.Errorf("got %s, %v", out, err)
	}
}

// state returns the state of a process, as in ps: T means stopped.
func state(t *testing.T, pid string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the state of a process is read from /proc")
	}
	f := oddFunction(t, FunctionOptions{Freeze: true})
	for range 100 {
		pid := invoke(t, f, "pid")
		for end := time.Now().Add(5 * time.Minute); state(t, pid) != "T"; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process is in state %s after its reply", state(t, pid))
			}
		}
	}
	if n := f.Kill(); n != 1 { // a suspended process can be killed
		t.Errorf("%d environments were idle, want 1", n)
	}
	invoke(t, f, "pid")
}

func TestRecycle(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{MaxInvocations: 2})
	var pids []string
	for range 6 {
		pids = append(pids, invoke(t, f, "pid"))
	}
	if pids[0] != pids[1] || pids[1] == pids[2] || pids[2] != pids[3] || pids[3] == pids[4] {
		t.Errorf("processes %v, want a new one after every second", pids)
	}
}

func TestFunctionInheritsNoEnvironment(t *testing.T) {
	t.Setenv("NOT_FOR_FUNCTIONS", "x")
	f := oddFunction(t, FunctionOptions{Name: "receiver", Env: []string{"TEST_BOOTSTRAP=odd", "TABLE_NAME=calls"}})
	got := invoke(t, f, "env")
	for _, want := range []string{"TABLE_NAME=calls", "AWS_LAMBDA_FUNCTION_NAME=receiver", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, "NOT_FOR_FUNCTIONS") {
		t.Error("a variable of this process leaks into the function")
	}
}

func TestCloseEndsRunningInvocations(t *testing.T) {
	t.Parallel()
	f := oddFunction(t, FunctionOptions{})
	pid := invoke(t, f, "pid")
	var held sync.WaitGroup
	held.Go(func() {
		if _, err := f.Invoke(context.Background(), []byte(`"hang"`)); err == nil {
			t.Error("an invocation of a closed function succeeded")
		}
	})
	for { // until it runs
		f.mu.Lock()
		waiting := len(f.warm)
		f.mu.Unlock()
		if waiting == 0 {
			break
		}
		runtime.Gosched()
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	held.Wait()
	waitGone(t, pid)
	if _, err := f.Invoke(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestManyInvocations(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cold int
	f := oddFunction(t, FunctionOptions{MaxConcurrency: 16, Trace: func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		if r.Init > 0 {
			cold++
		}
	}})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range 50 {
				event := fmt.Sprintf(`{"n":%d}`, i)
				if out, err := f.Invoke(t.Context(), []byte(event)); err != nil || string(out) != event {
					t.Errorf("%s: %s, %v", event, out, err)
				}
			}
		})
	}
	all.Wait()
	if cold == 0 || cold > 16 {
		t.Errorf("%d cold starts for 16 callers", cold)
	}
}
