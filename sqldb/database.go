package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serverurl/serverurl/core/records"
)

// A Database holds calls, tool records and the inbox: one SQLite file, or one
// PostgreSQL database that several instances share.
type Database struct {
	store       *Store
	commitStore records.Store // store, with group commit on SQLite

	// write and read are the same pool on PostgreSQL. On SQLite write has one
	// connection: writers wait in a fair queue in this process and not for the
	// file's lock, which is granted at random.
	write, read *sql.DB

	// pool is PostgreSQL's, shared by store and inbox; nil on SQLite.
	pool *pgxpool.Pool

	// pollOnly reports that notifications do not arrive, as with a pooler in
	// transaction mode.
	pollOnly bool

	warnings []string
}

// Open opens a database and migrates its tables; any number of processes may do
// so at once. The url is one of
//
//	postgres://user:password@host:5432/name
//	sqlite:///var/lib/serverurl/serverurl.db
//	serverurl.db
//
// A SQLite file is created if it does not exist, readable by this user only. It
// must be on a local disk; it is read once, to find damage before more is
// written. PostgreSQL may be behind a pooler in transaction mode.
//
// Errors say what to do and hold no password.
func Open(ctx context.Context, url string) (*Database, error) {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, errors.New("sqldb: no database: give the path of a SQLite file, or postgres://user:password@host:5432/name")
	case !found:
		return openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"))
	case scheme == "sqlite":
		return openSQLite(ctx, rest)
	case scheme == "postgres", scheme == "postgresql":
		return openPostgres(ctx, url)
	}
	return nil, errors.New("sqldb: the database URL starts with neither postgres:// nor sqlite://")
}

// Store returns the record store of the database.
func (db *Database) Store() records.Store { return db.commitStore }

// Engine returns "sqlite" or "postgres".
func (db *Database) Engine() string {
	if db.pool != nil {
		return "postgres"
	}
	return "sqlite"
}

// Warnings returns the settings of the database that break a promise, a line
// each.
func (db *Database) Warnings() []string { return db.warnings }

// UsedBytes returns how many bytes of a SQLite file are in use. Deleted rows
// leave free pages, which new rows use; the file does not shrink.
func (db *Database) UsedBytes(ctx context.Context) (int64, error) {
	const query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
	var n int64
	if err := db.read.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, wrap("measure the file", err)
	}
	return n, nil
}

// Close closes all connections. The inbox must have stopped.
func (db *Database) Close() error {
	if db.pool != nil {
		err := db.write.Close()
		db.pool.Close()
		return err
	}
	// The writer is closed last: it merges the log into the file.
	return errors.Join(db.read.Close(), db.write.Close())
}

// retryBusy retries f while another process holds what it needs, or the
// database is unavailable.
func retryBusy(ctx context.Context, f func() error) error {
	for start := time.Now(); ; {
		err := f()
		if !kindOf(err).temporary() || time.Since(start) > 2*retryTime {
			return err
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// sleep waits for d, or returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
