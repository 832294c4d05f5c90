package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/sqldb"
)

// A backend is what a backend stores, open for reading and writing.
type backend struct {
	store records.Store
	inbox core.Inbox
	dlq   core.DeadLetters // nil if --store names no dead-letter queue
	close func() error
}

// open opens the store and the inbox of a backend that has run before. It works
// next to a running backend.
func (f storeFlags) open(ctx context.Context) (*backend, error) {
	l, err := f.location()
	if err != nil {
		return nil, err
	}
	none := func() error { return nil }
	switch {
	case l.table != "":
		store, inbox, err := aws.Open(ctx, l.table, l.queue)
		if err != nil {
			return nil, err
		}
		b := &backend{store: store, inbox: inbox, close: none}
		if l.dlq != "" {
			b.dlq = inbox.DeadLetters(l.dlq)
		}
		return b, nil
	case l.project != "":
		store, inbox, dlq, err := gcp.Open(ctx, l.project, l.name, l.name+"-events")
		if err != nil {
			return nil, err
		}
		return &backend{store: store, inbox: inbox, dlq: dlq, close: none}, nil
	}
	return l.openSQL(ctx)
}

// openSQL opens a database for reading and writing, and migrates its tables.
func (l location) openSQL(ctx context.Context) (*backend, error) {
	if err := l.exists(); err != nil {
		return nil, err
	}
	database, err := l.database()
	if err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	// NoWorkers: this program puts events into the inbox and the backend delivers
	// them, with its own tools and handlers.
	deliver := func(context.Context, core.Envelope) error { return errors.New("not delivered by the command line") }
	inbox, err := sqldb.NewInbox(db, deliver, sqldb.InboxOptions{NoWorkers: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &backend{store: db.Store(), inbox: inbox, dlq: inbox.DeadLetters(), close: db.Close}, nil
}

// exists returns a usage error if the SQLite file is missing. Opening would
// create it, and a typo in --store would look like an empty backend.
func (l location) exists() error {
	if l.sqlite == "" {
		return nil
	}
	if _, err := os.Stat(l.sqlite); errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("no backend has stored calls in %s: name its folder with --store, or start one: serverurl dev --store %[1]s", l)}
	}
	return nil
}

// openDLQ opens a backend with its dead letters. To put them back, the inbox is
// needed too.
func (f storeFlags) openDLQ(ctx context.Context, put bool) (*backend, error) {
	l, err := f.location()
	if err != nil {
		return nil, err
	}
	if l.table != "" && (l.dlq == "" || put && l.queue == "") {
		return nil, usageError{errors.New("on AWS --store needs both queues: aws://TABLE?queue=URL&dlq=URL, the stack's outputs QueueURL and DeadQueueURL")}
	}
	return f.open(ctx)
}

// A reader is a store that is only read.
type reader struct {
	store records.Store
	name  string // for a person
	cloud bool   // each read costs money and takes a request over the network
	close func()
}

// openReadOnly opens the store of a backend without changing it, and makes sure
// that it can be read.
func (f storeFlags) openReadOnly(ctx context.Context) (*reader, error) {
	r, err := f.openUnchecked(ctx)
	if err != nil {
		return nil, err
	}
	// A wrong name, or rights that are missing, is reported now and not as an empty list.
	if _, err := r.store.Get(ctx, "health/ready"); err != nil {
		r.close()
		return nil, fmt.Errorf("no calls can be read from %s: is it the store of a backend? (%w)", r.name, err)
	}
	return r, nil
}

// openUnchecked opens a store whose tables the backend may create later, with
// its first request: no tables are made or migrated here, and SQL databases
// refuse writes themselves. A platform with a store of its own is added here.
func (f storeFlags) openUnchecked(ctx context.Context) (*reader, error) {
	l, err := f.location()
	if err != nil {
		return nil, err
	}
	r := &reader{name: l.String(), close: func() {}}
	switch {
	case l.table != "":
		r.cloud = true
		r.store, _, err = aws.Open(ctx, l.table, l.queue)
	case l.project != "":
		r.cloud = true
		err = r.openFirestore(ctx, l)
	case l.postgres != "":
		err = r.openPostgres(l)
	default:
		r.name = "SQLite"
		err = r.openSQLite(l)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *reader) openSQLite(l location) error {
	if err := l.exists(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteDSN(l.sqlite).Read)
	if err != nil {
		return fmt.Errorf("cannot open the SQLite file: %w", err)
	}
	r.store, r.close = sqldb.NewStore(db, db, sqldb.SQLite), func() { _ = db.Close() }
	return nil
}

// openPostgres makes every transaction read-only, whatever rights the user has.
func (r *reader) openPostgres(l location) error {
	config, err := pgx.ParseConfig(sqldb.PostgresDSN(l.postgres))
	if err != nil { // its error may quote the password
		return usageError{errors.New("--store is not a Postgres URL, such as postgres://user@host:5432/name")}
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET default_transaction_read_only = on")
		return err
	}))
	db.SetMaxOpenConns(4)
	r.store, r.close = sqldb.NewStore(db, db, sqldb.Postgres), func() { _ = db.Close() }
	return nil
}

// openFirestore does not use gcp.Open, which also opens a client of Pub/Sub:
// somebody who may read calls need not have rights there.
func (r *reader) openFirestore(ctx context.Context, l location) error {
	client, err := gcp.OpenFirestore(ctx)
	if err != nil {
		return fmt.Errorf("cannot open Firestore: %w", err)
	}
	r.store = gcp.NewStore(client, "projects/"+l.project+"/databases/"+l.name)
	r.close = func() { _ = client.Close() }
	return nil
}
