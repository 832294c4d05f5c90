package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverurl/serverurl/internal/fault"
)

// oldestSQLite is the first release without the WAL reset bug, which can damage a
// database when two connections write at once (3.7.0 to 3.51.2).
var oldestSQLite = [3]int{3, 51, 3}

// CheckSQLite returns an error if SQLite could lose or damage what it stores: an
// old release, a journal mode other than WAL, commits that do not wait for the
// disk. It checks one connection of db, which should be the one that writes.
func CheckSQLite(ctx context.Context, db *sql.DB) error {
	var version, journal string
	var synchronous int
	err := errors.Join(
		db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version),
		db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal),
		db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
	)
	if err != nil {
		return wrap("check", err)
	}
	return checkSQLite(version, journal, synchronous)
}

func checkSQLite(version, journal string, synchronous int) error {
	var v [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil || older(v, oldestSQLite) {
		return fmt.Errorf("sqldb: SQLite is %s; versions before 3.51.3 can damage a database: update the driver", version)
	}
	if journal != "wal" {
		return fmt.Errorf("sqldb: journal_mode is %s; want wal: open the file with sqldb.SQLiteDSN", journal)
	}
	if synchronous < 2 && !fault.Mutated("unsynced-commit") {
		return fmt.Errorf("sqldb: synchronous is %d; below FULL (2) a power cut loses what was acknowledged: open the file with sqldb.SQLiteDSN", synchronous)
	}
	return nil
}

func older(v, than [3]int) bool {
	for i := range v {
		if v[i] != than[i] {
			return v[i] < than[i]
		}
	}
	return false
}

// QuickCheck reads the whole SQLite database and returns an error if it is
// damaged. It is for the start after a crash, and for a backup.
func QuickCheck(ctx context.Context, db *sql.DB) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return wrap("check", err)
	}
	if answer != "ok" { // the result can quote stored data
		return errors.New("sqldb: the database file is damaged: restore a backup, keep the file for a repair with the shell's .recover")
	}
	return nil
}

// CheckPostgres returns an error if the server cannot be a store: its encoding is
// not UTF-8, or it is a replica. The warnings, a line each, are settings that
// break a promise.
func CheckPostgres(ctx context.Context, db *sql.DB) (warnings []string, err error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, wrap("check", err)
	}
	defer c.Close()
	var encoding, fsync, pages, commit string
	var replica bool
	err = c.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), pg_is_in_recovery(),
current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit') WHERE 1 = $1::int`, 1).
		Scan(&encoding, &replica, &fsync, &pages, &commit)
	if err != nil {
		return nil, wrap("check", err)
	}
	if encoding != "UTF8" {
		return nil, fmt.Errorf("sqldb: the database's encoding is %s; want UTF8: create it with ENCODING 'UTF8'", encoding)
	}
	if replica {
		return nil, errors.New("sqldb: the server is a replica; a store must see every commit: connect to the primary")
	}
	if fsync == "off" {
		warnings = append(warnings, "fsync is off: a power cut can destroy the database")
	}
	if pages == "off" {
		warnings = append(warnings, "full_page_writes is off: a power cut can damage the database")
	}
	if commit == "off" {
		warnings = append(warnings, "synchronous_commit is off: a crash loses what was acknowledged in the last second")
	}
	// The statement above had a parameter: has the driver prepared and named it?
	var named int
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM pg_prepared_statements").Scan(&named); err != nil {
		return warnings, wrap("check", err)
	}
	if named > 0 {
		warnings = append(warnings, "the driver keeps named prepared statements: a pooler in transaction mode breaks them; open the database with sqldb.PostgresDSN")
	}
	return warnings, nil
}
