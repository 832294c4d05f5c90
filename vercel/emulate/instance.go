package emulate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/proc"
)

// startTime is how long an instance may take to listen.
const startTime = 10 * time.Second

// An instance is a process that takes requests.
type instance struct {
	cmd    *exec.Cmd
	exited chan struct{}
	client *http.Client
	base   string // its URL

	// With Vercel's proxy:
	ns   *namespace
	dir  string // of the socket
	ipc  net.Conn
	mu   sync.Mutex
	seq  int
	ends map[int]chan struct{}
	once sync.Once
	work sync.WaitGroup
}

func startInstance(ctx context.Context, o serverOptions) (in *instance, err error) {
	if o.ipc {
		return startProxied(ctx, o)
	}
	for range 3 { // a free port may be taken by somebody else before it is used
		if in, err = startPlain(ctx, o); err == nil {
			return in, nil
		}
	}
	return nil, err
}

func (o serverOptions) command(env ...string) *exec.Cmd {
	cmd := exec.Command(o.program)
	cmd.Dir = filepath.Dir(o.program)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TZ=:UTC", "LANG=en_US.UTF-8", "VERCEL=1", "VERCEL_ENV=production", "VERCEL_REGION=dev1"}, env...)
	cmd.Env = append(cmd.Env, o.env...)
	cmd.Stdout, cmd.Stderr = o.log, o.log
	cmd.SysProcAttr = proc.Attributes()
	return cmd
}

// startPlain starts a program that listens on PORT.
func startPlain(ctx context.Context, o serverOptions) (*instance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	in := &instance{cmd: o.command("PORT=" + port), exited: make(chan struct{}), base: "http://" + addr, client: newClient(nil)}
	if err := in.cmd.Start(); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	go func() { defer close(in.exited); _ = in.cmd.Wait() }()
	limit := time.Now().Add(startTime)
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return in, conn.Close()
		}
		select {
		case <-in.exited:
			return nil, fmt.Errorf("emulate: the program ended at its start: %v", in.cmd.ProcessState)
		case <-ctx.Done():
			in.end()
			return nil, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(limit) {
			in.end()
			return nil, errors.New("emulate: the program does not listen on PORT")
		}
	}
}

// newClient returns a client for one instance, which dials with dial, or as usual.
func newClient(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// message is what Vercel's proxy says on its socket, a NUL after each.
type message struct {
	Type    string `json:"type"`
	Payload struct {
		Port    int `json:"httpPort"`
		Context struct {
			Request int `json:"requestId"`
		} `json:"context"`
	} `json:"payload"`
}

// startProxied starts Vercel's proxy, which starts the program. It always
// listens on the same port, so each has a network of its own.
func startProxied(ctx context.Context, o serverOptions) (_ *instance, err error) {
	dir, err := os.MkdirTemp("", "vercel-ipc-")
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	in := &instance{exited: make(chan struct{}), dir: dir, ends: map[int]chan struct{}{}}
	defer func() {
		if err != nil {
			in.end()
		}
	}()
	if in.ns, err = newNamespace(loopbackServices(o.env)); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "ipc.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	defer listener.Close()
	cmd := o.command("VERCEL_IPC_PATH=" + socket)
	if err := in.ns.start(cmd, in.exited); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	in.cmd = cmd
	accepted := make(chan error, 1)
	go func() { // ends with the listener at the latest
		var err error
		in.ipc, err = listener.Accept()
		accepted <- err
	}()
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case err = <-accepted:
	case <-in.exited:
		err = fmt.Errorf("emulate: the program ended at its start: %v", cmd.ProcessState)
	case <-limit.Done():
		err = errors.New("emulate: Vercel's proxy does not speak")
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	started := make(chan int, 1)
	in.work.Go(func() { in.listen(started) })
	select {
	case port := <-started:
		in.base = "http://127.0.0.1:" + strconv.Itoa(port)
	case <-in.exited:
		return nil, fmt.Errorf("emulate: the program ended at its start: %v", cmd.ProcessState)
	case <-limit.Done():
		return nil, errors.New("emulate: the program does not listen on PORT")
	}
	in.client = newClient(in.ns.dial)
	if err := in.untilItListens(limit); err != nil {
		return nil, err
	}
	return in, nil
}

// untilItListens waits for the proxy, which says a moment too early that it has
// started.
func (in *instance) untilItListens(ctx context.Context) error {
	addr := strings.TrimPrefix(in.base, "http://")
	for {
		conn, err := in.ns.dial(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-in.exited:
			return fmt.Errorf("emulate: the program ended at its start: %v", in.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("emulate: Vercel's proxy does not listen: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// listen reads the socket until it is closed.
func (in *instance) listen(started chan<- int) {
	r := bufio.NewReader(in.ipc)
	for {
		b, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(b, []byte{0}), &m) != nil {
			continue
		}
		switch m.Type {
		case "server-started":
			select {
			case started <- m.Payload.Port:
			default:
			}
		case "end":
			in.mu.Lock()
			if end := in.ends[m.Payload.Context.Request]; end != nil {
				close(end)
				delete(in.ends, m.Payload.Context.Request)
			}
			in.mu.Unlock()
		}
	}
}

// answer sends a request and reads the whole reply.
func (in *instance) answer(ctx context.Context, r *http.Request, body []byte) (*answer, error) {
	u, err := url.Parse(in.base)
	if err != nil {
		return nil, err
	}
	to := *r.URL
	to.Scheme, to.Host = u.Scheme, u.Host
	out := (&http.Request{Method: r.Method, URL: &to, Host: r.Host, Header: r.Header.Clone(), ContentLength: int64(len(body)),
		Body: io.NopCloser(bytes.NewReader(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(name)
	}
	var ended chan struct{}
	if in.ipc != nil {
		in.mu.Lock()
		in.seq++
		id := in.seq
		ended = make(chan struct{})
		in.ends[id] = ended
		in.mu.Unlock()
		out.Header.Set("X-Vercel-Internal-Invocation-Id", "invocation-"+strconv.Itoa(id))
		out.Header.Set("X-Vercel-Internal-Request-Id", strconv.Itoa(id))
	}
	resp, err := in.client.Do(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if ended != nil { // the proxy says when an invocation is over, which is when it may be frozen
		select {
		case <-ended:
		case <-in.exited:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: said}, nil
}

func (in *instance) ended() bool {
	select {
	case <-in.exited:
		return true
	default:
		return false
	}
}

// end ends the instance and what it holds.
func (in *instance) end() {
	in.once.Do(func() {
		if in.cmd != nil {
			_ = proc.Send(in.cmd.Process, proc.Kill)
			<-in.exited
		}
		if in.ipc != nil {
			_ = in.ipc.Close()
		}
		in.work.Wait()
		if in.client != nil {
			in.client.CloseIdleConnections()
		}
		if in.ns != nil {
			in.ns.close()
		}
		if in.dir != "" {
			_ = os.RemoveAll(in.dir)
		}
	})
}
