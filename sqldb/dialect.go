package sqldb

import (
	"database/sql"
	"strconv"
	"strings"

	"github.com/serverurl/serverurl/sqldb/statements"
)

// A Dialect is a kind of SQL database.
type Dialect int

// The dialects. SQLite is 3.51.3 or newer (see [CheckSQLite]), Postgres is 13
// or newer.
const (
	SQLite Dialect = iota + 1
	Postgres
)

// A dialect holds the statements of a Dialect. Their parameters are, in this
// order: dir, name, value, expires, version, as far as they have them; of
// selectRange dir, after, limit.
type dialect struct {
	migrations string // their directory
	begin      *sql.TxOptions
	lock       []string // begin a transaction that only one process can be in

	create, update, delete         string
	selectLive, selectRange, sweep string
	placeholder                    func(n int) string
}

// get returns the statement that reads n keys.
func (d *dialect) get(n int) string {
	var b strings.Builder
	b.WriteString(d.selectLive)
	for i := range n {
		if i == 0 {
			b.WriteString(" AND (")
		} else {
			b.WriteString(" OR ")
		}
		b.WriteString("(dir = " + d.placeholder(2*i+1) + " AND name = " + d.placeholder(2*i+2) + ")")
	}
	b.WriteByte(')')
	return b.String()
}

var dialects = map[Dialect]*dialect{SQLite: &sqlite, Postgres: &postgres}

// The statements of SQLite are shared with D1, so they are in a package without
// drivers.
var sqlite = dialect{
	migrations:  "statements/migrations/sqlite",
	lock:        []string{"BEGIN IMMEDIATE"},
	create:      statements.Create,
	update:      statements.Update,
	delete:      statements.Delete,
	selectLive:  statements.Select,
	selectRange: statements.Range,
	sweep:       statements.Sweep,
	placeholder: func(n int) string { return "?" + strconv.Itoa(n) },
}

// In PostgreSQL's READ COMMITTED a statement that waited for a row evaluates its
// condition again on the updated row, which makes each of these atomic.
// clock_timestamp is the time of the write itself, not of the transaction, which
// may have waited.
var postgres = dialect{
	migrations: "statements/migrations/postgres",
	begin:      &sql.TxOptions{Isolation: sql.LevelReadCommitted},
	// The lock ends with the transaction, so that it works through a pooler.
	lock: []string{"BEGIN ISOLATION LEVEL READ COMMITTED", "SELECT pg_advisory_xact_lock(7378697629483)"},
	create: `INSERT INTO serverurl_records AS r (dir, name, value, written_at, expires_at)
VALUES ($1::text, $2::text, $3::bytea, ` + postgresMillis + `, $4::bigint)
ON CONFLICT (dir, name) DO UPDATE SET value = excluded.value, version = excluded.version,
written_at = excluded.written_at, expires_at = excluded.expires_at
WHERE r.expires_at <= ` + postgresSeconds,
	update: `UPDATE serverurl_records SET value = $3::bytea, version = DEFAULT, written_at = ` + postgresMillis + `, expires_at = $4::bigint
WHERE dir = $1::text AND name = $2::text AND version = $5::bigint AND ` + postgresLive,
	delete: `DELETE FROM serverurl_records WHERE dir = $1::text AND name = $2::text AND version = $3::bigint AND ` + postgresLive,
	selectLive: `SELECT dir, name, value, version, ` + postgresMillis + ` - written_at, expires_at
FROM serverurl_records WHERE ` + postgresLive,
	selectRange: `SELECT dir, name, value, version, ` + postgresMillis + ` - written_at, expires_at
FROM serverurl_records WHERE dir = $1::text AND name > $2::text AND ` + postgresLive + ` ORDER BY name LIMIT $3::bigint`,
	// The condition is repeated: a row may have been recreated in between.
	sweep: `DELETE FROM serverurl_records WHERE expires_at <= ` + postgresSeconds + ` AND (dir, name) IN
(SELECT dir, name FROM serverurl_records WHERE expires_at <= ` + postgresSeconds + ` ORDER BY expires_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED)`,
	placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
}

const (
	postgresMillis  = `floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	postgresSeconds = `floor(extract(epoch FROM statement_timestamp()))::bigint`
	postgresLive    = `(expires_at IS NULL OR expires_at > ` + postgresSeconds + `)`
)
