package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/sqldb"
)

// placeFlags say where a backend keeps its calls and its events: in a database
// of its own, on AWS, or on Google Cloud.
type placeFlags struct {
	databaseFlags
	Table     string `help:"On AWS: the DynamoDB table." env:"TABLE_NAME" placeholder:"NAME"`
	Queue     string `help:"On AWS: the URL of the queue." env:"QUEUE_URL" placeholder:"URL"`
	DeadQueue string `help:"On AWS: the URL of the dead-letter queue." env:"DEAD_QUEUE_URL" placeholder:"URL"`
	Project   string `help:"On Google Cloud: the project." placeholder:"PROJECT"`
	Name      string `help:"On Google Cloud: the --name that gcp/deploy.sh was given." default:"serverurl" placeholder:"NAME"`
}

// A place is where a backend keeps its calls and its events.
type place struct {
	store records.Store
	inbox core.Inbox
	dead  core.DeadLetters // nil where no place for them is named
	close func() error
}

func (f placeFlags) open(ctx context.Context) (*place, error) {
	if f.Table != "" {
		store, inbox, err := aws.Open(ctx, f.Table, f.Queue)
		if err != nil {
			return nil, err
		}
		p := &place{store: store, inbox: inbox, close: func() error { return nil }}
		if f.DeadQueue != "" {
			p.dead = inbox.DeadLetters(f.DeadQueue)
		}
		return p, nil
	}
	if f.Project != "" {
		store, inbox, dead, err := gcp.Open(ctx, f.Project, f.Name, f.Name+"-events")
		if err != nil {
			return nil, err
		}
		return &place{store: store, inbox: inbox, dead: dead, close: func() error { return nil }}, nil
	}
	db, err := f.databaseFlags.open(ctx)
	if err != nil {
		return nil, err
	}
	// Inline: what is put back is committed here, and delivered by the backend.
	none := func(context.Context, core.Envelope) error { return errors.New("not here") }
	inbox, err := sqldb.NewInbox(db, none, sqldb.InboxOptions{NoWorkers: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &place{store: db.Store(), inbox: inbox, dead: inbox.DeadLetters(), close: db.Close}, nil
}

// openDead is open for those who need the dead letters.
func (f placeFlags) openDead(ctx context.Context, put bool) (*place, error) {
	if f.Table != "" && (f.DeadQueue == "" || put && f.Queue == "") {
		return nil, usageError{errors.New("on AWS --queue and --dead-queue are needed: the stack's outputs QueueURL and DeadQueueURL")}
	}
	return f.open(ctx)
}

// asFlags say in whose name something is done.
type asFlags struct {
	As string `help:"Who does it, for the journal. Default: the user of this machine." placeholder:"NAME"`
}

func (f asFlags) who() string {
	if f.As != "" {
		return f.As
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// trouble says in words of the command line what core reports.
func trouble(err error, id string) error {
	switch {
	case errors.Is(err, callstate.ErrNotFound):
		return fmt.Errorf("no call %q here: serverurl calls lists them", id)
	case errors.Is(err, callstate.ErrOnHold):
		return fmt.Errorf("the call is held: serverurl calls free %s ends that", id)
	case errors.Is(err, core.ErrDeadLetterNotFound):
		return fmt.Errorf("no dead letter %q: serverurl dead list shows them", id)
	case errors.Is(err, core.ErrUndecodable):
		return fmt.Errorf("the dead letter %s holds no event that can be read: it can only be dropped", id)
	}
	return err
}
