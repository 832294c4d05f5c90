package sqldb

import (
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

func TestMigrateFromManyAtOnce(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				write, _, d, err := openDB(where)
				if err != nil {
					t.Error(err)
					return
				}
				defer write.Close()
				s := NewStore(write, nil, d)
				for range 3 {
					if err := s.Migrate(t.Context()); err != nil {
						t.Error(cause(err))
					}
				}
			})
		}
		wg.Wait()
		s := openStore(t, where)
		if at, needs, err := schema(t.Context(), s.write); at != 1 || needs != 1 || err != nil {
			t.Errorf("schema %d, needs %d, %v", at, needs, err)
		}
	})
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestMigrateExpandsAndContracts(t *testing.T) {
	release := fstest.MapFS{
		"m/0001_a.sql": file("-- needs 1\nCREATE TABLE one (a integer);\n"),
		"m/0002_b.sql": file("-- needs 1\nALTER TABLE one ADD COLUMN b integer;\nCREATE TABLE two (a integer);\n"),
		"m/0003_c.sql": file("-- needs 2\nDROP TABLE two;\n"),
	}
	all, err := readMigrations(release, "m")
	if err != nil {
		t.Fatal(err)
	}
	eachStoreEngine(t, func(t *testing.T, where string) {
		write, _, d, err := openDB(where)
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		s := NewStore(write, nil, d)
		for _, step := range []struct {
			program int // the newest schema that it knows
			want    string
		}{
			{1, ""}, {2, ""}, {1, ""}, {2, ""}, {3, ""}, {2, ""}, {3, ""},
			{1, "the database needs a program that knows schema 2, this one knows 1"},
		} {
			err := s.migrate(t.Context(), all[:step.program])
			if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
				t.Fatalf("program %d: %v; want %q", step.program, err, step.want)
			}
		}
		if at, needs, err := schema(t.Context(), write); at != 3 || needs != 2 || err != nil {
			t.Errorf("schema %d, needs %d, %v; want 3 and 2", at, needs, err)
		}
	})
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	bad, err := readMigrations(fstest.MapFS{
		"m/0001_a.sql": file("-- needs 1\nCREATE TABLE one (a integer);\nCREATE TABLE one (a integer);\n"),
	}, "m")
	if err != nil {
		t.Fatal(err)
	}
	eachStoreEngine(t, func(t *testing.T, where string) {
		write, _, d, err := openDB(where)
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		s := NewStore(write, nil, d)
		for range 3 {
			if err := s.migrate(t.Context(), bad); err == nil {
				t.Fatal("no error")
			}
			if _, err := write.Exec("SELECT a FROM one"); err == nil {
				t.Fatal("half of a migration is there")
			}
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("the good one after the bad: %v", cause(err))
		}
	})
}

func TestMigrationFilesHaveRules(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"counts from 1":    {"m/0002_a.sql": file("-- needs 1\n")},
		"says its needs":   {"m/0001_a.sql": file("CREATE TABLE one (a integer);\n")},
		"needs no later":   {"m/0001_a.sql": file("-- needs 2\n")},
		"has four figures": {"m/1_a.sql": file("-- needs 1\n")},
	} {
		if _, err := readMigrations(fsys, "m"); err == nil {
			t.Errorf("a migration %s: not refused", name)
		}
	}
	for _, d := range dialects {
		if ms, err := readMigrations(migrations, d.migrations); err != nil || len(ms) == 0 {
			t.Errorf("%s: %d migrations, %v", d.migrations, len(ms), err)
		}
	}
}
