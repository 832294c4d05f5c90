package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/interactly"
)

// backfillCommand does by hand what the sweep of a backend does by itself, for any
// time and once.
type backfillCommand struct {
	storeFlags
	secretFlags
	Since      since    `help:"How far back: 36h, 7d, or a day such as 2026-11-01." default:"24h" placeholder:"TIME"`
	API        string   `help:"The root of Interactly's API, if it is another." name:"api" env:"INTERACTLY_API_URL" placeholder:"URL"`
	Assistants []string `help:"Take calls of these assistants, by id; * is all. Default: those that had a call in this store in that time." env:"INTERACTLY_ASSISTANTS" placeholder:"ID"`
	JSON       bool     `help:"As JSON, for other programs."`
}

func (*backfillCommand) Help() string {
	return `Lists the calls of that time in Interactly's API, and fetches those that never
reached the backend and those that ended without a report. What it gets is put
into the inbox as if it had been sent, and the backend on the same store delivers
it, now or when it starts. Doing it twice changes nothing.

The API's key is in the variable INTERACTLY_API_KEY. The sender's secret, in
SERVERURL_SECRET or --secret-file, is masked in what is stored.

Examples:
  INTERACTLY_API_KEY="$(cat key.txt)" serverurl backfill --since 36h
  serverurl backfill --since 2026-11-01 --assistants 69b2d7e4f0a1c83b5e6d9f02 --store postgres://db.example.com/desk`
}

// A since is a point in time, as a person types it.
type since struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *since) UnmarshalText(b []byte) error {
	text := string(b)
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		s.Time = t
		return nil
	}
	if n, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days > 0 && days < 10_000 {
			s.Time = time.Now().AddDate(0, 0, -days)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("want 36h, 7d, or a day such as 2026-11-01")
	}
	s.Time = time.Now().Add(-d)
	return nil
}

func (c *backfillCommand) Run(ctx context.Context, t *terminal) error {
	key := os.Getenv("INTERACTLY_API_KEY")
	if key == "" {
		return usageError{errors.New("there is no key of Interactly's API: set INTERACTLY_API_KEY")}
	}
	client, err := interactly.New(key, &interactly.Options{URL: c.API})
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	l, err := c.location()
	if err != nil {
		return err
	}
	if l.table != "" && l.queue == "" {
		return usageError{errors.New("on AWS --store needs the queue: aws://TABLE?queue=URL, the stack's output QueueURL")}
	}
	secret, err := c.readSecret()
	if err != nil {
		return err
	}
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	// A Processor of this program's own, with the rules of the backend: which
	// calls are known, which were asked about already, what is masked.
	p := app.New()
	err = p.Bind(core.Platform{Name: "backfill", Store: b.store, Inbox: b.inbox, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(secret), AllowUnauthenticated: true},
		Backfill: core.Backfill{API: client, Assistants: c.Assistants}})
	if err != nil {
		return err
	}
	r, err := p.Backfill(ctx, c.Since.Time, time.Now())
	if err != nil {
		return explainAPI(err)
	}
	if c.JSON {
		err = writeJSON(t, r)
	} else {
		fmt.Fprintf(t.out, "%d calls since %s: %d recovered, %d not found, %d in progress, %d failed\n", r.Listed,
			c.Since.Local().Format(time.DateTime), r.Recovered, r.NotFound, r.InProgress, r.Failed)
	}
	if err == nil && r.Failed > 0 {
		fmt.Fprintln(t.err, "serverurl: some calls could not be fetched; run the same again")
		return errFailed
	}
	return err
}

// explainAPI returns an error of the API with what to do about it.
func explainAPI(err error) error {
	switch {
	case errors.Is(err, interactly.ErrUnauthorized):
		return fmt.Errorf("%w: check INTERACTLY_API_KEY", err)
	case errors.Is(err, interactly.ErrUnreachable):
		return fmt.Errorf("%w: check the network, and --api", err)
	}
	return err
}
