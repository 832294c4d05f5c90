package sqldb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

func TestOpenDatabaseSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database, it is a letter. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ url, want string }{
		"nothing":           {"", "give the path"},
		"in memory":         {":memory:", "give the path of a file"},
		"no such directory": {filepath.Join(dir, "no", "a.db"), "mkdir -p"},
		"a directory":       {dir, "cannot be written"},
		"not a database":    {text, "not a SQLite database"},
		"another scheme":    {"mysql://u:hunter2secret@localhost/x", "neither postgres:// nor sqlite://"},
		"bad port":          {"postgres://u:hunter2secret@localhost:port/x", "want postgres://"},
		"bad escape":        {"postgres://u:%zzhunter2secret@localhost/x", "want postgres://"},
		"raw special":       {"postgres://u:hunter2secret#?@localhost/x", ""},
		"nobody there":      {"postgres://u:hunter2secret@127.0.0.1:1/x?connect_timeout=1", "no Postgres answers at 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := Open(t.Context(), c.url)
			if err == nil {
				_ = db.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q; want it to say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestOpenDatabaseOfPostgresThatIsNotThere(t *testing.T) {
	url := pgtest.Open(t)
	cut := strings.LastIndex(url, "/test_")
	if cut < 0 {
		cut = strings.Index(url, "/test_")
	}
	name := url[cut+1:]
	if i := strings.IndexByte(name, '?'); i >= 0 {
		name = name[:i]
	}
	_, err := Open(t.Context(), strings.Replace(url, name, "nowhere", 1))
	if err == nil || !strings.Contains(err.Error(), "createdb") {
		t.Errorf("got %v; want it to say createdb", err)
	}
}

func TestSQLiteFileIsForThisUserOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := open(t, path)
	if err := db.Store().Commit(t.Context(), records.Record{Key: "a/b", Value: []byte("c")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestURLsOfOneFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for i, url := range []string{"a.db", "sqlite:a.db", "sqlite://a.db", "sqlite://" + dir + "/a.db", dir + "/a.db"} {
		db := open(t, url)
		r, err := db.Store().Get(t.Context(), "a/b")
		if err != nil {
			t.Fatal(err)
		}
		if got := r[0].Version != 0; got != (i > 0) {
			t.Errorf("%s: it is another file", url)
		}
		if i == 0 {
			if err := db.Store().Commit(t.Context(), records.Record{Key: "a/b", Value: []byte("c")}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		for range 5 {
			where := url(t)
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					db, err := Open(t.Context(), where)
					if err != nil {
						t.Errorf("%v: %v", err, errors.Unwrap(err))
						return
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
	})
}

// Damage is found before more is written on top of it.
func TestDamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		r := records.Record{Key: fmt.Sprintf("a/%d", i), Value: []byte(strings.Repeat("x", 3000))}
		if err := db.Store().Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"nothing":   func(b []byte) []byte { return b },
		"a hole":    func(b []byte) []byte { clear(b[len(b)/2&^4095 : len(b)/2&^4095+20*4096]); return b },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"no header": func(b []byte) []byte { clear(b[:100]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "b.db")
			if err := os.WriteFile(path, damage([]byte(string(whole))), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), path)
			if err == nil {
				_ = db.Close()
			}
			if (err == nil) != (name == "nothing") {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "backup") && !strings.Contains(err.Error(), "not a SQLite database") {
				t.Errorf("%v: it does not say what to do", err)
			}
		})
	}
}

func TestErrorsHoldNoTextOfTheDriver(t *testing.T) {
	for _, err := range []error{stateError("22P02"), stateError("57P01"), codeError(13), fmt.Errorf("CANARY: %w", codeError(5)), errors.New("CANARY")} {
		if s := wrap("put", err).Error(); strings.Contains(s, "CANARY") || !strings.HasPrefix(s, "sqldb: put: ") {
			t.Errorf("got %q", s)
		}
	}
}
