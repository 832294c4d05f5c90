// Package statements is the SQL of the record store in SQLite's dialect, and the
// schema migrations of both engines. It runs nothing and imports no driver:
// package sqldb runs the statements through database/sql, the Worker of package
// cloudflare through D1.
//
//	rows, err := db.QueryContext(ctx, statements.Get(1), "calls", "call-1")
//
// A write replaces the row, so that AUTOINCREMENT gives it a new id, its
// version. The id is greater than any that the table has ever had. If a condition does not
// hold, no row is affected.
package statements

import (
	"strconv"
	"strings"
)

// Statements. The parameters of the first three are dir, name, value, expires,
// version, as far as they have them.
const (
	Create = `INSERT OR REPLACE INTO serverurl_records (dir, name, value, written_at, expires_at)
SELECT ?1, ?2, ?3, ` + millis + `, ?4
WHERE NOT EXISTS (SELECT 1 FROM serverurl_records WHERE dir = ?1 AND name = ?2 AND ` + live + `)`

	Update = `INSERT OR REPLACE INTO serverurl_records (dir, name, value, written_at, expires_at)
SELECT ?1, ?2, ?3, ` + millis + `, ?4
WHERE EXISTS (SELECT 1 FROM serverurl_records WHERE dir = ?1 AND name = ?2 AND version = ?5 AND ` + live + `)`

	Delete = `DELETE FROM serverurl_records WHERE dir = ?1 AND name = ?2 AND version = ?3 AND ` + live

	// Sweep deletes up to ?1 records that have expired, the oldest first.
	Sweep = `DELETE FROM serverurl_records WHERE version IN
(SELECT version FROM serverurl_records WHERE expires_at <= unixepoch() ORDER BY expires_at LIMIT ?1)`

	// Range reads up to ?3 records of directory ?1 after the name ?2: dir, name,
	// value, version, age in ms, end in s.
	Range = Select + ` AND dir = ?1 AND name > ?2 ORDER BY name LIMIT ?3`

	// Select reads all records that have not expired, in the columns of Range.
	Select = `SELECT dir, name, value, version, ` + millis + ` - written_at AS age, expires_at
FROM serverurl_records WHERE ` + live

	millis = `CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)`
	live   = `(expires_at IS NULL OR expires_at > unixepoch())`
)

// Get returns the statement that reads n records in the columns of Range. Its
// parameters are dir and name of each.
func Get(n int) string {
	var b strings.Builder
	b.WriteString(Select)
	for i := range n {
		b.WriteString(map[bool]string{true: " AND (", false: " OR "}[i == 0])
		b.WriteString("(dir = ?" + strconv.Itoa(2*i+1) + " AND name = ?" + strconv.Itoa(2*i+2) + ")")
	}
	b.WriteByte(')')
	return b.String()
}
