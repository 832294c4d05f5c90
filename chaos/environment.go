package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// An environment runs the program on a store of one kind.
type environment interface {
	// urls returns those of the processes that are listening.
	urls() []string

	// kill sends SIGKILL to a process, or to every process if all is set, and
	// starts it again. It returns the time until it serves.
	kill(r *rand.Rand, all bool) (time.Duration, error)

	// pause suspends a process for d, as an overloaded machine does.
	pause(ctx context.Context, r *rand.Rand, d time.Duration) error

	// restart stops the database without a shutdown and starts it again after down.
	restart(down time.Duration) error

	// slow delays the store by up to maxDelay until ctx ends.
	slow(ctx context.Context, r *rand.Rand, maxDelay time.Duration) error

	// settle waits until everything accepted is delivered, at most d.
	settle(ctx context.Context, d time.Duration) error

	// stop shuts the processes down as a deployment does.
	stop() error

	// view opens the store for the checker.
	view(ctx context.Context) (*view, error)

	effects() string
	logs() string
	close()
}

var errUnsupported = errors.New("this fault is not available for this store")

// A view is what the checker reads.
type view struct {
	store records.Store
	// undelivered are the bodies of accepted events that are not delivered,
	// including dead letters.
	undelivered [][]byte
	dead        int
	check       func() error // returns an error if the store is corrupt
	files       []string     // of the store, if they can be read
	close       func() error
}

// options configure an environment.
type options struct {
	dir       string // for its files
	processes int
	programs  programs
	env       []string // of the program, in addition to what it needs
}

// programs are the paths of the built ones.
type programs struct{ server, lambda string }

func openEnvironment(kind string, o options) (environment, error) {
	switch kind {
	case "sqlite":
		return openSQLite(o)
	case "postgres":
		return openPostgres(o)
	case "dynamodb":
		return openDynamoDB(o)
	}
	return nil, fmt.Errorf("unknown store %q; there are sqlite, postgres, dynamodb", kind)
}
