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

// Main runs p as a program: it reads flags and environment, serves until it is
// told to stop by SIGINT or SIGTERM, and exits 0, or 1 with a line that says
// what is wrong, or 2 for flags that it does not know.
func Main(p *core.Processor) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		// Bodies of megabytes are rare, and small machines are not.
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

Flags go before the environment, the environment before defaults:

  -addr HOST:PORT     SERVERURL_ADDR, or PORT     where to listen (default :8080)
  -database URL       SERVERURL_DATABASE_URL      postgres://... or the path of a SQLite file
                                                  (default serverurl.db in SERVERURL_DATA or here)
  -development        SERVERURL_DEVELOPMENT=1     answer anyone, on a loopback address only

  SERVERURL_SECRET    what the sender proves itself with; several, with commas
                      between them, while one takes over from another
  SERVERURL_SIGNING_SECRET           also accept X-Interactly-Signature made with it
  SERVERURL_STANDARD_WEBHOOKS_SECRET also accept Standard Webhooks signatures (whsec_...)

  SERVERURL_SPOOL     a SQLite file, on a disk that outlives the process, for events that
                      come while the database is away (default: they are refused with 503)
  SERVERURL_MAX_INFLIGHT_MIB  MiB of request bodies in memory at a time (default 64)
  SERVERURL_RETENTION      how long things are kept, such as
                      content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y (default: for ever)
  SERVERURL_SHUTDOWN_DELAY  how long to go on after SIGTERM, until others have taken over (default 0s)

  INTERACTLY_API_KEY  ask Interactly's API for what was never sent
  INTERACTLY_API_URL     its root, where it is another
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
		return c, fmt.Errorf("server: %q is no flag: try -h", fs.Arg(0))
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
			return c, errors.New("server: SERVERURL_SHUTDOWN_DELAY is no duration such as 3s")
		}
	}
	if s := getenv("SERVERURL_MAX_INFLIGHT_MIB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1<<20 {
			return c, errors.New("server: SERVERURL_MAX_INFLIGHT_MIB is no number of MiB")
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
