package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/server"
)

type devCommand struct {
	databaseFlags
	Addr    string `help:"The address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Secret  string `help:"What senders prove themselves with; without it anyone on this machine may send." env:"SERVERURL_SECRET" placeholder:"SECRET"`
	Verbose bool   `help:"Log every event and tool call to stderr." short:"v"`
}

func (*devCommand) Help() string {
	return `Prints "listening on http://HOST:PORT" when it takes requests. Ctrl-C or SIGTERM
answers what has come in, and stops.

Examples:
  serverurl dev
  serverurl dev --addr 127.0.0.1:0 --data /tmp/desk --secret "$(openssl rand -hex 32)"`
}

func (c *devCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.create(); err != nil {
		return err
	}
	return c.serve(ctx, t, func(url string) { fmt.Fprintf(t.out, "listening on %s\n", url) })
}

// serve runs the backend of package app until ctx ends.
func (c *devCommand) serve(ctx context.Context, t *terminal, ready func(url string)) error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return usageError{fmt.Errorf("--addr %s: want HOST:PORT, such as 127.0.0.1:8080", c.Addr)}
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	config := server.Config{
		Addr: c.Addr, Database: c.url(), Ready: ready,
		Sender: core.Sender{Secrets: core.ParseSecrets(c.Secret)},
		Logger: slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level})),
	}
	// A secret of any length will do where nobody else can reach it.
	if host == "localhost" || net.ParseIP(host).IsLoopback() {
		config.Sender.Anyone = true
	}
	return server.Run(ctx, app.New(), config)
}
