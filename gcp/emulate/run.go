package emulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say what Run runs. Zero fields mean their defaults.
type Options struct {
	// Addr is where Receive listens, HOST:PORT on loopback. Port 0 takes a free
	// one. Default: 127.0.0.1:8080.
	Addr string

	// Dir is the root of the backend's module. Default: the current directory.
	Dir string

	// Programs are functions that are built already, by name, in place of Dir.
	Programs map[string]string

	// Env is what the functions see of the environment, as KEY=value. Default:
	// those variables of this process that [Forwarded] lets through.
	Env []string

	// Project is what the emulated project is called. Default: serverurl-emulated.
	Project string

	// Embedded uses the stand-ins in memory even where Google's emulators are here.
	Embedded bool

	// Timeout is that of Receive. Default: 15 s, as in deploy.sh.
	Timeout time.Duration

	// Concurrency, Instances and Freeze are as in FunctionOptions.
	Concurrency, Instances int
	Freeze                 bool

	// Retry is how long Pub/Sub waits before it pushes a message again. Default: 1 s.
	Retry time.Duration

	// Sweep is how often the schedule fires. Default: 1 minute.
	Sweep time.Duration

	// Stdout gets what is in use, and "listening on http://HOST:PORT" when
	// requests are taken. Default: nowhere.
	Stdout io.Writer

	// Log gets the logs of the functions and of the emulators. Default: nowhere.
	Log io.Writer
}

// Targets are the functions of an upload.
var Targets = []string{"Receive", "Deliver", "Sweep"}

// Names in the emulated project, as in deploy.sh.
const (
	topic        = "serverurl-events"
	subscription = "serverurl-deliver"
)

// Run builds the upload and runs it as Google Cloud would, until ctx ends;
// then it returns nil.
//
// With FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST in Env it uses the emulators
// there. Else it starts Google's emulators where they are on the machine, and
// stand-ins in memory where they are not. Stdout says which.
func Run(ctx context.Context, o Options) (err error) {
	o, err = o.withDefaults()
	if err != nil {
		return err
	}
	if o.getenv("SERVERURL_SECRET") == "" { // what is deployed would not start
		return errors.New("emulate: SERVERURL_SECRET is not set; try: SERVERURL_SECRET=\"$(openssl rand -hex 32)\" serverurl emulate gcp")
	}
	log := slog.New(slog.NewTextHandler(o.Log, nil))
	var worker *Function
	ready := make(chan struct{}) // worker is set
	push, err := serve("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ready
		Eventarc(worker, "//pubsub.googleapis.com/projects/"+o.Project+"/topics/"+topic).ServeHTTP(w, r)
	}))
	if err != nil {
		return err
	}
	defer push.close()
	s, err := o.openServices(ctx, push.url)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintln(o.Stdout, s.what)

	programs, clean, err := o.build(ctx)
	if err != nil {
		return err
	}
	defer clean()
	function := func(target string, timeout time.Duration, instances int) *Function {
		return NewFunction(FunctionOptions{Program: programs[target], Target: target, Timeout: timeout, Concurrency: o.Concurrency,
			Instances: instances, Freeze: o.Freeze, Log: o.Log,
			Env: append([]string{"GOOGLE_CLOUD_PROJECT=" + o.Project, "SERVERURL_TOPIC=" + topic}, append(o.Env, s.env...)...)})
	}
	receiver, sweeper := function("Receive", o.Timeout, o.Instances), function("Sweep", time.Minute, 1)
	worker = function("Deliver", time.Minute, o.Instances)
	close(ready)
	defer func() { err = errors.Join(err, receiver.Close(), worker.Close(), sweeper.Close()) }()
	if err := receiver.Start(ctx); err != nil {
		return err
	}
	front, err := serve(o.Addr, receiver)
	if err != nil {
		return err
	}
	defer front.close()
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { tick(working, sweeper, o.Sweep, log) })
	defer func() { stop(); work.Wait() }()

	fmt.Fprintf(o.Stdout, "listening on %s\n", front.url)
	select {
	case <-ctx.Done():
		return nil
	case err := <-front.failed:
		return err
	case err := <-push.failed:
		return err
	}
}

// tick does what Cloud Scheduler does.
func tick(ctx context.Context, f *Function, every time.Duration, log *slog.Logger) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequestWithContext(context.WithoutCancel(ctx), "POST", "/", nil))
			if w.Code != http.StatusOK {
				log.Warn("sweep failed", "status", w.Code)
			}
		}
	}
}

// A server is a handler that listens.
type server struct {
	url    string
	http   *http.Server
	failed chan error
}

func serve(addr string, h http.Handler) (*server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("emulate: cannot listen on %s: %w", addr, err)
	}
	s := &server{url: "http://" + l.Addr().String(), failed: make(chan error, 1),
		http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	go func() { s.failed <- s.http.Serve(l) }() // ends by close
	return s, nil
}

// close waits a little for what is under way.
func (s *server) close() {
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s.http.Shutdown(grace) != nil {
		_ = s.http.Close()
	}
}

// build makes the three programs. clean removes them.
func (o Options) build(ctx context.Context) (programs map[string]string, clean func(), err error) {
	if len(o.Programs) > 0 {
		return o.Programs, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "serverurl-functions-")
	if err != nil {
		return nil, nil, fmt.Errorf("emulate: %w", err)
	}
	clean = func() { _ = os.RemoveAll(dir) }
	if programs, err = Build(ctx, o.Dir, dir); err != nil {
		clean()
		return nil, nil, err
	}
	return programs, clean, nil
}

// Build copies the upload of a module into a folder and builds its three
// functions there.
func Build(ctx context.Context, module, dir string, tags ...string) (map[string]string, error) {
	upload := filepath.Join(dir, "upload")
	if err := CopyUpload(module, upload); err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for _, target := range Targets {
		programs[target] = filepath.Join(dir, target)
		if err := BuildFunction(ctx, upload, target, programs[target], tags...); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

// Forwarded reports whether functions see a variable of this process by
// default: settings of the backend, and where its services are.
func Forwarded(name string) bool {
	return strings.HasPrefix(name, "SERVERURL_") || name == "FIRESTORE_EMULATOR_HOST" || name == "PUBSUB_EMULATOR_HOST"
}

func (o Options) withDefaults() (Options, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:8080")
	o.Dir = cmp.Or(o.Dir, ".")
	o.Project = cmp.Or(o.Project, "serverurl-emulated")
	o.Timeout = cmp.Or(o.Timeout, 15*time.Second)
	o.Retry = cmp.Or(o.Retry, time.Second)
	o.Sweep = cmp.Or(o.Sweep, time.Minute)
	if o.Env == nil {
		for _, kv := range os.Environ() {
			if name, _, _ := strings.Cut(kv, "="); Forwarded(name) {
				o.Env = append(o.Env, kv)
			}
		}
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = &lockedWriter{w: o.Log}
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, fmt.Errorf("emulate: %q is not HOST:PORT on loopback: an emulator is for this machine only", o.Addr)
	}
	return o, nil
}

// getenv looks a variable up in what the functions see. The last one counts.
func (o Options) getenv(name string) (value string) {
	for _, kv := range o.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// lockedWriter is written to by several processes.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
