package gcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envconfig/backfillenv"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/platform"
)

// Main returns the functions of p as the environment configures them, as
// gcp/deploy.sh sets it; docs/gcp.md lists the variables.
//
// It is called in a package variable, and Google's main is not ours, so a mistake in
// the environment, or a start check that fails, panics after a line on stderr that
// says what is wrong: the process ends at its start, and the deployment fails. Outside
// of a function, if FUNCTION_TARGET is not set, nothing is read before the first
// request. Secrets are read once: docs/gcp.md#rotation. It takes at most one
// [platform.Options].
//
// In the function Receive, Main serves and does not return: the functions
// framework would answer a path with a slash too many with a redirect, which the
// sender does not follow, and the event would be lost. SIGTERM ends the process,
// after the requests that it has.
func Main(p *core.Processor, opts ...platform.Options) *Functions {
	o, err := lifecycle.One(opts)
	var f *Functions
	if err == nil {
		f, err = run(p, o, os.Getenv, os.Stderr)
	}
	if err == nil && os.Getenv("FUNCTION_TARGET") == receiveTarget {
		err = f.serve(envconfig.New(envconfig.GCP, os.Getenv), o)
	}
	if err != nil {
		err = errors.Join(err, lifecycle.Close("gcp", o, lifecycle.CloseTimeout))
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
	return f
}

// receiveTarget is the --entry-point of the function that answers requests.
const receiveTarget = "Receive"

// shutdownTimeout is how long requests may take to end. With the closers it is within
// the 10 s that Cloud Run gives after SIGTERM.
const shutdownTimeout = 6 * time.Second

// serve answers requests in the place of the functions framework. It returns only
// if it fails: after SIGTERM the process ends by that signal.
func (f *Functions) serve(env envconfig.Env, o platform.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", cmp.Or(env.Get("SERVERURL_ADDR"), net.JoinHostPort("", cmp.Or(env.Get("PORT"), "8080"))))
	if err != nil {
		return fmt.Errorf("gcp: cannot serve: %w", err)
	}
	if err := f.serveUntil(ctx, listener); err != nil {
		return err
	}
	if err := lifecycle.Close("gcp", o, lifecycle.CloseTimeout); err != nil {
		f.log.Warn("closing failed", "reason", logCode(err))
	}
	lifecycle.LogStopped(f.log)
	stop() // the signal has its default effect again
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return fmt.Errorf("gcp: cannot end: %w", err)
	}
	select {}
}

// serveUntil answers requests until ctx ends, then those that it has.
func (f *Functions) serveUntil(ctx context.Context, listener net.Listener) error {
	srv := &http.Server{
		Handler:           http.HandlerFunc(f.Receive),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("gcp: cannot serve: %w", err)
	case <-ctx.Done():
	}
	lifecycle.LogStopping(f.log, nil)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(stopping); err != nil {
		_ = srv.Close()
	}
	<-served
	return nil
}

func run(p *core.Processor, o platform.Options, getenv func(string) string, stderr io.Writer) (*Functions, error) {
	f := NewFunctions(p, nil, &Options{Logger: cmp.Or(o.Logger, logger(stderr))})
	env := envconfig.New(envconfig.GCP, getenv)
	if env.Get("FUNCTION_TARGET") != "" {
		return f, f.open(env, o)
	}
	f.init = sync.OnceValue(func() error {
		err := f.open(env, o)
		if err != nil {
			f.log.Error("function is not configured", "reason", err)
		}
		return err
	})
	return f, nil
}

// open binds the Processor to what the environment names. It opens no
// connection: the first request that needs a service does.
func (f *Functions) open(env envconfig.Env, o platform.Options) error {
	project, err1 := env.Required("GOOGLE_CLOUD_PROJECT")
	topic, err2 := env.Required("SERVERURL_TOPIC")
	seconds, err3 := env.Int("CLOUD_RUN_TIMEOUT_SECONDS")
	retention, err4 := env.Retention()
	backfill, err5 := backfillenv.Read(env)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	if seconds > 0 {
		f.timeout = time.Duration(seconds) * time.Second
	}
	backfill.Timeout = backfillTimeout
	project = "projects/" + project
	if !strings.Contains(topic, "/") {
		topic = project + "/topics/" + topic
	}
	store, inbox := newClients(project+"/databases/"+cmp.Or(env.Get("SERVERURL_DATABASE"), "(default)"), topic)
	f.decode = inbox.Decode
	transport := corehttp.Transport()
	err := f.p.Bind(core.Platform{
		Name: "gcp", Store: store, Inbox: inbox, Verifier: env.Verifier(), ReplyTimeout: f.timeout, Backfill: backfill, Retention: retention, Logger: f.logger,
		Limits: o.Limits, Now: o.Now, HTTP: transport,
	})
	if err != nil {
		return fmt.Errorf("gcp: SERVERURL_SECRET: %w", err)
	}
	if err := lifecycle.Start(core.WithHTTP(context.Background(), transport), "gcp", o, lifecycle.StartTimeout); err != nil {
		return err
	}
	lifecycle.StartLine{Platform: "gcp", Store: "firestore", Verifier: env.Verifier(), Retention: retention}.Log(f.logger)
	return nil
}

// backfillTimeout bounds the requests of a sweep to Interactly's API: half of
// the shortest time that deploy.sh gives a function.
const backfillTimeout = 20 * time.Second

// logger writes lines as Cloud Logging reads them.
func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.LevelKey:
			a.Key = "severity"
			if a.Value.String() == "WARN" {
				a.Value = slog.StringValue("WARNING")
			}
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}}))
}
