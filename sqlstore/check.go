package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/serverurl/serverurl/internal/fault"
)

// oldestSQLite is the first release without the bug of resetting the log that
// can damage a database when two connections write at once (3.7.0 to 3.51.2).
var oldestSQLite = [3]int{3, 51, 3}

// CheckSQLite refuses a SQLite that could lose or damage what it was given: an
// old release, a journal that is not WAL, a disk that is not waited for. It
// looks at one connection of db, the one for writing.
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
		return fmt.Errorf("sqlstore: SQLite is %s; versions before 3.51.3 can damage a database: update the driver", version)
	}
	if journal != "wal" {
		return fmt.Errorf("sqlstore: journal_mode is %s; want wal: open the file with sqlstore.SQLiteDSN", journal)
	}
	if synchronous < 2 && !fault.Mutated("no sync") {
		return fmt.Errorf("sqlstore: synchronous is %d; below FULL (2) a power cut loses what was acknowledged: open the file with sqlstore.SQLiteDSN", synchronous)
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
// damaged. It is for the start after a crash, and for a copy.
func QuickCheck(ctx context.Context, db *sql.DB) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return wrap("check", err)
	}
	if answer != "ok" { // the answer can quote what is stored
		return errors.New("sqlstore: the database file is damaged: restore a backup, keep the file for a repair with the shell's .recover")
	}
	return nil
}

// CheckPostgres returns an error when the server cannot be a store: not UTF-8,
// or a replica. It warns, a line each, of settings that break a promise.
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
		return nil, fmt.Errorf("sqlstore: the database's encoding is %s; want UTF8: create it with ENCODING 'UTF8'", encoding)
	}
	if replica {
		return nil, errors.New("sqlstore: the server is a replica; a store must see every commit: connect to the primary")
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
	// The statement above had a parameter: has the driver named and kept it?
	var named int
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM pg_prepared_statements").Scan(&named); err != nil {
		return warnings, wrap("check", err)
	}
	if named > 0 {
		warnings = append(warnings, "the driver keeps named prepared statements: a pooler in transaction mode breaks them; open the database with sqlstore.PostgresDSN")
	}
	return warnings, nil
}

// A DSNPair is the connection strings of one SQLite file for the two handles of
// [New].
type DSNPair struct{ Write, Read string }

// SQLiteDSN returns connection strings for modernc.org/sqlite: a journal that
// readers do not wait for, a disk that is waited for at each commit, five
// seconds of patience with other processes, transactions that take the write
// lock when they begin, and a read handle that cannot write. Open Write first,
// with SetMaxOpenConns(1): it creates the file.
func SQLiteDSN(path string) DSNPair {
	const common = "_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	if fault.Mutated("no sync") {
		return dsnPair(path, strings.Replace(common, "FULL", "OFF", 1))
	}
	return dsnPair(path, common)
}

func dsnPair(path, common string) DSNPair {
	file := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return DSNPair{
		Write: file + "?" + common + "&_pragma=journal_mode(WAL)&_txlock=immediate",
		Read:  file + "?" + common + "&_pragma=query_only(1)",
	}
}

// PostgresDSN returns the connection string for github.com/jackc/pgx/v5 with a
// mode of running statements that a pooler between us and the server allows:
// the driver names none. A string that chooses a mode is returned as it is.
func PostgresDSN(dsn string) string {
	const mode = "default_query_exec_mode"
	switch {
	case strings.Contains(dsn, mode):
		return dsn
	case !strings.Contains(dsn, "://"):
		return dsn + " " + mode + "=cache_describe"
	case strings.Contains(dsn, "?"):
		return dsn + "&" + mode + "=cache_describe"
	}
	return dsn + "?" + mode + "=cache_describe"
}
