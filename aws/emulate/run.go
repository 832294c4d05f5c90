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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/proc"
)

// Options say what Run runs. Zero fields mean their defaults.
type Options struct {
	// Addr is where the front listens, HOST:PORT on loopback. Port 0 takes a
	// free one. Default: 127.0.0.1:8080.
	Addr string

	// Trigger is the HTTP trigger. Default: [FunctionURL].
	Trigger Trigger

	// Dir is the root of the backend's module, and Package the main package in
	// it that is built. Default: the current directory and ./cmd/lambda.
	Dir, Package string

	// Bootstrap is a program that is built already, in place of Package.
	Bootstrap string

	// Env is what the functions see of the environment, as KEY=value. Default:
	// those variables of this process that [ForwardEnv] lets through.
	Env []string

	// Data is where the embedded store and queue are. Default: Dir/.serverurl/aws.
	Data string

	// Timeout is that of the function that answers requests. Default: 10 s, as
	// in template.yaml.
	Timeout time.Duration

	// MaxConcurrency, Freeze and MaxInvocations are as in FunctionOptions.
	MaxConcurrency int
	Freeze         bool
	MaxInvocations int

	// Sweep is how often the schedule fires. Default: 1 minute.
	Sweep time.Duration

	// Stdout gets what is in use, and "listening on http://HOST:PORT" when
	// requests are taken. Default: nowhere.
	Stdout io.Writer

	// Log gets the logs of the functions and of the emulator. Default: nowhere.
	Log io.Writer
}

// workerTimeout is that of the functions behind the queue and the schedule, as
// in template.yaml.
const workerTimeout = 2 * time.Minute

// Run builds the backend and runs it as Lambda would, until ctx ends; then it
// returns nil. Requests go to one function, messages of the queue to another,
// the schedule to a third, all from the same program, as template.yaml has it.
//
// With AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_DYNAMODB and
// AWS_ENDPOINT_URL_SQS) in Env, such as moto_server's, the deployed program runs
// on those; table and queue are made where TABLE_NAME and QUEUE_URL are not
// set. Without them the program is built with the tag "emulate" and keeps its
// records in a SQLite file and its queue in files: the adapter is the deployed one,
// store and inbox are not. Stdout says which.
func Run(ctx context.Context, o Options) (err error) {
	o, err = o.withDefaults()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(o.Log, nil))
	b, err := o.openBackend(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Stdout, b.what)

	bootstrap := o.Bootstrap
	if bootstrap == "" {
		temp, err := os.MkdirTemp("", "serverurl-lambda-")
		if err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
		defer os.RemoveAll(temp)
		bootstrap = filepath.Join(temp, "bootstrap")
		if err := Build(ctx, o.Dir, o.Package, bootstrap, b.tags...); err != nil {
			return err
		}
	}
	function := func(name string, timeout time.Duration, environments int) *Function {
		return NewFunction(FunctionOptions{Bootstrap: bootstrap, Name: name, Env: append(o.Env, b.env...), Timeout: timeout,
			MaxConcurrency: environments, Freeze: o.Freeze, MaxInvocations: o.MaxInvocations, Log: o.Log})
	}
	receiver, worker, sweeper := function("receiver", o.Timeout, o.MaxConcurrency), function("worker", workerTimeout, 1), function("sweeper", workerTimeout, 1)
	defer func() { err = errors.Join(err, receiver.Close(), worker.Close(), sweeper.Close()) }()

	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("emulate: cannot listen on %s: %w", o.Addr, err)
	}
	front := &http.Server{Handler: HTTPTrigger(receiver, o.Trigger), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()

	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { poll(working, worker, b.queue, log) })
	work.Go(func() { tick(working, sweeper, o.Sweep, log) })
	fmt.Fprintf(o.Stdout, "listening on http://%s\n", listener.Addr())

	select {
	case <-ctx.Done():
	case err = <-served:
		served <- nil // for the wait below
	}
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if front.Shutdown(grace) != nil {
		_ = front.Close()
	}
	<-served
	work.Wait()
	return err
}

// tick invokes f with what an EventBridge schedule sends.
func tick(ctx context.Context, f *Function, every time.Duration, log *slog.Logger) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if _, err := f.Invoke(context.WithoutCancel(ctx), Schedule(now)); err != nil {
				log.Warn("sweep failed", "reason", err)
			}
		}
	}
}

// Schedule returns the event of an EventBridge schedule.
func Schedule(now time.Time) []byte {
	b, _ := json.Marshal(object{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
		"time": now.UTC().Format(time.RFC3339), "region": "us-east-1", "detail": object{},
		"resources": []string{"arn:aws:events:us-east-1:123456789012:rule/sweep"},
	}) // strings only
	return b
}

// Build builds a main package of the module at dir for this machine, with the
// flags of the deployed program.
func Build(ctx context.Context, dir, pkg, out string, tags ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", strings.Join(append(tags, "lambda.norpc"), ","), "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("emulate: go build %s: %w\n%s", pkg, err, said)
	}
	return nil
}

// ForwardEnv reports whether functions see a variable of this process by
// default: settings of the backend, and where its services are.
func ForwardEnv(name string) bool {
	switch name {
	case "TABLE_NAME", "QUEUE_URL", "SERVERURL_SECRET_ARN", "BASE_PATH":
		return true
	}
	return strings.HasPrefix(name, "SERVERURL_") || strings.HasPrefix(name, "AWS_ENDPOINT_URL")
}

func (o Options) withDefaults() (Options, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:8080")
	o.Trigger = cmp.Or(o.Trigger, FunctionURL)
	o.Dir = cmp.Or(o.Dir, ".")
	o.Package = cmp.Or(o.Package, "./cmd/lambda")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Sweep = cmp.Or(o.Sweep, time.Minute)
	if o.Data == "" {
		o.Data = filepath.Join(o.Dir, ".serverurl", "aws")
	}
	if o.Env == nil {
		for _, kv := range os.Environ() {
			if name, _, _ := strings.Cut(kv, "="); ForwardEnv(name) {
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
	o.Log = proc.SyncWriter(o.Log)
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, fmt.Errorf("emulate: %q is not HOST:PORT on loopback: an emulator is for this machine only", o.Addr)
	}
	for _, s := range Triggers {
		if s == o.Trigger {
			return o, nil
		}
	}
	return o, fmt.Errorf("emulate: unknown trigger %q: one of %v", o.Trigger, Triggers)
}
