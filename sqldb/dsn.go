package sqldb

import (
	"strings"

	"github.com/serverurl/serverurl/internal/fault"
)

// A DSNPair holds the connection strings of one SQLite file for the two handles
// of [NewStore].
type DSNPair struct{ Write, Read string }

// SQLiteDSN returns connection strings for the driver modernc.org/sqlite. Readers
// do not wait for the writer, commits wait for the disk, a lock of another
// process is waited for up to five seconds, transactions take the write lock
// when they begin, and the read handle cannot write. Open Write first, with
// SetMaxOpenConns(1): it creates the file.
func SQLiteDSN(path string) DSNPair {
	const common = "_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	if fault.Mutated("unsynced-commit") {
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

// PostgresDSN returns the connection string for the driver
// github.com/jackc/pgx/v5 with a query mode that works through a pooler: no
// prepared statement is named. A string that sets a mode is returned unchanged.
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
