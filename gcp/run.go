package gcp

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envconfig/backfillenv"
)

// Main returns the functions of p as the environment configures them, as
// gcp/deploy.sh sets it; docs/gcp.md lists the variables.
//
// A mistake in it ends the process at its start, with a line that says what is
// wrong, so that the deployment fails. Outside of a function, if FUNCTION_TARGET
// is not set, nothing is read before the first request. Secrets are read once:
// docs/gcp.md#rotation.
//
// In the function Receive, Main serves and does not return: the functions
// framework would answer a path with a slash too many with a redirect, which the
// sender does not follow, and the event would be lost.
func Main(p *core.Processor) *Functions {
	f, err := run(p, os.Getenv, os.Stderr)
	if err == nil && os.Getenv("FUNCTION_TARGET") == receiveTarget {
		err = f.serve(envconfig.New(envconfig.GCP, os.Getenv))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return f
}

// receiveTarget is the --entry-point of the function that answers requests.
const receiveTarget = "Receive"

// serve answers requests in the place of the functions framework.
func (f *Functions) serve(env envconfig.Env) error {
	srv := &http.Server{
		Addr:              cmp.Or(env.Get("SERVERURL_ADDR"), net.JoinHostPort("", cmp.Or(env.Get("PORT"), "8080"))),
		Handler:           http.HandlerFunc(f.Receive),
		ReadHeaderTimeout: 10 * time.Second,
	}
	if err := srv.ListenAndServe(); err != nil {
		return fmt.Errorf("gcp: cannot serve: %w", err)
	}
	return nil
}

func run(p *core.Processor, getenv func(string) string, stderr io.Writer) (*Functions, error) {
	f := NewFunctions(p, nil, &Options{Logger: logger(stderr)})
	env := envconfig.New(envconfig.GCP, getenv)
	if env.Get("FUNCTION_TARGET") != "" {
		return f, f.open(env)
	}
	f.init = sync.OnceValue(func() error {
		err := f.open(env)
		if err != nil {
			f.log.Error("function is not configured", "reason", err)
		}
		return err
	})
	return f, nil
}

// open binds the Processor to what the environment names. It opens no
// connection: the first request that needs a service does.
func (f *Functions) open(env envconfig.Env) error {
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
	err := f.p.Bind(core.Platform{
		Name: "gcp", Store: store, Inbox: inbox, Verifier: env.Verifier(), ReplyTimeout: f.timeout, Backfill: backfill, Retention: retention, Logger: f.log,
	})
	if err != nil {
		return fmt.Errorf("gcp: SERVERURL_SECRET: %w", err)
	}
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
