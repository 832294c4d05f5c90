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
	Store string        `help:"Where the calls are: a folder or file of SQLite, postgres://…, dynamodb://TABLE?region=REGION, or firestore://PROJECT/DATABASE." default:".serverurl" placeholder:"URL"`
	Plain bool          `help:"A line for each thing that happens, without a screen. Always so where the output is no terminal."`
	Poll  time.Duration `help:"How often the store is looked at. Default: 500ms, of a cloud's 3s." placeholder:"TIME"`
}

func (*watchCommand) Help() string {
	return `Shows calls and tools as they happen, and changes nothing. What people say is
masked until you press t.

Keys: up and down select, enter opens, esc goes back, tab shows all, calls, tools
or issues, / filters, t shows texts, n and p open the next and the previous, q
quits.

Examples:
  serverurl watch
  serverurl watch --store "postgres://reader@db.example.com/desk"
  serverurl watch --plain | grep error:`
}

func (c *watchCommand) Run(ctx context.Context, t *terminal) error {
	s, name, cloud, done, err := openReadOnly(ctx, c.Store)
	if err != nil {
		return err
	}
	defer done()
	o := watch.Options{Name: name, PollInterval: c.Poll}
	if cloud {
		o.PollInterval = cmp.Or(o.PollInterval, 3*time.Second)
	}
	if f, ok := t.out.(*os.File); !c.Plain && ok && term.IsTerminal(int(f.Fd())) && term.IsTerminal(int(os.Stdin.Fd())) {
		return watch.RunTUI(ctx, s, os.Stdin, f, &o)
	}
	if err := watch.Follow(ctx, s, t.out, &o); err != nil {
		return fmt.Errorf("the store cannot be read: %w", err)
	}
	return nil
}
