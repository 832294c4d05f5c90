package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/sqldb"
)

type repairCommand struct {
	databaseFlags
	Since      since    `help:"How far back: 36h, 7d, or a day such as 2026-11-01." default:"24h" placeholder:"TIME"`
	Key        string   `help:"The key of Interactly's API." env:"INTERACTLY_API_KEY" placeholder:"KEY"`
	API        string   `help:"The API's root, where it is another." name:"api" env:"INTERACTLY_API_URL" placeholder:"URL"`
	Assistants []string `help:"Take over calls of these assistants, by id; * is all. Without it, of those that had a call here in that time." env:"INTERACTLY_ASSISTANTS" placeholder:"ID"`
	Secret     string   `help:"What senders prove themselves with, so that it is masked in what is kept." env:"SERVERURL_SECRET" placeholder:"SECRET"`
	JSON       bool     `help:"As JSON, for other programs."`
}

func (*repairCommand) Help() string {
	return `Asks Interactly's API for the calls that started in that time: those that never
reached the backend, and those that ended without a report. What is answered is
put into the inbox, as if it had been sent; the backend on the same data takes
it from there, now or when it starts. What is repaired twice changes nothing.

Examples:
  INTERACTLY_API_KEY=... serverurl repair --since 36h
  serverurl repair --since 2026-11-01 --assistants 69b2d7e4f0a1c83b5e6d9f02 --database-url postgres://localhost/desk`
}

// A since is a point in time, as it is typed.
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

func (c *repairCommand) Run(ctx context.Context, t *terminal) error {
	if c.Key == "" {
		return usageError{errors.New("no key of Interactly's API: set INTERACTLY_API_KEY")}
	}
	client, err := interactly.New(c.Key, &interactly.Options{URL: c.API})
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	quiet := slog.New(slog.DiscardHandler)
	p := app.New()
	inbox, err := sqldb.NewInbox(db, p.Deliver, sqldb.InboxOptions{NoWorkers: true, Logger: quiet})
	if err != nil {
		return err
	}
	err = p.Bind(core.Platform{Name: "repair", Store: db.Store(), Inbox: inbox, Logger: quiet,
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(c.Secret), AllowUnauthenticated: true},
		Backfill: core.Backfill{API: client, Assistants: c.Assistants}})
	if err != nil {
		return err
	}
	r, err := p.Backfill(ctx, c.Since.Time, time.Now())
	if err != nil {
		return repairTrouble(err)
	}
	if c.JSON {
		err = writeJSON(t, r)
	} else {
		fmt.Fprintf(t.out, "%d calls since %s: %d repaired, %d not known, %d going on, %d failed\n", r.Listed,
			c.Since.Local().Format(time.DateTime), r.Recovered, r.NotFound, r.InProgress, r.Failed)
	}
	if err == nil && r.Failed > 0 {
		fmt.Fprintln(t.err, "serverurl: some calls could not be asked for; run the same again")
		return errFailed
	}
	return err
}

// repairTrouble says what to do about an error of the API's.
func repairTrouble(err error) error {
	switch {
	case errors.Is(err, interactly.ErrUnauthorized):
		return fmt.Errorf("%w: check INTERACTLY_API_KEY", err)
	case errors.Is(err, interactly.ErrUnreachable):
		return fmt.Errorf("%w: check the network, and --api", err)
	}
	return err
}
