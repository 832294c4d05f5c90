package sqlinbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/sqlstore"
)

// A Database is where a room keeps calls, tool records and its inbox:
// one SQLite file, or one Postgres database that several instances share.
type Database struct {
	store *sqlstore.Store
	kept  records.Store // what rooms see of it

	// SQLite. One connection writes: whoever wants to waits in a fair queue in
	// this process and not in the file's lock, which is a lottery.
	write, read *sql.DB

	// Postgres. One pool for the store and the inbox.
	pool     *pgxpool.Pool
	pollOnly bool // a pooler in transaction mode is between us: no LISTEN

	warnings []string
}

// Open opens a database and brings its tables up to date; any number of
// processes may do so at once. The url is one of
//
//	postgres://user:password@host:5432/name
//	sqlite:///var/lib/serverurl/serverurl.db
//	serverurl.db
//
// A SQLite file is created if there is none, for this user only. It must be on
// a disk of this machine; it is read through once, to find damage before more
// is written. Postgres may be behind a pooler in transaction mode.
//
// Errors say what to do and hold no password.
func Open(ctx context.Context, url string) (*Database, error) {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, errors.New("sqlinbox: no database: give the path of a SQLite file, or postgres://user:password@host:5432/name")
	case !found:
		return openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"))
	case scheme == "sqlite":
		return openSQLite(ctx, rest)
	case scheme == "postgres", scheme == "postgresql":
		return openPostgres(ctx, url)
	}
	return nil, errors.New("sqlinbox: the database URL starts with neither postgres:// nor sqlite://")
}

// Store returns the records of the database.
func (db *Database) Store() records.Store { return db.kept }

// Warnings returns settings of the database that break a promise, a line each.
func (db *Database) Warnings() []string { return db.warnings }

// Used is how many bytes of a SQLite file hold something: what was deleted
// makes room for what comes, and the file does not shrink.
func (db *Database) Used(ctx context.Context) (bytes int64, err error) {
	const query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
	if err := db.read.QueryRowContext(ctx, query).Scan(&bytes); err != nil {
		return 0, wrap("measure the file", err)
	}
	return bytes, nil
}

// Close closes all connections. The inbox must have stopped.
func (db *Database) Close() error {
	if db.pool != nil {
		err := db.write.Close()
		db.pool.Close()
		return err
	}
	// The writer last: it merges the log into the file.
	return errors.Join(db.read.Close(), db.write.Close())
}

// checkTime is how long a start looks for damage in a SQLite file. It reads
// more than a gigabyte in that time; of a larger file it sees the beginning.
const checkTime = 5 * time.Second

func openSQLite(ctx context.Context, path string) (_ *Database, err error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("sqlinbox: a database in memory loses what was acknowledged: give the path of a file")
	}
	existed, err := createFile(path)
	if err != nil {
		return nil, err
	}
	dsn := sqlstore.SQLiteDSN(path)
	db := new(Database)
	if db.write, err = sql.Open("sqlite", dsn.Write); err != nil {
		return nil, wrap("open", err)
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", dsn.Read); err != nil {
		return nil, wrap("open", err)
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	db.store = sqlstore.New(db.write, db.read, sqlstore.SQLite)
	db.kept = newShared(db.store)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()

	// Processes that start at once get in each other's way: the first to come
	// switches the journal of a new file, which nobody else waits for.
	if err := untilFree(ctx, func() error { return sqlstore.CheckSQLite(ctx, db.write) }); err != nil {
		return nil, sqliteTrouble(path, err)
	}
	if existed {
		check, cancel := context.WithTimeout(ctx, checkTime)
		err := sqlstore.QuickCheck(check, db.write)
		interrupted := check.Err() != nil
		cancel()
		if err != nil && !interrupted {
			return nil, sqliteTrouble(path, err)
		}
	}
	if err := untilFree(ctx, func() error { return db.store.Migrate(ctx) }); err != nil {
		return nil, sqliteTrouble(path, err)
	}
	if err := db.migrateRiverSQLite(ctx); err != nil {
		return nil, sqliteTrouble(path, wrap("migrate the inbox", err))
	}
	return db, nil
}

// createFile makes sure that the file is there and on a disk of this machine,
// and reports whether it held anything. What is in it is for this user only.
func createFile(path string) (existed bool, err error) {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return false, fmt.Errorf("sqlinbox: the database's directory is not there: mkdir -p %q", dir)
	}
	if name := networkDisk(dir); name != "" {
		return false, fmt.Errorf("sqlinbox: %q is on %s, where SQLite's locks do not hold: use a disk of this machine, or Postgres", dir, name)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return false, fmt.Errorf("sqlinbox: the database file cannot be written: %w", err)
	}
	info, err := f.Stat()
	return err == nil && info.Size() > 0, errors.Join(err, f.Close())
}

