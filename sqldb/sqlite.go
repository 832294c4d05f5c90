package sqldb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// quickCheckTimeout is how long a start looks for damage in a SQLite file. It
// reads more than a gigabyte in that time; of a larger file it reads the
// beginning.
const quickCheckTimeout = 5 * time.Second

func openSQLite(ctx context.Context, path string) (_ *Database, err error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("sqldb: a database in memory loses what was acknowledged: give the path of a file")
	}
	existed, err := createFile(path)
	if err != nil {
		return nil, err
	}
	dsn := SQLiteDSN(path)
	db := new(Database)
	db.write = openSQLiteDB(dsn.Write)
	db.write.SetMaxOpenConns(1)
	db.read = openSQLiteDB(dsn.Read)
	db.read.SetMaxOpenConns(sqliteReaders)
	db.read.SetMaxIdleConns(sqliteReaders)
	db.store = NewStore(db.write, db.read, SQLite)
	db.commitStore = newGroupCommitStore(db.store)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()

	// Processes that start at once block each other: the first switches the
	// journal mode of a new file, and SQLite does not wait for that lock.
	if err := retryBusy(ctx, func() error { return CheckSQLite(ctx, db.write) }); err != nil {
		return nil, describeSQLiteError(path, err)
	}
	if existed {
		check, cancel := context.WithTimeout(ctx, quickCheckTimeout)
		err := QuickCheck(check, db.write)
		interrupted := check.Err() != nil
		cancel()
		if err != nil && !interrupted {
			return nil, describeSQLiteError(path, err)
		}
	}
	if err := retryBusy(ctx, func() error { return db.store.Migrate(ctx) }); err != nil {
		return nil, describeSQLiteError(path, err)
	}
	if err := db.migrateRiverSQLite(ctx); err != nil {
		return nil, describeSQLiteError(path, wrap("migrate the inbox", err))
	}
	return db, nil
}

// createFile creates the file if it does not exist, readable by this user only,
// and reports whether it had content. It refuses a network file system.
func createFile(path string) (existed bool, err error) {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return false, fmt.Errorf("sqldb: the database's directory does not exist: mkdir -p %q", dir)
	}
	if name := networkFS(dir); name != "" {
		return false, fmt.Errorf("sqldb: %q is on %s, where SQLite's locks do not work: use a local disk, or PostgreSQL", dir, name)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return false, fmt.Errorf("sqldb: the database file cannot be written: %w", err)
	}
	info, err := f.Stat()
	return err == nil && info.Size() > 0, errors.Join(err, f.Close())
}

// describeSQLiteError says what an operator can do about an error at the start.
func describeSQLiteError(path string, err error) error {
	if n, ok := sqliteCode(err); ok {
		switch n & 0xff {
		case 26: // NOTADB
			return fmt.Errorf("sqldb: %q is not a SQLite database: give another path", path)
		case 11: // CORRUPT
			return fmt.Errorf("sqldb: %q is damaged: restore a backup, keep the file for a repair with .recover of the sqlite3 shell", path)
		case 5, 6: // BUSY, LOCKED
			return fmt.Errorf("sqldb: %q is locked by another program: stop it and start again", path)
		case 8, 14: // READONLY, CANTOPEN
			return fmt.Errorf("sqldb: %q cannot be written: make the file and its directory writable for this user", path)
		}
	}
	return fmt.Errorf("sqldb: database %q: %w", path, err)
}

func (db *Database) migrateRiverSQLite(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(db.write), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	// Several processes may migrate at once. The one that is second in a step
	// fails on what the first has created, and tries again until no step is left.
	for start := time.Now(); ; {
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		if err == nil || ctx.Err() != nil || time.Since(start) > 2*retryTime || kindOf(err) == errorDisk {
			return err
		}
		time.Sleep(rand.N(50 * time.Millisecond))
	}
}
