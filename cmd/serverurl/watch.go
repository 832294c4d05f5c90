package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/serverurl/serverurl/watch"
)

// watchCommand shows a store in the terminal, read-only.
type watchCommand struct {
	storeFlags
	NoTUI        bool          `name:"no-tui" help:"Print a line for each change, without a screen. Always so if the output is not a terminal."`
	PollInterval time.Duration `help:"How often the store is read. Default: 500ms, of a cloud 3s." placeholder:"TIME"`
}

func (*watchCommand) Help() string {
	return `Shows calls and tools as they happen, and changes nothing. Texts are masked; the
key t shows them: mind who can see your screen.

Keys: up and down select, enter opens, esc goes back, tab shows all, calls, tools
or issues, / filters, t shows texts, n and p open the next, q quits.

Examples:
  serverurl watch
  serverurl watch --store "postgres://reader@db.example.com/desk"
  serverurl watch --no-tui | grep error:`
}

func (c *watchCommand) Run(ctx context.Context, t *terminal) error {
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	o := watch.Options{Name: r.name, PollInterval: c.PollInterval}
	if r.cloud {
		o.PollInterval = cmp.Or(o.PollInterval, cloudPollInterval)
	}
	if !c.NoTUI && t.screen != nil && term.IsTerminal(int(os.Stdin.Fd())) {
		return watch.RunTUI(ctx, r.store, os.Stdin, t.screen, &o)
	}
	if err := watch.Follow(ctx, r.store, t.out, &o); err != nil {
		return fmt.Errorf("the store cannot be read: %w", err)
	}
	return nil
}
