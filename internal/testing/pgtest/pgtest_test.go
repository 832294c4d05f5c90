package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func query(t *testing.T, dsn, q string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var s string
	if err := conn.QueryRow(t.Context(), q).Scan(&s); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return s
}

func TestOpenIsFresh(t *testing.T) {
	a, b := pgtest.Open(t), pgtest.Open(t)
	conn, err := pgx.Connect(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE x (y int)"); err != nil {
		t.Fatal(err)
	}
	if got := query(t, b, "SELECT count(*)::text FROM pg_tables WHERE tablename = 'x'"); got != "0" {
		t.Errorf("a table made in one database is in the other")
	}
	if got := query(t, b, "SELECT current_setting('server_encoding')"); got != "UTF8" {
		t.Errorf("encoding %s", got)
	}
}

func TestStopAndStart(t *testing.T) {
	for _, o := range []*pgtest.Options{nil, {TCP: true, NoSync: true}} {
		c := pgtest.New(t, o)
		dsn := c.Database(t)
		if got, want := query(t, dsn, "SELECT current_setting('fsync')"), o == nil; (got == "on") != want {
			t.Errorf("fsync is %s", got)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate, pgtest.Kill} {
			if err := c.Stop(mode); err != nil {
				t.Fatalf("stop %v: %v", mode, err)
			}
			if _, err := pgx.Connect(t.Context(), dsn); err == nil {
				t.Fatal("a stopped server takes connections")
			}
			if err := c.Start(); err != nil {
				t.Fatalf("start after stop %v: %v", mode, err)
			}
			if got := query(t, dsn, "SELECT n::text FROM kept"); got != "7" {
				t.Errorf("after stop %v: %s", mode, got)
			}
		}
	}
}
