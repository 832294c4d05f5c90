package sqldb

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	_ "modernc.org/sqlite"
)

// A storeEngine is a database that the tests run on.
type storeEngine struct {
	name string
	// fresh makes an empty database and returns what openStore takes.
	fresh func(t testing.TB) string
}

var storeEngines = []storeEngine{
	{"SQLite", func(t testing.TB) string { return "sqlite " + filepath.Join(t.TempDir(), "a #1?.db") }},
	{"Postgres", func(t testing.TB) string { return "pgx " + pgtest.Open(t) }},
}

// eachStoreEngine runs a test on every engine.
func eachStoreEngine(t *testing.T, f func(t *testing.T, where string)) {
	for _, e := range storeEngines {
		t.Run(e.name, func(t *testing.T) { f(t, e.fresh(t)) })
	}
}

// openDB opens the handles for "driver address".
func openDB(where string) (write, read *sql.DB, d Dialect, err error) {
	var driver, address string
	if _, err := fmt.Sscan(where, &driver); err != nil {
		return nil, nil, 0, err
	}
	address = where[len(driver)+1:]
	if driver == "pgx" {
		write, err = sql.Open(driver, PostgresDSN(address))
		if err == nil {
			write.SetMaxOpenConns(20)
			write.SetMaxIdleConns(20)
		}
		return write, nil, Postgres, err
	}
	dsn := SQLiteDSN(address)
	if write, err = sql.Open(driver, dsn.Write); err != nil {
		return nil, nil, 0, err
	}
	write.SetMaxOpenConns(1)
	read, err = sql.Open(driver, dsn.Read)
	read.SetMaxIdleConns(8)
	return write, read, SQLite, err
}

// openStore opens a store for one test and brings its schema up.
func openStore(t testing.TB, where string) *Store {
	t.Helper()
	write, read, d, err := openDB(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		write.Close()
		if read != nil {
			read.Close()
		}
	})
	s := NewStore(write, read, d)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("migrate: %v", cause(err))
	}
	return s
}

// cause shows what an errcode.Error hides: the data of tests is nobody's.
func cause(err error) string {
	s := fmt.Sprint(err)
	if e, ok := err.(*errcode.Error); ok {
		s += ": " + fmt.Sprint(e.Err)
	}
	return s
}
