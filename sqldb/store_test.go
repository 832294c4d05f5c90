package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

func TestStore(t *testing.T) {
	for _, e := range storeEngines {
		t.Run(e.name, func(t *testing.T) {
			coretest.Store(t, coretest.Capabilities{}, func(t *testing.T) records.Store {
				return openStore(t, e.fresh(t))
			})
		})
	}
}

// TestStoreExecMode runs the suite over the driver's other mode without named
// statements, where parameters and results are text.
func TestStoreExecMode(t *testing.T) {
	coretest.Store(t, coretest.Capabilities{RaceIterations: 10}, func(t *testing.T) records.Store {
		where := storeEngines[1].fresh(t)
		return openStore(t, where+"&default_query_exec_mode=exec")
	})
}

// TestOtherHandleSeesCommit: two instances share what they know at once.
func TestOtherHandleSeesCommit(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		a, b := openStore(t, where), openStore(t, where)
		for i := range 50 {
			key := fmt.Sprintf("d/%d", i)
			if err := a.Commit(t.Context(), records.Record{Key: key, Value: []byte("x")}); err != nil {
				t.Fatal(cause(err))
			}
			rs, err := b.Get(t.Context(), key)
			if err != nil || rs[0].Version == 0 {
				t.Fatalf("%s is not seen by the other handle: %v", key, err)
			}
			if err := b.Commit(t.Context(), records.Record{Key: key, Value: []byte("y")}); !errors.Is(err, records.ErrStale) {
				t.Fatalf("second create by the other handle: %v", err)
			}
		}
	})
}

func TestSweepDeletesTheExpired(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		for i := range 30 {
			r := records.Record{Key: fmt.Sprintf("d/%02d", i), Value: []byte("x")}
			switch i % 3 {
			case 1:
				r.Expires = time.Now().Add(-time.Hour)
			case 2:
				r.Expires = time.Now().Add(time.Hour)
			}
			if err := s.Commit(t.Context(), r); err != nil {
				t.Fatal(cause(err))
			}
		}
		for i, want := range []int{6, 4, 0} {
			if n, err := s.Sweep(t.Context(), 6); n != want || err != nil {
				t.Fatalf("sweep %d of up to 6: %d, %v; want %d", i, n, err, want)
			}
		}
		var n int
		if err := s.write.QueryRow("SELECT count(*) FROM serverurl_records").Scan(&n); err != nil || n != 20 {
			t.Fatalf("%d rows are left, %v; want the 20 that have not expired", n, err)
		}
	})
}

// TestErrorQuotesNothing makes the databases complain about a value and looks
// for it in the text.
func TestErrorQuotesNothing(t *testing.T) {
	const canary = "Sam Rivera +14155550123"
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		_, err := s.write.Exec("CREATE UNIQUE INDEX broken ON serverurl_records (value)")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), records.Record{Key: "d/a", Value: []byte(canary)}); err != nil {
			t.Fatal(cause(err))
		}
		if s.d == &sqlite { // it would replace the other row: make it refuse instead
			_, err = s.write.Exec("CREATE TRIGGER refuse BEFORE INSERT ON serverurl_records BEGIN SELECT raise(ABORT, '" + canary + "'); END")
			if err != nil {
				t.Fatal(err)
			}
		}
		err = s.Commit(t.Context(), records.Record{Key: "d/b", Value: []byte(canary)})
		if want := "sqldb: commit: " + map[bool]string{true: "SQLite code 1811", false: "SQLSTATE 23505"}[s.d == &sqlite]; err == nil || err.Error() != want {
			t.Fatalf("%v; want %q", err, want)
		}
		if strings.Contains(err.Error(), "Sam") || strings.Contains(fmt.Errorf("core: %w", err).Error(), "Sam") {
			t.Errorf("the text quotes the value: %v", err)
		}
	})
}

func TestErrorOfContext(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Get(ctx, "d/a")
		if !errors.Is(err, context.Canceled) || err.Error() != "sqldb: get: context canceled" {
			t.Errorf("%v; want the context's error with the operation", err)
		}
	})
}

func TestVersionsOutliveTheTable(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		if err := s.Commit(t.Context(), records.Record{Key: "d/a", Value: []byte("x")}); err != nil {
			t.Fatal(cause(err))
		}
		before, err := s.Get(t.Context(), "d/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.Exec("DELETE FROM serverurl_records"); err != nil {
			t.Fatal(err)
		}
		other := openStore(t, where) // a later process
		if err := other.Commit(t.Context(), records.Record{Key: "d/a", Value: []byte("y")}); err != nil {
			t.Fatal(cause(err))
		}
		after, err := other.Get(t.Context(), "d/a")
		if err != nil || after[0].Version <= before[0].Version {
			t.Errorf("version %d after %d, %v; want a later one", after[0].Version, before[0].Version, err)
		}
	})
}

// Commits that share a transaction share nothing else.
func TestCommitEach(t *testing.T) {
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		put := func(key, value string) records.Record { return records.Record{Key: key, Value: []byte(value)} }
		if err := s.Commit(t.Context(), put("d/there", "old")); err != nil {
			t.Fatal(cause(err))
		}
		errs := s.CommitBatch(t.Context(),
			[]records.Record{put("d/a", "1"), put("d/b", "1")},
			[]records.Record{put("d/c", "2"), put("d/there", "2")}, // there is one
			[]records.Record{put("no key", "3")},
			nil,
			[]records.Record{put("d/a", "5")}, // the first was before
			[]records.Record{put("d/e", "6")},
		)
		for i, want := range []bool{true, false, false, true, false, true} {
			if (errs[i] == nil) != want {
				t.Errorf("commit %d: %v", i, cause(errs[i]))
			}
		}
		for _, i := range []int{1, 4} {
			if !errors.Is(errs[i], records.ErrStale) {
				t.Errorf("commit %d: %v, want ErrStale", i, errs[i])
			}
		}
		rs, err := s.Range(t.Context(), "d", "", 100)
		if err != nil {
			t.Fatal(cause(err))
		}
		got := ""
		for _, r := range rs {
			got += r.Key + "=" + string(r.Value) + " "
		}
		if want := "d/a=1 d/b=1 d/e=6 d/there=old "; got != want {
			t.Errorf("stored %q, want %q", got, want)
		}

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for i, err := range s.CommitBatch(ended, []records.Record{put("d/x", "")}, []records.Record{put("d/y", "")}) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("commit %d after the end of its context: %v", i, err)
			}
		}
	})
}
