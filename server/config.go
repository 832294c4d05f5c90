package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/interactly"
)

// Main runs p as a program: it reads flags and environment and serves until
// SIGINT or SIGTERM. It exits with 0, with 1 and a line that says what failed, or
// with 2 for invalid flags.
func Main(p *core.Processor) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		// Large bodies are rare, small machines are common: collect garbage early.
		debug.SetGCPercent(30)
	}
	os.Exit(run(ctx, p, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(ctx context.Context, p *core.Processor, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := ParseConfig(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, err)
		return 2
	}
	c.Logger = slog.New(slog.NewJSONHandler(stderr, nil))
	if c.Listener, err = activatedSocket(getenv); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	c.OnReady = func(url string) { fmt.Fprintf(stdout, "listening on %s\n", url) }
	if err := Run(ctx, p, c); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

const usage = `Runs the backend as a plain HTTP server.

Flags take precedence over the environment:

  -addr HOST:PORT     SERVERURL_ADDR, or PORT     where to listen (default :8080)
  -database URL       SERVERURL_DATABASE_URL      postgres://... or the path of a SQLite file
                                                  (default serverurl.db in SERVERURL_DATA or here)
  -development        SERVERURL_DEVELOPMENT=1     answer anyone, on a loopback address only

  SERVERURL_SECRET    the sender's secret; several, separated by commas, while
                      one replaces another
  SERVERURL_SIGNING_SECRET           also accept X-Interactly-Signature made with it
  SERVERURL_STANDARD_WEBHOOKS_SECRET also accept Standard Webhooks signatures (whsec_...)

  SERVERURL_SPOOL     a SQLite file, on a disk that outlives the process, for events that arrive
                      while the database is unavailable (default: they are refused with 503)
  SERVERURL_MAX_INFLIGHT_MIB  MiB of request bodies in memory at a time (default 64)
  SERVERURL_RETENTION      how long data is stored, such as
                      content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y (default: forever)
  SERVERURL_SHUTDOWN_DELAY  how long to serve after SIGTERM, until other instances have taken over (default 0s)

  INTERACTLY_API_KEY  recover events that were never received from Interactly's API
  INTERACTLY_API_URL     its root, if it is another one
  INTERACTLY_ASSISTANTS  the assistants whose calls are ours, by id with commas between, or *

Example:

  SERVERURL_SECRET="$(openssl rand -hex 32)" server -addr 127.0.0.1:8080
`

// ParseConfig reads a Config from flags and environment; docs/server.md lists
// them. Secrets are read from the environment only, because other users of a
// machine can see flags.
func ParseConfig(args []string, getenv func(string) string, stderr io.Writer) (Config, error) {
	var c Config
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage) }
	fs.StringVar(&c.Addr, "addr", getenv("SERVERURL_ADDR"), "")
	fs.StringVar(&c.Database, "database", getenv("SERVERURL_DATABASE_URL"), "")
	fs.BoolVar(&c.Verifier.AllowUnauthenticated, "development", getenv("SERVERURL_DEVELOPMENT") == "1", "")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("server: %q is not a flag: try -h", fs.Arg(0))
	}
	if port := getenv("PORT"); c.Addr == "" && port != "" {
		c.Addr = net.JoinHostPort("", port)
	}
	if c.Database == "" {
		c.Database = filepath.Join(getenv("SERVERURL_DATA"), "serverurl.db")
	}
	c.Verifier.Secrets = auth.ParseSecrets(getenv("SERVERURL_SECRET"))
	c.Verifier.SigningSecrets = auth.ParseSecrets(getenv("SERVERURL_SIGNING_SECRET"))
	c.Verifier.StandardWebhooksSecrets = auth.ParseSecrets(getenv("SERVERURL_STANDARD_WEBHOOKS_SECRET"))
	c.Spool = getenv("SERVERURL_SPOOL")
	var err error
	if c.Retention, err = calls.ParseRetention(getenv("SERVERURL_RETENTION")); err != nil {
		return c, err
	}
	if s := getenv("SERVERURL_SHUTDOWN_DELAY"); s != "" {
		if c.ShutdownDelay, err = time.ParseDuration(s); err != nil || c.ShutdownDelay < 0 {
			return c, errors.New("server: SERVERURL_SHUTDOWN_DELAY is not a duration such as 3s")
		}
	}
	if s := getenv("SERVERURL_MAX_INFLIGHT_MIB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1<<20 {
			return c, errors.New("server: SERVERURL_MAX_INFLIGHT_MIB is not a number of MiB")
		}
		c.MaxInflightBytes = int64(n) << 20
	}
	calls, assistants, err := interactly.FromEnv(getenv)
	if err != nil {
		return c, err
	}
	if c.Backfill.Assistants = assistants; calls != nil {
		c.Backfill.API = calls
	}
	return c, nil
}
