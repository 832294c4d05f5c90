package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/server"
)

type devCommand struct {
	databaseFlags
	Addr    string `help:"The address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Secret  string `help:"What senders prove themselves with; without it anyone on this machine may send." env:"SERVERURL_SECRET" placeholder:"SECRET"`
	Inspect string `help:"The address of the page that shows the calls; off for none." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Verbose bool   `help:"Log every event and tool call to stderr." short:"v"`

	level slog.Level // of what is logged
}

func (*devCommand) Help() string {
	return `Prints "listening on http://HOST:PORT" when it takes requests, and where the page
is that shows the calls. Ctrl-C or SIGTERM answers what has come in, and stops.

Examples:
  serverurl dev
  SERVERURL_SECRET="$(openssl rand -hex 32)" serverurl dev --addr 127.0.0.1:0 --data /tmp/desk

It runs package app. Your own backend runs for development with its own program:
server -development -addr 127.0.0.1:8080 (docs/server.md).`
}

func (c *devCommand) Run(ctx context.Context, t *terminal) error {
	c.level = slog.LevelWarn
	if err := c.create(); err != nil {
		return err
	}
	return c.serve(ctx, t, app.New(), inspector{}, func(url string) { fmt.Fprintf(t.out, "listening on %s\n", url) })
}

// serve runs a backend until ctx ends, and beside it the page, as far as it is
// not said in page otherwise.
func (c *devCommand) serve(ctx context.Context, t *terminal, p *core.Processor, page inspector, ready func(url string)) error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr %s: want HOST:PORT, such as 127.0.0.1:8080", c.Addr)}
	}
	level := c.level
	if c.Verbose {
		level = slog.LevelInfo
	}
	config := server.Config{
		Addr: c.Addr, Database: c.url(), OnReady: ready,
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(c.Secret)},
		Logger:   slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level})),
	}
	if c.Inspect != "off" && c.Inspect != "" {
		if !loopback(c.Inspect) {
			return usageError{fmt.Errorf("--inspect %s: want an address of this machine only, such as 127.0.0.1:8090", c.Inspect)}
		}
		page.addr, page.secret, page.logger = c.Inspect, firstOf(c.Secret), config.Logger
		page.recorder = inspect.NewRecorder()
		if page.name == "" {
			page.name = c.folder()
			if c.DatabaseURL != "" {
				page.name = "PostgreSQL"
			}
		}
		if page.ready == nil {
			page.ready = func(url string) { fmt.Fprintf(t.out, "inspector on %s\n", url) }
		}
		p.Observe(page.recorder.Observe)
		config.Background = page.beside
	}
	// A secret of any length will do where nobody else can reach it.
	if host == "localhost" || net.ParseIP(host).IsLoopback() {
		config.Verifier.AllowUnauthenticated = true
	}
	return server.Run(ctx, p, config)
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// firstOf is the newest of several secrets.
func firstOf(secrets string) string {
	first, _, _ := strings.Cut(secrets, ",")
	return strings.TrimSpace(first)
}
