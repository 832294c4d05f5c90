package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/internal/failprint"
	"github.com/serverurl/serverurl/server"
)

// devCommand runs package app on the real server. Only the page and the check of the
// address are its own.
type devCommand struct {
	storeFlags
	secretFlags
	Addr    string `help:"The address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Inspect string `help:"The address of the page with the calls; off for none." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Verbose bool   `help:"Log every event and tool call to stderr." short:"v"`

	level    slog.Level // of what is logged
	secret   string
	location location
}

func (*devCommand) Help() string {
	return `Prints "listening on http://HOST:PORT" when it accepts requests, and where the page
with the calls is. A failure of a tool or a handler is printed in full, with its
place. Ctrl-C or SIGTERM answers what has arrived, and stops.

Without a secret, from SERVERURL_SECRET or --secret-file, anyone on this machine
may send, and it listens on loopback addresses only.

Examples:
  serverurl dev
  SERVERURL_SECRET="$(openssl rand -hex 32)" serverurl dev --addr 127.0.0.1:0 --store sqlite:/tmp/desk

It runs package app. For your own backend use its own program:
server -development (docs/server.md).`
}

func (c *devCommand) Run(ctx context.Context, t *terminal) error {
	c.level = slog.LevelWarn
	var err error
	if c.secret, err = c.readSecret(); err != nil {
		return err
	}
	if err := c.locate(); err != nil {
		return err
	}
	p := app.New()
	failprint.Attach(p, t.err, t.errLive)
	return c.serve(ctx, t, p, inspector{}, func(url string) { fmt.Fprintf(t.out, "listening on %s\n", url) })
}

// locate finds the store, and makes its folder.
func (c *devCommand) locate() (err error) {
	if c.location, err = c.storeFlags.location(); err != nil {
		return err
	}
	if _, err := c.location.database(); err != nil {
		return err
	}
	return c.location.create()
}

// serve runs a backend until ctx ends, and the page with it. Fields of page that
// are set have precedence.
func (c *devCommand) serve(ctx context.Context, t *terminal, p *core.Processor, page inspector, ready func(url string)) error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr %s: want HOST:PORT, such as 127.0.0.1:8080", c.Addr)}
	}
	level := c.level
	if c.Verbose {
		level = slog.LevelInfo
	}
	database, err := c.location.database()
	if err != nil {
		return err
	}
	config := server.Config{
		Addr: c.Addr, Database: database, OnReady: ready,
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(c.secret)},
		Logger:   slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level})),
	}
	if c.Inspect != "off" && c.Inspect != "" {
		if !loopback(c.Inspect) {
			return usageError{fmt.Errorf("--inspect %s: want a loopback address, such as 127.0.0.1:8090", c.Inspect)}
		}
		page.addr, page.secrets, page.logger = c.Inspect, c.secret, config.Logger
		page.recorder = inspect.NewRecorder()
		if page.name == "" {
			page.name = c.location.String()
		}
		if page.ready == nil {
			page.ready = func(url string) { fmt.Fprintf(t.out, "inspector on %s\n", url) }
		}
		p.Observe(page.recorder.Observe)
		config.Background = page.serve
	}
	// A secret of any length will do, or none, if only this machine can send.
	if host == "localhost" || net.ParseIP(host).IsLoopback() {
		config.Verifier.AllowUnauthenticated = true
	}
	return server.Run(ctx, p, config)
}

// loopback reports whether only this machine can connect to an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}
