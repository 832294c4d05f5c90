package emulate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/internal/proc"
	"github.com/serverurl/serverurl/internal/runtimeapi"
)

// Options say what Run runs. Zero fields mean their defaults.
type Options struct {
	// Addr is where the edge listens, HOST:PORT on loopback. Port 0 takes a
	// free one. Default: 127.0.0.1:8080.
	Addr string

	// Mode is how the program runs. Default: [Standalone].
	Mode Mode

	// Dir is the root of the backend's module, and Project the folder below it
	// that vercel.json is in. Default: the current directory; itself, or
	// examples/vercel-function in mode Function.
	Dir, Project string

	// Output is the output of a build, in place of building.
	Output string

	// Env is what the program sees of the environment, as KEY=value. Default:
	// those variables of this process that [Forwarded] lets through. Where there
	// is no CRON_SECRET, one is made up.
	Env []string

	// Instances is how many run at the same time. A server's take requests in
	// turn, each many at a time; a function's one at a time, and above it Vercel
	// answers 429. Default: 2, and 16.
	Instances int

	// Freeze stops an instance once it has replied to all its requests, until the
	// next one.
	Freeze bool

	// MaxInvocations ends an instance after that many requests. Default: never.
	MaxInvocations int

	// Cron is how often the cron fires. Default: 1 minute, as in vercel.json.
	Cron time.Duration

	// SkipCLI builds the package ./cmd/vercel with Go alone, without Vercel's CLI.
	SkipCLI bool

	// Stdout gets what is in use, and "listening on http://HOST:PORT" when
	// requests are taken. Default: nowhere.
	Stdout io.Writer

	// Log gets the logs of the program and of the emulator. Default: nowhere.
	Log io.Writer
}

// Run builds the backend and runs it as Vercel would, until ctx ends; then it
// returns nil. It builds with Vercel's CLI, which it installs where npm is
// here; without npm it builds ./cmd/vercel with Go alone. Stdout says which.
//
// The program needs a Postgres in SERVERURL_DATABASE_URL.
func Run(ctx context.Context, o Options) (err error) {
	if o, err = o.withDefaults(); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "serverurl-vercel-")
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	defer os.RemoveAll(temp)
	b, out, err := o.open(ctx, temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("emulate: cannot listen on %s: %w", o.Addr, err)
	}
	log := slog.New(slog.NewTextHandler(o.Log, nil))
	edge := &http.Server{Handler: front(b, out.static, log), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- edge.Serve(listener) }()

	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	for _, path := range out.crons {
		work.Go(func() {
			tick(working, "http://"+listener.Addr().String()+path, o.getenv("CRON_SECRET"), o.Cron, log)
		})
	}
	fmt.Fprintf(o.Stdout, "listening on http://%s\n", listener.Addr())

	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil // for the wait below
	}
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if edge.Shutdown(grace) != nil {
		_ = edge.Close()
	}
	<-served
	work.Wait()
	return err
}

// open builds what is to be run, and makes a backend of it.
func (o Options) open(ctx context.Context, temp string) (backend, *output, error) {
	built, err := o.build(ctx, temp)
	switch {
	case o.SkipCLI:
		fmt.Fprintln(o.Stdout, "program: cmd/vercel built by Go alone, which is not what Vercel builds")
		return o.openPlain(ctx, temp)
	case (errors.Is(err, ErrNoCLI) || errors.Is(err, errNotLinux)) && o.Mode == Standalone:
		fmt.Fprintf(o.Stdout, "%v\nprogram: cmd/vercel built by Go alone, which is not what Vercel builds\n", err)
		return o.openPlain(ctx, temp)
	case err != nil:
		return nil, nil, err
	}
	out, err := readOutput(built)
	if err != nil {
		return nil, nil, err
	}
	if isFunction := out.runtime != "executable"; isFunction != (o.Mode == Function) {
		return nil, nil, fmt.Errorf("emulate: the build's output is for runtime %q, which is not mode %s", out.runtime, o.Mode)
	}
	if o.Mode == Function {
		fmt.Fprintln(o.Stdout, "program: the bootstrap that vercel build made, under a Lambda Runtime API")
		return function{runtimeapi.NewFunction(runtimeapi.FunctionOptions{Bootstrap: filepath.Join(out.function, out.handler), Env: o.Env,
			Timeout: out.duration, MaxConcurrency: o.Instances, Freeze: o.Freeze, MaxInvocations: o.MaxInvocations, Log: o.Log})}, out, nil
	}
	so := o.server(filepath.Join(out.function, out.handler), out.duration)
	if so.ipc = canIsolate() && o.databaseIsReachable(); so.ipc {
		fmt.Fprintln(o.Stdout, "program: the executable that vercel build made, under its socket protocol")
	} else {
		so.program = filepath.Join(out.function, "user-server")
		fmt.Fprintln(o.Stdout, "program: the server that vercel build made, without Vercel's proxy before it (that takes root on Linux)")
	}
	return newServer(so), out, nil
}

