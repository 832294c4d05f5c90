package emulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// maxRequest is Cloud Run's cap of a request and of a reply over HTTP/1: 32 MiB.
const maxRequest = 32 << 20

// FunctionOptions say what a Function runs. Zero fields mean their defaults.
type FunctionOptions struct {
	// Program is the function with a main around it: see [BuildFunction].
	Program string

	// Target is its name, such as "Receive".
	Target string

	// Env is what it sees of the environment, as KEY=value, in addition to what the
	// platform sets.
	Env []string

	// Timeout is its --timeout. Default: 60 s, as Google's own.
	Timeout time.Duration

	// Concurrency is its --concurrency: the most requests at a time in one
	// instance. Others wait. Default: 80.
	Concurrency int

	// Instances is how many processes there are. Default: 1.
	Instances int

	// Freeze stops an instance while it has no request, as without CPU always
	// allocated.
	Freeze bool

	// Log gets what the processes write. Default: nowhere.
	Log io.Writer
}

// A Function is a deployed function: a handler of HTTP in front of its
// processes, which are started when they are needed.
type Function struct {
	o         FunctionOptions
	instances []*instance
	places    chan struct{}

	mu     sync.Mutex
	next   int
	closed bool
}

// NewFunction returns a function. Close ends its processes.
func NewFunction(o FunctionOptions) *Function {
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Concurrency = cmp.Or(o.Concurrency, 80)
	o.Instances = cmp.Or(o.Instances, 1)
	if o.Log == nil {
		o.Log = io.Discard
	}
	f := &Function{o: o, places: make(chan struct{}, o.Concurrency*o.Instances)}
	for range o.Instances {
		f.instances = append(f.instances, &instance{o: &f.o})
	}
	return f
}

// ServeHTTP hands a request to an instance.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), f.o.Timeout)
	defer cancel()
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	case <-ctx.Done():
		http.Error(w, "no instance was available", http.StatusServiceUnavailable)
		return
	}
	i := f.pick()
	if i == nil {
		http.Error(w, "the function is closed", http.StatusServiceUnavailable)
		return
	}
	p, err := i.acquire(ctx)
	if err != nil {
		fmt.Fprintln(f.o.Log, err)
		http.Error(w, "the function did not start", http.StatusServiceUnavailable)
		return
	}
	defer i.release(p)
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	p.proxy.ServeHTTP(w, r)
}

// pick takes the instances in turn.
func (f *Function) pick() *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.next++
	return f.instances[f.next%len(f.instances)]
}

// Start starts all instances, and returns when each takes requests.
func (f *Function) Start(ctx context.Context) error {
	for _, i := range f.instances {
		p, err := i.acquire(ctx)
		if err != nil {
			return err
		}
		i.release(p)
	}
	return nil
}

// Kill ends all processes as they are. The next request starts one anew.
func (f *Function) Kill() {
	for _, i := range f.instances {
		i.kill()
	}
}

// Close ends all processes, for good.
func (f *Function) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Kill()
	return nil
}

// An instance is a place for one process.
type instance struct {
	o *FunctionOptions

	starting sync.Mutex
	mu       sync.Mutex
	p        *process
}

// A process is a running program. It is known to be over when ended is closed.
type process struct {
	cmd    *exec.Cmd
	proxy  *httputil.ReverseProxy
	closer *http.Transport
	ended  chan struct{}

	busy   int // by the mutex of the instance
	frozen bool
}

// acquire returns the process, awake, for one request.
func (i *instance) acquire(ctx context.Context) (*process, error) {
	i.starting.Lock()
	defer i.starting.Unlock()
	if p := i.take(); p != nil {
		return p, nil
	}
	var failed error
	for range 5 { // somebody else may take the port in between
		p, err := i.start(ctx)
		if err == nil {
			i.mu.Lock()
			i.p = p
			i.mu.Unlock()
			return i.take(), nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// take is acquire where a process runs.
func (i *instance) take() *process {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.p == nil {
		return nil
	}
	select {
	case <-i.p.ended:
		i.p = nil
		return nil
	default:
	}
	i.p.busy++
	if i.p.frozen {
		_ = send(i.p.cmd.Process, wake)
		i.p.frozen = false
	}
	return i.p
}

func (i *instance) release(p *process) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p.busy--
	if p.busy == 0 && i.o.Freeze {
		_ = send(p.cmd.Process, freeze)
		p.frozen = true
	}
}

func (i *instance) kill() {
	i.starting.Lock()
	defer i.starting.Unlock()
	i.mu.Lock()
	p := i.p
	i.p = nil
	i.mu.Unlock()
	if p == nil {
		return
	}
	_ = send(p.cmd.Process, end)
	<-p.ended
}

// errEnded reports a process that ended before it took a request.
var errEnded = errors.New("emulate: the function ended at its start; its log says why")

func (i *instance) start(ctx context.Context) (*process, error) {
	host, err := freePort()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(host)
	to := &url.URL{Scheme: "http", Host: host}
	transport := &http.Transport{MaxIdleConnsPerHost: i.o.Concurrency, DisableCompression: true}
	p := &process{ended: make(chan struct{}), closer: transport, proxy: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery
			r.SetXForwarded()
		},
		ErrorHandler: refuse,
		ErrorLog:     log.New(i.o.Log, "", 0),
	}}
	p.cmd = exec.Command(i.o.Program)
	p.cmd.Env = append(environment(), i.o.Env...)
	p.cmd.Env = append(p.cmd.Env, "PORT="+port, "SERVERURL_ADDR=127.0.0.1:"+port, "FUNCTION_TARGET="+i.o.Target, "K_SERVICE="+i.o.Target, "K_REVISION=1",
		"CLOUD_RUN_TIMEOUT_SECONDS="+strconv.Itoa(max(1, int(i.o.Timeout/time.Second))))
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = i.o.Log, i.o.Log, attributes()
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	go func() { // ends with the process, which Close ends
		_ = p.cmd.Wait()
		transport.CloseIdleConnections()
		close(p.ended)
	}()
	if err := p.listens(ctx, host); err != nil {
		_ = send(p.cmd.Process, end)
		<-p.ended
		return nil, err
	}
	return p, nil
}

// listens waits until the process takes connections.
func (p *process) listens(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", host); err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("emulate: the function does not listen: %w", context.Cause(ctx))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// environment is what processes see of this one's.
func environment() (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// refuse answers where the function did not.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	} else if r.Context().Err() != nil {
		status = http.StatusGatewayTimeout
	}
	http.Error(w, http.StatusText(status), status)
}
