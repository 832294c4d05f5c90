// Package emulate runs the backend as a Cloudflare Worker on this machine: the
// WASM that is deployed, in Cloudflare's own workerd, with the D1, Queues and R2
// that miniflare has. It needs Node 20.3 or newer and npm, and no
// account. Binding, limits of CPU time and of memory, and the network between are
// not emulated; docs/cloudflare.md#emulated says all that is not.
package emulate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// Options say what Run runs. Zero fields mean their defaults.
type Options struct {
	// Addr is where the Worker listens, HOST:PORT on loopback. Port 0 takes a
	// free one. Default: 127.0.0.1:8080.
	Addr string

	// Dir is the root of the backend's module, with wrangler.jsonc, and Package
	// the main package in it. Default: the current directory and ./cmd/cloudflare.
	Dir, Package string

	// WASM is a file that is built already, in place of Package.
	WASM string

	// Data is the folder of D1, of R2 and of the queue. Default:
	// Dir/.serverurl/cloudflare. "-" keeps them in memory.
	Data string

	// Secrets are what `wrangler secret` sets for a Worker that is deployed.
	// Default: those variables of this process that begin with SERVERURL_.
	Secrets map[string]string

	// Sweep is how often the cron trigger fires. Default: 1 minute.
	Sweep time.Duration

	// Stdout gets what is in use, and "listening on http://HOST:PORT" when
	// requests are taken. Default: nowhere.
	Stdout io.Writer

	// Log gets the logs of the Worker and of npm. Default: nowhere.
	Log io.Writer
}

// ErrNoNode reports that node or npm is not on this machine.
var ErrNoNode = errors.New("node and npm are needed, version 20.3 or newer: https://nodejs.org; without them the backend runs as a plain server: serverurl dev")

// Run builds the backend as WASM and runs it in workerd until ctx ends; then it
// returns nil. Without a secret the Worker answers anyone, on loopback only; a
// Worker that is deployed never does.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := Install(ctx, o.Dir, o.Log); err != nil {
		return err
	}
	if o.WASM == "" {
		temp, err := os.MkdirTemp("", "serverurl-worker-")
		if err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
		defer os.RemoveAll(temp)
		o.WASM = filepath.Join(temp, "worker.wasm")
		if err := Build(ctx, o.Dir, o.Package, o.WASM, "emulate"); err != nil {
			return err
		}
	}
	kept := o.Data
	if kept == "" {
		kept = "memory"
	}
	fmt.Fprintf(o.Stdout, "workerd, with miniflare's D1, Queues and R2 in %s\n", kept)
	return o.serve(ctx)
}

// inlined are the packages that are on the way of every event. Others are
// compiled without inlining, which takes 190 kB off the 2.1 MB that the WASM has
// in gzip; a Worker starts the faster the smaller it is.
var inlined = []string{"runtime", "unicode/...", "github.com/go-json-experiment/json/jsontext", "github.com/go-json-experiment/json/internal/...", "github.com/serverurl/..."}

// Build builds the WASM of a Worker. `go run ./cloudflare/build` does so too.
func Build(ctx context.Context, dir, pkg, out string, tags ...string) error {
	args := []string{"build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-tags=" + strings.Join(tags, ","), "-gcflags=all=-l"}
	for _, p := range inlined {
		args = append(args, "-gcflags="+p+"=")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", out, pkg)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("emulate: go build %s: %w\n%s", pkg, err, said)
	}
	return nil
}

// Install puts the pinned npm packages into dir/cloudflare/node_modules, unless
// they are there. It returns ErrNoNode where there is no npm.
func Install(ctx context.Context, dir string, log io.Writer) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("emulate: %w", ErrNoNode)
		}
	}
	room := filepath.Join(dir, "cloudflare")
	want, err := os.Stat(filepath.Join(room, "package-lock.json"))
	if err != nil {
		return fmt.Errorf("emulate: no cloudflare/package-lock.json in %s: run it in the root of the backend's module", dir)
	}
	if have, err := os.Stat(filepath.Join(room, "node_modules", ".package-lock.json")); err == nil && !have.ModTime().Before(want.ModTime()) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir, cmd.WaitDelay = room, 10*time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = log, io.MultiWriter(log, &said)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("emulate: npm ci in %s: %w\n%s", room, err, said.Bytes())
	}
	return nil
}

func (o Options) withDefaults() (Options, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:8080")
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, fmt.Errorf("emulate: --addr %s: want HOST:PORT of this machine only, such as 127.0.0.1:8080", o.Addr)
	}
	if o.Dir, err = filepath.Abs(cmp.Or(o.Dir, ".")); err != nil {
		return o, fmt.Errorf("emulate: %w", err)
	}
	o.Package = cmp.Or(o.Package, "./cmd/cloudflare")
	o.Sweep = cmp.Or(o.Sweep, time.Minute)
	switch o.Data {
	case "":
		o.Data = filepath.Join(o.Dir, ".serverurl", "cloudflare")
	case "-":
		o.Data = ""
	}
	if o.Secrets == nil {
		o.Secrets = map[string]string{}
		for _, v := range os.Environ() {
			if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "SERVERURL_") {
				o.Secrets[name] = value
			}
		}
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

// settings are what run.mjs is given.
type settings struct {
	Host    string            `json:"host"`
	Port    string            `json:"port"`
	Data    string            `json:"data"`
	Secrets map[string]string `json:"secrets"`
	Sweep   int64             `json:"sweep"`
	WASM    string            `json:"wasm"`
}

// serve runs workerd until ctx ends, or it does.
func (o Options) serve(ctx context.Context) error {
	host, port, _ := net.SplitHostPort(o.Addr)
	if port != "0" { // workerd says nothing of use about a port that is taken
		l, err := net.Listen("tcp", o.Addr)
		if err != nil {
			return fmt.Errorf("emulate: cannot listen on %s: %w", o.Addr, err)
		}
		_ = l.Close()
	}
	said, err := json.Marshal(settings{host, port, o.Data, o.Secrets, o.Sweep.Milliseconds(), o.WASM})
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	// Through a pipe and not as an argument, which others on the machine can read.
	cmd := exec.Command("node", filepath.Join(o.Dir, "cloudflare", "emulate", "run.mjs"), filepath.Join(o.Dir, "wrangler.jsonc"))
	cmd.Env = append(os.Environ(), "WRANGLER_SEND_METRICS=false", "CLOUDFLARE_CF_FETCH_ENABLED=false")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	out := &lines{ready: o.Stdout, rest: o.Log}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, o.Log, 5*time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if _, err := stdin.Write(append(said, '\n')); err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("emulate: workerd did not start: %w", errors.Join(err, <-ended))
	}
	select {
	case err := <-ended:
		return fmt.Errorf("emulate: workerd has ended: %w; --verbose shows what it said", cmp.Or(err, errors.New("exit status 0")))
	case <-ctx.Done():
	}
	_ = stdin.Close() // it stops when its input ends
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
	return nil
}

// lines passes the line that says where it listens to ready, all others to rest.
type lines struct {
	mu          sync.Mutex
	ready, rest io.Writer
	part        []byte
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		line, rest, found := bytes.Cut(l.part, []byte("\n"))
		if !found {
			return len(b), nil
		}
		to := l.rest
		if bytes.HasPrefix(line, []byte("listening on ")) {
			to = l.ready
		}
		fmt.Fprintf(to, "%s\n", line)
		l.part = rest
	}
}
