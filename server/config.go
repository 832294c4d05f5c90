package server

import (
	"cmp"
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
	"syscall"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envconfig/backfillenv"
	"github.com/serverurl/serverurl/internal/failprint"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/platform"
)

// Main runs p as a program: it reads flags and environment and serves until
// SIGINT or SIGTERM. It returns the program's exit code: 0, or 1 after a line on
// stderr that says what failed, or 2 for invalid flags, or more than one
// [platform.Options].
//
//	func main() { os.Exit(server.Main(app.New())) }
//
// With -development, failures of the backend's own code are printed in full on
// stderr, and its log is text.
func Main(p *core.Processor, opts ...platform.Options) (exitCode int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		// Large bodies are rare, small machines are common: collect garbage early.
		debug.SetGCPercent(30)
	}
	o, err := lifecycle.One(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return run(ctx, p, o, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
}

func run(ctx context.Context, p *core.Processor, o platform.Options, args []string, getenv func(string) string, stdout, stderr io.Writer) (exitCode int) {
	runs := false // and Run closes
	defer func() {
		if runs {
			return
		}
		if err := lifecycle.Close("server", o, lifecycle.CloseTimeout); err != nil {
			fmt.Fprintln(stderr, err)
			exitCode = max(exitCode, 1)
		}
	}()
	c, err := ParseConfig(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, err)
		return 2
	}
	c.Options = o
	c.Logger = cmp.Or(o.Logger, slog.New(slog.NewJSONHandler(stderr, nil)))
	if c.Verifier.AllowUnauthenticated {
		screen, color := screen.NewWriter(stderr), failprint.Color(stderr)
		failprint.Attach(p, screen, color)
		c.Options = failprint.Options(o, screen, color)
		c.Logger = cmp.Or(o.Logger, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	if c.Listener, err = activatedSocket(getenv); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	c.OnReady = func(url string) { fmt.Fprintf(stdout, "listening on %s\n", url) }
	runs = true
	if err := Run(ctx, p, c); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// usage is the help text.
func usage() string {
	return `Runs the backend as a plain HTTP server.

Flags take precedence over the environment:

` + envconfig.Help(envconfig.Server) + `
Example:

  SERVERURL_SECRET="$(openssl rand -hex 32)" server -addr 127.0.0.1:8080
`
}

// ParseConfig reads a Config from flags and environment; docs/server.md lists
// them. Secrets are read from the environment only, because other users of a
// machine can see flags.
func ParseConfig(args []string, getenv func(string) string, stderr io.Writer) (Config, error) {
	var c Config
	env := envconfig.New(envconfig.Server, getenv)
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.StringVar(&c.Addr, "addr", env.Get("SERVERURL_ADDR"), "")
	fs.StringVar(&c.Database, "database", env.Get("SERVERURL_DATABASE_URL"), "")
	development := fs.Bool("development", env.Get("SERVERURL_DEVELOPMENT") == "1", "")
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage())
		return c, err
	case err != nil:
		return c, fmt.Errorf("server: %w\ntry: %s -h", err, filepath.Base(os.Args[0]))
	}
	c.Addr = cmp.Or(c.Addr, defaultAddr(env.Get("PORT"), *development))
	c.Database = cmp.Or(c.Database, filepath.Join(env.Get("SERVERURL_DATA"), "serverurl.db"))
	c.Verifier = env.Verifier()
	c.Verifier.AllowUnauthenticated = *development
	c.Spool = env.Get("SERVERURL_SPOOL")
	mib, err1 := env.Int("SERVERURL_MAX_INFLIGHT_MIB")
	c.MaxInflightBytes = int64(mib) << 20
	var err2, err3, err4, err5 error
	c.ShutdownDelay, err2 = env.Duration("SERVERURL_SHUTDOWN_DELAY")
	c.Retention, err3 = env.Retention()
	c.Backfill, err4 = backfillenv.Read(env)
	c.IdleTimeout, err5 = env.Duration("SERVERURL_IDLE_TIMEOUT")
	return c, errors.Join(err1, err2, err3, err4, err5)
}

// defaultAddr is the address without a flag or a variable: every interface, but
// loopback only if anyone may send.
func defaultAddr(port string, development bool) string {
	host := ""
	if development {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, cmp.Or(port, "8080"))
}
