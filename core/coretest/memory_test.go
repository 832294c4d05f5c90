package coretest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

func TestMemoryStoreClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := coretest.NewMemoryStore()
		if err := s.Commit(t.Context(), records.Record{Key: "d/a", Value: []byte("1"), Expires: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		rs, err := s.Get(t.Context(), "d/a")
		if err != nil || rs[0].Age != 59*time.Second {
			t.Fatalf("after 59s: age %v, %v; want exactly 59s", rs[0].Age, err)
		}
		time.Sleep(time.Second)
		rs, err = s.Get(t.Context(), "d/a")
		if err != nil || rs[0].Version != 0 || rs[0].Value != nil {
			t.Fatalf("after 60s: version %d, %v; want an absent record", rs[0].Version, err)
		}
	})
}

func TestMemoryStoreFails(t *testing.T) {
	down := errors.New("store is down")
	s := coretest.NewMemoryStore()
	s.Fail = func(op string, keys []string) error {
		if op == "Commit" && keys[0] == "d/refused" {
			return down
		}
		return nil
	}
	s.FailAfter = func(op string, keys []string) error {
		if op == "Commit" && keys[0] == "d/lost" {
			return down
		}
		return nil
	}
	for _, key := range []string{"d/refused", "d/lost"} {
		if err := s.Commit(t.Context(), records.Record{Key: key, Value: []byte("1")}); !errors.Is(err, down) {
			t.Errorf("%s: %v; want the injected error", key, err)
		}
	}
	rs, err := s.Get(t.Context(), "d/refused", "d/lost")
	if err != nil {
		t.Fatal(err)
	}
	if rs[0].Version != 0 {
		t.Error("Fail: the commit happened")
	}
	if rs[1].Version == 0 {
		t.Error("FailAfter: the commit did not happen")
	}
	if all := s.All(); len(all) != 1 || all[0].Key != "d/lost" {
		t.Errorf("All: %d records; want the one that was kept", len(all))
	}
}
