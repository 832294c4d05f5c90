package runtimeapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/proc"
)

// An environment is one process and its Runtime API. It handles one invocation at a
// time.
type environment struct {
	o    *FunctionOptions
	uses int

	mu      sync.Mutex // guards the following; Close is called concurrently
	cmd     *exec.Cmd
	api     *http.Server
	served  chan struct{} // closed when api has ended
	exited  chan struct{} // closed when the process has
	closed  bool
	current *invocation

	ready chan struct{}    // has a token when the process requests work
	work  chan *invocation // handed to the process
}

// An invocation is one that the process handles.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	result   chan result // holds one
}

type result struct {
	out []byte
	err error
}

// errGone means that the process ended before it got the invocation.
var errGone error = &FunctionError{"Runtime.ExitError", "the process ended before it got the invocation"}

const runtimeAPI = "/2018-06-01/runtime/"

// invoke runs one invocation; the first starts the process.
func (e *environment) invoke(payload []byte) (out []byte, err error) {
	e.uses++
	id := strings.ToLower(rand.Text())
	var took time.Duration
	if e.ready == nil {
		began := time.Now()
		err := e.start()
		took = time.Since(began)
		if err != nil {
			e.report(Report{RequestID: id, Init: took, Err: err})
			return nil, err
		}
	}
	inv := &invocation{id: id, payload: payload, deadline: time.Now().Add(e.o.Timeout), result: make(chan result, 1)}
	began := time.Now()
	out, err = e.run(inv)
	if errors.Is(err, errGone) {
		return nil, err
	}
	e.report(Report{RequestID: id, Init: took, Duration: time.Since(began), Err: err})
	return out, err
}

func (e *environment) report(r Report) {
	if e.o.Trace != nil {
		e.o.Trace(r)
	}
}

// start starts the process and waits until it requests work.
func (e *environment) start() error {
	e.ready, e.work = make(chan struct{}, 1), make(chan *invocation)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("runtimeapi: %w", err)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return errors.Join(ErrClosed, listener.Close())
	}
	e.served, e.exited = make(chan struct{}), make(chan struct{})
	e.api = &http.Server{Handler: e.routes(), ReadHeaderTimeout: time.Minute}
	go func() { defer close(e.served); _ = e.api.Serve(listener) }()
	cmd := exec.Command(e.o.Bootstrap)
	cmd.Dir = filepath.Dir(e.o.Bootstrap)
	cmd.Env = e.env(listener.Addr().String())
	cmd.Stdout, cmd.Stderr = e.o.Log, e.o.Log
	cmd.SysProcAttr = proc.Attributes()
	if err := cmd.Start(); err != nil {
		close(e.exited)
		e.mu.Unlock()
		return &FunctionError{"Runtime.InvalidEntrypoint", err.Error()}
	}
	e.cmd = cmd
	go func() { defer close(e.exited); _ = cmd.Wait() }()
	e.mu.Unlock()

	limit := time.NewTimer(maxInit)
	defer limit.Stop()
	select {
	case <-e.ready:
		e.ready <- struct{}{}
		return nil
	case <-e.exited:
		return &FunctionError{"Runtime.ExitError", "the process ended in its init: " + cmd.ProcessState.String()}
	case <-limit.C:
		e.kill()
		return &FunctionError{"Sandbox.InitTimedout", "init took longer than 10 s"}
	}
}

// run hands over the invocation and waits for its result.
func (e *environment) run(inv *invocation) ([]byte, error) {
	e.mu.Lock()
	e.current = inv
	e.mu.Unlock()
	if err := e.signal(proc.Resume); err != nil {
		return nil, errGone
	}
	deadline := time.NewTimer(time.Until(inv.deadline))
	defer deadline.Stop()
	handed := e.work
	for {
		select {
		case handed <- inv:
			handed = nil
		case r := <-inv.result:
			return r.out, r.err
		case <-e.exited:
			select { // a result before the end counts
			case r := <-inv.result:
				return r.out, r.err
			default:
			}
			if handed != nil {
				return nil, errGone
			}
			return nil, &FunctionError{"Runtime.ExitError", "the process ended: " + e.cmd.ProcessState.String()}
		case <-deadline.C:
			e.kill()
			return nil, &FunctionError{"Sandbox.Timedout", fmt.Sprintf("task timed out after %v", e.o.Timeout)}
		}
	}
}

// routes returns the Runtime API.
func (e *environment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimeAPI+"invocation/next", e.next)
	mux.HandleFunc("POST "+runtimeAPI+"invocation/{id}/response", e.response)
	mux.HandleFunc("POST "+runtimeAPI+"invocation/{id}/error", e.failure)
	mux.HandleFunc("POST "+runtimeAPI+"init/error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	return mux
}

func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e.ready <- struct{}{}: // the first request ends the init phase
	default:
	}
	select {
	case inv := <-e.work:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:"+e.o.Name)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0")
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		_, _ = w.Write(inv.payload)
	case <-r.Context().Done():
	}
}

func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	res := result{out: body}
	switch {
	case err != nil:
		res = result{err: &FunctionError{"Runtime.TruncatedResponse", "the reply was truncated"}}
	case len(body) > MaxPayload:
		res = result{err: &FunctionError{"Function.ResponseSizeTooLarge", fmt.Sprintf("the reply is over %d bytes", MaxPayload)}}
		e.end(r.PathValue("id"), res)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if e.o.Freeze {
		_ = e.signal(proc.Suspend) // nothing of it runs after the reply
	}
	e.end(r.PathValue("id"), res)
	w.WriteHeader(http.StatusAccepted)
}

func (e *environment) failure(w http.ResponseWriter, r *http.Request) {
	fe := &FunctionError{Type: "Unhandled"}
	var report struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}
	if body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20)); err == nil && json.Unmarshal(body, &report) == nil {
		fe.Type, fe.Message = report.Type, report.Message
	}
	e.end(r.PathValue("id"), result{err: fe})
	w.WriteHeader(http.StatusAccepted)
}

// end returns the result to the caller of the invocation.
func (e *environment) end(id string, r result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != nil && e.current.id == id {
		select {
		case e.current.result <- r:
		default: // a second result is ignored
		}
	}
}

// usable reports whether the process is running.
func (e *environment) usable() bool {
	if e.exited == nil {
		return false
	}
	select {
	case <-e.exited:
		return false
	default:
		return true
	}
}

func (e *environment) kill() {
	_ = e.signal(proc.Kill)
	<-e.exited
}

func (e *environment) signal(a proc.Action) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cmd == nil || e.cmd.Process == nil {
		return nil
	}
	return proc.Send(e.cmd.Process, a)
}

// close kills the process and stops its Runtime API.
func (e *environment) close() error {
	e.mu.Lock()
	e.closed = true
	api, exited := e.api, e.exited
	e.mu.Unlock()
	if exited == nil {
		return nil
	}
	_ = e.signal(proc.Kill)
	<-exited
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := api.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = api.Close()
	}
	<-e.served
	return err
}

// env returns the variables that Lambda sets and those of the function.
func (e *environment) env(api string) []string {
	return append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + e.o.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + e.o.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=emulated",
		"AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=emulated",
		"AWS_SECRET_ACCESS_KEY=emulated",
		"AWS_EC2_METADATA_DISABLED=true",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(e.o.Bootstrap),
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"_HANDLER=bootstrap",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"HOME=/tmp",
	}, e.o.Env...)
}
