package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// A site is where the program runs, on a store of one kind.
type site interface {
	// urls are those of the processes that listen just now.
	urls() []string

	// kill ends a process by SIGKILL and starts another in its place. It
	// returns how long that took until it served; all kills every process.
	kill(r *rand.Rand, all bool) (time.Duration, error)

	// pause stops a process for a while, as a machine that is too busy does.
	pause(ctx context.Context, r *rand.Rand, d time.Duration) error

	// restart stops the database the hard way and starts it again after down.
	restart(down time.Duration) error

	// slow makes the store slow until ctx ends.
	slow(ctx context.Context, r *rand.Rand, most time.Duration) error

	// settle waits until everything that was accepted is delivered, or d.
	settle(ctx context.Context, d time.Duration) error

	// stop ends the processes as a deployment does.
	stop() error

	// view opens the store, to look.
	view(ctx context.Context) (*view, error)

	effects() string
	logs() string
	close()
}

var errNotHere = errors.New("this store has no such fault here")

// A view is a look at what is kept.
type view struct {
	store records.Store
	// kept are the bodies of accepted events that are not delivered, dead ones
	// among them.
	kept  [][]byte
	dead  int
	check func() error // is the store whole?
	files []string     // that the store consists of, where they can be read
	close func() error
}

// options say how a site is made.
type options struct {
	dir       string // for its files
	processes int
	programs  programs
	env       []string // of the program, besides what it needs
}

// programs are the built ones.
type programs struct{ server, lambda string }

func openSite(kind string, o options) (site, error) {
	switch kind {
	case "sqlite":
		return openSQLite(o)
	case "postgres":
		return openPostgres(o)
	case "dynamodb":
		return openDynamoDB(o)
	}
	return nil, fmt.Errorf("no store is called %q: sqlite, postgres or dynamodb", kind)
}
