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
	o := watch.Options{Store: r.store, Name: r.name, Poll: c.PollInterval}
	if r.cloud {
		o.Poll = cmp.Or(o.Poll, cloudPollInterval)
	}
	if f, ok := t.out.(*os.File); !c.NoTUI && ok && term.IsTerminal(int(f.Fd())) && term.IsTerminal(int(os.Stdin.Fd())) {
		return watch.Screen(ctx, o, os.Stdin, f)
	}
	if err := watch.Lines(ctx, o, t.out); err != nil {
		return fmt.Errorf("the store cannot be read: %w", err)
	}
	return nil
}