func (o Options) server(program string, duration time.Duration) serverOptions {
	return serverOptions{program: program, env: o.Env, instances: o.Instances, freeze: o.Freeze, recycle: o.MaxInvocations, duration: duration, log: o.Log}
}

// build returns the folder of the build's output.
func (o Options) build(ctx context.Context, temp string) (string, error) {
	if o.Output != "" || o.SkipCLI {
		return o.Output, nil
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", errNotLinux
	}
	cli, err := FindCLI(ctx, o.Stdout)
	if err != nil {
		return "", err
	}
	return Build{CLI: cli, Dir: o.Dir, Project: o.Project}.Run(ctx, filepath.Join(temp, "build"))
}

// openPlain builds ./cmd/vercel with Go alone.
func (o Options) openPlain(ctx context.Context, temp string) (backend, *output, error) {
	program := filepath.Join(temp, "api")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/vercel")
	cmd.Dir, cmd.Env = o.Dir, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("emulate: go build ./cmd/vercel: %w\n%s", err, said)
	}
	out := &output{static: filepath.Join(o.Dir, "public"), duration: 30 * time.Second, crons: []string{"/cron"}}
	return newServer(o.server(program, out.duration)), out, nil
}

// tick fires a cron as Vercel does.
func tick(ctx context.Context, url, secret string, every time.Duration, log *slog.Logger) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if status, err := fire(ctx, url, secret); err != nil || status != http.StatusOK {
				log.Warn("cron failed", "status", status, "reason", err)
			}
		}
	}
}

func fire(ctx context.Context, url, secret string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("User-Agent", "vercel-cron/1.0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// databases are the variables that name one.
var databases = []string{"SERVERURL_DATABASE_URL", "DATABASE_URL", "POSTGRES_URL"}

// Forwarded reports whether the program sees a variable of this process by
// default, and a build does not.
func Forwarded(name string) bool {
	return strings.HasPrefix(name, "SERVERURL_") || name == "CRON_SECRET" || slices.Contains(databases, name)
}

// databaseURL is the one that the program takes.
func (o Options) databaseURL() string {
	for _, name := range databases {
		if v := o.getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// loopbackServices are the databases on this machine's loopback, HOST:PORT.
func loopbackServices(env []string) (addrs []string) {
	o := Options{Env: env}
	u, err := url.Parse(o.databaseURL())
	if err != nil || u.Hostname() == "" {
		return nil
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil
	}
	return []string{net.JoinHostPort(host, cmp.Or(u.Port(), "5432"))}
}

// databaseIsReachable reports whether the database can be reached from a
// network with nothing but loopback: it is there, or a socket.
func (o Options) databaseIsReachable() bool {
	u, err := url.Parse(o.databaseURL())
	if err != nil {
		return false
	}
	return u.Hostname() == "" && strings.HasPrefix(u.Query().Get("host"), "/") || len(loopbackServices(o.Env)) > 0
}

// getenv looks a variable up in what the program sees. The last one counts.
func (o Options) getenv(name string) (value string) {
	for _, kv := range o.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

func (o Options) withDefaults() (Options, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:8080")
	o.Mode = cmp.Or(o.Mode, Standalone)
	o.Dir = cmp.Or(o.Dir, ".")
	o.Cron = cmp.Or(o.Cron, time.Minute)
	if o.Mode == Function {
		o.Project = cmp.Or(o.Project, "examples/vercel-function")
		o.Instances = cmp.Or(o.Instances, 16)
	}
	o.Instances = cmp.Or(o.Instances, 2)
	if o.Env == nil {
		for _, kv := range os.Environ() {
			if name, _, _ := strings.Cut(kv, "="); Forwarded(name) {
				o.Env = append(o.Env, kv)
			}
		}
	}
	if o.getenv("CRON_SECRET") == "" {
		o.Env = append(slices.Clone(o.Env), "CRON_SECRET="+rand.Text())
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = proc.SyncWriter(o.Log)
	if err := loopback(o.Addr); err != nil {
		return o, err
	}
	switch {
	case !slices.Contains(Modes, o.Mode):
		return o, fmt.Errorf("emulate: no mode is called %q: one of %v", o.Mode, Modes)
	case o.SkipCLI && o.Mode == Function:
		return o, errors.New("emulate: mode function is built by Vercel's CLI alone")
	case o.databaseURL() == "":
		return o, errors.New("emulate: the program needs a Postgres: set SERVERURL_DATABASE_URL=postgres://user:password@127.0.0.1:5432/name")
	case o.getenv("SERVERURL_SECRET")+o.getenv("SERVERURL_SIGNING_SECRET")+o.getenv("SERVERURL_STANDARD_WEBHOOKS_SECRET") == "":
		return o, errors.New(`emulate: no secret is set; try: export SERVERURL_SECRET="$(openssl rand -hex 32)"`)
	}
	return o, nil
}