func sqliteTrouble(path string, err error) error {
	if n, ok := sqliteCode(err); ok {
		switch n & 0xff {
		case 26:
			return fmt.Errorf("sqlinbox: %q is no SQLite database: give another path", path)
		case 11:
			return fmt.Errorf("sqlinbox: %q is damaged: restore a backup, keep the file for a repair with .recover of the sqlite3 shell", path)
		case 5, 6:
			return fmt.Errorf("sqlinbox: %q is locked by another program: stop it and start again", path)
		case 8, 14:
			return fmt.Errorf("sqlinbox: %q cannot be written: make the file and its directory writable for this user", path)
		}
	}
	return fmt.Errorf("sqlinbox: database %q: %w", path, err)
}

func (db *Database) migrateRiverSQLite(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(db.write), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	// Another process may do the same. It is done when there is nothing to do:
	// who came second in a step meets what the first has made, and looks again.
	for start := time.Now(); ; {
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		if err == nil || ctx.Err() != nil || time.Since(start) > 2*patience || kindOf(err) == errorOfDisk {
			return err
		}
		time.Sleep(rand.N(50 * time.Millisecond))
	}
}

// untilFree tries f again while somebody else holds what it needs.
func untilFree(ctx context.Context, f func() error) error {
	for start := time.Now(); ; {
		err := f()
		if kindOf(err) != errorOfAvailability || time.Since(start) > 2*patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func openPostgres(ctx context.Context, url string) (_ *Database, err error) {
	config, err := pgxpool.ParseConfig(sqlstore.PostgresDSN(url))
	if err != nil { // its text quotes the URL
		return nil, errors.New("sqlinbox: the database URL cannot be read: want postgres://user:password@host:5432/name, with special characters as %xx")
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = connections
	}
	config.MaxConns = max(config.MaxConns, 4) // migrations hold one while they use another
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = patience
	}
	db := new(Database)
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, errors.New("sqlinbox: the database URL cannot be used")
	}
	db.write = stdlib.OpenDBFromPool(db.pool)
	db.store = sqlstore.New(db.write, nil, sqlstore.Postgres)
	db.kept = db.store
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if err := untilFree(ctx, func() error { return db.pool.Ping(ctx) }); err != nil {
		return nil, postgresTrouble(config.ConnConfig, err)
	}
	if db.warnings, err = sqlstore.CheckPostgres(ctx, db.write); err != nil {
		return nil, err
	}
	if err := db.store.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := db.migrateRiverPostgres(ctx); err != nil {
		return nil, wrap("migrate the inbox", err)
	}
	if db.pollOnly, err = deaf(ctx, db.pool); err != nil {
		return nil, wrap("listen", err)
	}
	if db.pollOnly {
		db.warnings = append(db.warnings, "notifications do not come through (a pooler in transaction mode?): the inbox is polled")
	}
	return db, nil
}

func postgresTrouble(c *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("%s:%d", c.Host, c.Port)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "28P01", "28000":
			return fmt.Errorf("sqlinbox: Postgres at %s refuses user %q: check the user and the password in the URL", where, c.User)
		case "3D000":
			return fmt.Errorf("sqlinbox: Postgres at %s has no database %q: createdb it, or correct the URL", where, c.Database)
		}
		return fmt.Errorf("sqlinbox: Postgres at %s refuses: SQLSTATE %s", where, e.Code)
	}
	return fmt.Errorf("sqlinbox: no Postgres answers at %s (%s): check the host and the port in the URL, and that it runs", where, (&databaseError{err: err}).reason())
}

// riverLock is the key of the lock under which the inbox's tables are made.
const riverLock = 7378697629484

func (db *Database) migrateRiverPostgres(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(db.pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for {
		migrated, err := db.migrateRiverAlone(ctx, m)
		if migrated || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
		}
	}
}

// migrateRiverAlone migrates unless somebody else is at it. The lock ends with
// its transaction, so it holds through a pooler too. The migrations run beside it,
// because one that adds to an enum must be committed before the next. So
// nobody waits for the lock inside a transaction: many who did would have all
// connections of a pooler, and who has the lock would get no second one.
func (db *Database) migrateRiverAlone(ctx context.Context, m *rivermigrate.Migrator[pgx.Tx]) (migrated bool, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1::bigint)", riverLock).Scan(&migrated); err != nil || !migrated {
			return err
		}
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
	return migrated && err == nil, err
}

// deaf reports whether notifications do not arrive, by sending one.
func deaf(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	const channel = "serverurl_probe"
	hears, err := pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer hears.Release()
	if _, err := hears.Exec(ctx, "LISTEN "+channel); err != nil {
		return true, nil
	}
	defer hears.Exec(ctx, "UNLISTEN "+channel)
	if _, err := pool.Exec(ctx, "NOTIFY "+channel); err != nil {
		return false, err
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := hears.Conn().WaitForNotification(wait); err != nil {
		return true, ctx.Err()
	}
	return false, nil
}
