package sqldb

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

func TestCheckSQLiteRefuses(t *testing.T) {
	for _, c := range []struct {
		version, journal string
		synchronous      int
		want             string
	}{
		{"3.51.3", "wal", 2, ""},
		{"3.54.1", "wal", 3, ""},
		{"4.0.0", "wal", 2, ""},
		{"3.51.2", "wal", 2, "update the driver"},
		{"3.7.0", "wal", 2, "update the driver"},
		{"2.99.99", "wal", 2, "update the driver"},
		{"", "wal", 2, "update the driver"},
		{"3.54.1", "delete", 2, "journal_mode"},
		{"3.54.1", "memory", 2, "journal_mode"},
		{"3.54.1", "wal", 1, "power cut"},
		{"3.54.1", "wal", 0, "power cut"},
	} {
		err := checkSQLite(c.version, c.journal, c.synchronous)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCheckSQLiteAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for dsn, good := range map[string]bool{
		SQLiteDSN(path).Write: true,
		":memory:":            false,
		"file:" + path + "?_pragma=synchronous(NORMAL)":               false,
		"file:" + path + "2?_pragma=journal_mode(DELETE)":             false,
		"file:" + path + "3?_pragma=journal_mode(WAL)&_synchronous=1": false,
	} {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := CheckSQLite(t.Context(), db); (err == nil) != good {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestReadHandleCannotWrite(t *testing.T) {
	s := openStore(t, storeEngines[0].fresh(t))
	if _, err := s.read.Exec("DELETE FROM serverurl_records"); err == nil {
		t.Error("the read handle writes")
	}
}

func TestQuickCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openStore(t, "sqlite "+path)
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := s.Commit(t.Context(), records.Record{Key: "d/" + name, Value: make([]byte, 100_000)}); err != nil {
			t.Fatal(cause(err))
		}
	}
	if err := QuickCheck(t.Context(), s.write); err != nil {
		t.Fatalf("a good file: %v", err)
	}
	if _, err := s.write.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	s.write.Close()
	s.read.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"flipped":  append(append(append([]byte{}, b[:4096]...), make([]byte, 8192)...), b[4096+8192:]...),
		"cut":      b[:len(b)/2],
		"not ours": []byte(strings.Repeat("not a database ", 1000)),
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		if err := QuickCheck(t.Context(), db); err == nil {
			t.Errorf("%s: no damage found", name)
		}
		db.Close()
	}
}

func TestCheckPostgresWarns(t *testing.T) {
	unsafe := pgtest.New(t, &pgtest.Options{NoSync: true, Settings: map[string]string{"synchronous_commit": "off"}})
	safe := pgtest.New(t, nil)
	for _, c := range []struct{ name, dsn, want string }{
		{"unsafe settings", PostgresDSN(unsafe.Database(t)), "fsync full_page_writes synchronous_commit"},
		{"good settings", PostgresDSN(safe.Database(t)), ""},
		{"named statements", safe.Database(t), "prepared"},
	} {
		db, err := sql.Open("pgx", c.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		warnings, err := CheckPostgres(t.Context(), db)
		if err != nil {
			t.Fatalf("%s: %v", c.name, cause(err))
		}
		if want := strings.Fields(c.want); len(warnings) != len(want) {
			t.Errorf("%s: %q; want %q", c.name, warnings, want)
		} else {
			for i, w := range want {
				if !strings.Contains(warnings[i], w) {
					t.Errorf("%s: %q; want %q", c.name, warnings[i], w)
				}
			}
		}
	}
}

func TestCheckPostgresRefusesOtherEncodings(t *testing.T) {
	dsn := pgtest.Open(t)
	s := openStore(t, "pgx "+dsn)
	if _, err := s.write.Exec("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	latin, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	latin.Path = "/latin"
	db, err := sql.Open("pgx", latin.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := CheckPostgres(t.Context(), db); err == nil || !strings.Contains(err.Error(), "UTF8") {
		t.Errorf("%v; want a refusal that names UTF8", err)
	}
}

func TestPostgresDSN(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u@h/d":                               "postgres://u@h/d?default_query_exec_mode=cache_describe",
		"postgres://u@h/d?sslmode=off":                   "postgres://u@h/d?sslmode=off&default_query_exec_mode=cache_describe",
		"host=h user=u":                                  "host=h user=u default_query_exec_mode=cache_describe",
		"host=h default_query_exec_mode=simple_protocol": "host=h default_query_exec_mode=simple_protocol",
	} {
		if got := PostgresDSN(in); got != want {
			t.Errorf("PostgresDSN(%q) = %q; want %q", in, got, want)
		}
	}
}
