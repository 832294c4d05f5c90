package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

func openPrepared(t *testing.T) *sql.DB {
	t.Helper()
	db := openSQLiteDB(SQLiteDSN(filepath.Join(t.TempDir(), "p.db")).Write)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER, s TEXT); CREATE INDEX i ON t (n)"); err != nil {
		t.Fatal(err)
	}
	return db
}

// kept returns how many statements the only connection keeps.
func kept(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Raw(func(c any) error { n = len(c.(*preparedConn).kept); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func count(t *testing.T, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM t WHERE n >= ?1", 0).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A statement is kept once, and does what it would do if it were not kept: within
// transactions, after a change of the schema, after an error, after its context ended.
func TestStatementsAreKept(t *testing.T) {
	db := openPrepared(t)
	insert := func(ctx context.Context, n any) error {
		_, err := db.ExecContext(ctx, "INSERT INTO t (n, s) VALUES (?1, ?2)", n, "text")
		return err
	}
	for i := range 3 {
		if err := insert(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, db); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
	if got := kept(t, db); got != 2 {
		t.Errorf("%d statements are kept, want 2", got)
	}
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE t ADD COLUMN more TEXT"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE UNIQUE INDEX u ON t (n)"); err != nil {
		t.Fatal(err)
	}
	if err := insert(t.Context(), 2); err == nil {
		t.Error("the index of a later schema is not looked at")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := insert(ended, 4); err == nil {
		t.Error("a statement ran after its context")
	}
	if err := insert(t.Context(), 5); err != nil {
		t.Errorf("after an error: %v", err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO t (n, s) VALUES (?1, ?2)", 6, "text"); err != nil {
		t.Fatal(err)
	}
	if got := count(t, tx); got != 5 {
		t.Errorf("%d rows in the transaction, want 5", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db); got != 4 {
		t.Errorf("%d rows after the rollback, want 4", got)
	}
}

// The rows of a statement may be read while the same text is executed again.
func TestRowsOfOneTextTwice(t *testing.T) {
	db := openPrepared(t)
	for i := range 3 {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO t (n) VALUES (?1)", i); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const query = "SELECT n FROM t WHERE n >= ?1 ORDER BY n"
	read := func(rows *sql.Rows) (n int) {
		if !rows.Next() {
			t.Fatal("no row is left")
		}
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 2 {
		outer, err := conn.QueryContext(t.Context(), query, 0)
		if err != nil {
			t.Fatal(err)
		}
		first := read(outer)
		inner, err := conn.QueryContext(t.Context(), query, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := []int{first, read(inner), read(outer), read(inner), read(outer)}; fmt.Sprint(got) != "[0 1 1 2 2]" {
			t.Errorf("read %v", got)
		}
		if err := inner.Close(); err != nil {
			t.Error(err)
		}
		if err := outer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A program with many texts keeps some of them, and executes all.
func TestManyStatements(t *testing.T) {
	db := openPrepared(t)
	for i := range 2 * maxPrepared {
		var got int
		if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d + ?1", i), 1).Scan(&got); err != nil || got != i+1 {
			t.Fatalf("%d, %v; want %d", got, err, i+1)
		}
	}
	if got := kept(t, db); got != maxPrepared {
		t.Errorf("%d statements are kept, want %d", got, maxPrepared)
	}
}

// A statement that is kept is interrupted with its context, and runs again after.
func TestKeptStatementIsInterrupted(t *testing.T) {
	db := openPrepared(t)
	const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?1) SELECT max(x) FROM c"
	var n int64
	for _, c := range []struct{ to, want int64 }{{10, 10}, {1 << 60, 0}, {20, 20}} {
		ctx, cancel := t.Context(), func() {}
		if c.want == 0 {
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		}
		err := db.QueryRowContext(ctx, endless, c.to).Scan(&n)
		cancel()
		if (err == nil) != (c.want != 0) || err == nil && n != c.want {
			t.Errorf("up to %d: %d, %v", c.to, n, err)
		}
	}
}
