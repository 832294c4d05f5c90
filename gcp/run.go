package gcp

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/interactly"
)

// Start returns the functions of p as the environment configures them, as
// deploy.sh sets it:
//
//	GOOGLE_CLOUD_PROJECT       the project of the database and the topic
//	SERVERURL_TOPIC            the Pub/Sub topic of accepted events
//	SERVERURL_DATABASE         the Firestore database; default: (default)
//	SERVERURL_SECRET           what the sender proves itself with, from Secret Manager;
//	                           several with commas between them
//	CLOUD_RUN_TIMEOUT_SECONDS  how long a function may run; default: 60
//
// A mistake in it ends the process at its start, with a line that says what is
// wrong, so that the deployment fails. Outside of a function, where
// FUNCTION_TARGET is not set, nothing is looked at before the first request.
// The secret is read once: docs/gcp.md#rotation.
func Start(p *core.Processor) *Functions {
	f, err := start(p, os.Getenv, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return f
}

func start(p *core.Processor, getenv func(string) string, stderr io.Writer) (*Functions, error) {
	f := New(p, nil, &Options{Logger: logger(stderr)})
	if getenv("FUNCTION_TARGET") != "" {
		return f, f.open(getenv)
	}
	f.ready = sync.OnceValue(func() error {
		err := f.open(getenv)
		if err != nil {
			f.log.Error("not configured", "reason", err)
		}
		return err
	})
	return f, nil
}

// open binds the Processor to what the environment names. It opens no
// connection: the first request that needs a service does.
func (f *Functions) open(getenv func(string) string) error {
	for _, name := range []string{"GOOGLE_CLOUD_PROJECT", "SERVERURL_TOPIC"} {
		if getenv(name) == "" {
			return fmt.Errorf("gcp: %s is not set; gcp/deploy.sh sets it", name)
		}
	}
	if s := getenv("CLOUD_RUN_TIMEOUT_SECONDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			return fmt.Errorf("gcp: CLOUD_RUN_TIMEOUT_SECONDS is no number of seconds")
		}
		f.timeout = time.Duration(n) * time.Second
	}
	secret := getenv("SERVERURL_SECRET")
	if secret == "" {
		return fmt.Errorf("gcp: SERVERURL_SECRET is not set: %w", auth.ErrNoSecret)
	}
	project := "projects/" + getenv("GOOGLE_CLOUD_PROJECT")
	topic := getenv("SERVERURL_TOPIC")
	if !strings.Contains(topic, "/") {
		topic = project + "/topics/" + topic
	}
	found, assistants, err := interactly.FromEnv(getenv)
	if err != nil {
		return err
	}
	repair := core.Backfill{Assistants: assistants, Timeout: repairTime}
	if found != nil {
		repair.API = found
	}
	keep, err := calls.ParseRetention(getenv("SERVERURL_RETENTION"))
	if err != nil {
		return err
	}
	store, inbox := services(project+"/databases/"+cmp.Or(getenv("SERVERURL_DATABASE"), "(default)"), topic)
	f.in = inbox
	return f.p.Bind(core.Platform{
		Name: "gcp", Store: store, Inbox: inbox, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(secret)}, ReplyTimeout: f.timeout, Backfill: repair, Retention: keep, Logger: f.log,
	})
}

// repairTime is how long a sweep may ask Interactly's API: half of the shortest
// time that deploy.sh gives a function.
const repairTime = 20 * time.Second

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
