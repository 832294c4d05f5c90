package coretest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

func TestMemoryStore(t *testing.T) {
	Store(t, Capabilities{}, func(t *testing.T) records.Store { return NewMemoryStore() })
}

// A brokenStore is a MemoryStore with a fault that the suite must find.
type brokenStore struct {
	*MemoryStore
	get    func(ctx context.Context, s *MemoryStore, keys []string) ([]records.Record, error)
	ranges func(ctx context.Context, s *MemoryStore, dir, after string, limit int) ([]records.Record, error)
	commit func(ctx context.Context, s *MemoryStore, rs []records.Record) error
}

func (b *brokenStore) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	if b.get != nil {
		return b.get(ctx, b.MemoryStore, keys)
	}
	return b.MemoryStore.Get(ctx, keys...)
}

func (b *brokenStore) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	if b.ranges != nil {
		return b.ranges(ctx, b.MemoryStore, dir, after, limit)
	}
	return b.MemoryStore.Range(ctx, dir, after, limit)
}

func (b *brokenStore) Commit(ctx context.Context, rs ...records.Record) error {
	if b.commit != nil {
		return b.commit(ctx, b.MemoryStore, rs)
	}
	return b.MemoryStore.Commit(ctx, rs...)
}

// TestStoreFindsFaults tests the suite: each fault, seen in an engine or
// imagined, fails the cases named next to it.
func TestStoreFindsFaults(t *testing.T) {
	if len(storeCases) < 30 {
		t.Fatalf("%d cases", len(storeCases))
	}
	for name, f := range map[string]struct {
		found string // cases that must fail
		store brokenStore
	}{
		"last writer wins": {"CreateConflict StaleVersionRejected StaleCommitIsAtomic SingleWinner NoLostUpdate", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				for {
					now := slices.Clone(rs)
					for i := range now {
						r, err := s.Get(ctx, now[i].Key)
						if err != nil {
							return err
						}
						now[i].Version = r[0].Version
					}
					if err := s.Commit(ctx, now...); !errors.Is(err, records.ErrStale) {
						return err
					}
				}
			}}},
		"record by record": {"StaleCommitIsAtomic CrossedCommits AtomicVisibility", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				if err := records.ValidateCommit(rs); err != nil {
					return err
				}
				for _, r := range rs {
					if err := s.Commit(ctx, r); err != nil {
						return err
					}
					time.Sleep(time.Millisecond) // long enough for others to read in between, once in a hundred rounds
				}
				return nil
			}}},
		"empty means absent": {"EmptyValueIsStored", brokenStore{
			get: func(ctx context.Context, s *MemoryStore, keys []string) ([]records.Record, error) {
				rs, err := s.Get(ctx, keys...)
				for i := range rs {
					rs[i].Value = append([]byte(nil), rs[i].Value...)
				}
				return rs, err
			}}},
		"versions count from one": {"VersionsNeverRepeat", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				s.mu.Lock()
				s.version = 0
				for _, r := range rs {
					s.version = s.records[r.Key].version
				}
				s.mu.Unlock()
				return s.Commit(ctx, rs...)
			}}},
		"expired until swept": {"ExpiredIsAbsent ExpiredIsNotCounted VersionsNeverRepeat SingleWinner", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				rs = slices.Clone(rs)
				for i := range rs {
					rs[i].Expires = rs[i].Expires.AddDate(100, 0, 0)
				}
				return s.Commit(ctx, rs...)
			}}},
		"limit counts expired": {"ExpiredIsNotCounted", brokenStore{
			ranges: func(ctx context.Context, s *MemoryStore, dir, after string, limit int) ([]records.Record, error) {
				rs, err := s.Range(ctx, dir, after, limit)
				if strings.HasPrefix(dir, "d") && len(rs) > 1 && len(s.All()) < len(s.records) {
					rs = rs[1:]
				}
				return rs, err
			}}},
		"range by prefix": {"RangeOneDirectory", brokenStore{
			ranges: func(ctx context.Context, s *MemoryStore, dir, after string, limit int) ([]records.Record, error) {
				var rs []records.Record
				for _, r := range s.All() {
					if name, ok := strings.CutPrefix(r.Key, dir+"/"); ok && name > after && len(rs) < limit {
						rs = append(rs, r)
					}
				}
				return rs, ctx.Err()
			}}},
		"case-insensitive keys": {"NamesAreExact RangeOrder", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				for i := range rs {
					rs[i].Key = strings.ToLower(rs[i].Key)
				}
				return s.Commit(ctx, rs...)
			},
			get: func(ctx context.Context, s *MemoryStore, keys []string) ([]records.Record, error) {
				lower := make([]string, len(keys))
				for i, k := range keys {
					lower[i] = strings.ToLower(k)
				}
				rs, err := s.Get(ctx, lower...)
				for i := range rs {
					rs[i].Key = keys[i]
				}
				return rs, err
			}}},
		"values as text": {"ValuesAreExact LargestRecord", brokenStore{
			get: func(ctx context.Context, s *MemoryStore, keys []string) ([]records.Record, error) {
				rs, err := s.Get(ctx, keys...)
				for i := range rs {
					if rs[i].Value != nil {
						rs[i].Value = []byte(strings.ToValidUTF8(string(rs[i].Value), "?"))
					}
				}
				return rs, err
			}}},
		"ignores the context": {"CanceledContext", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				return s.Commit(context.WithoutCancel(ctx), rs...)
			}}},
		"canceled is stale": {"CanceledContext", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				if ctx.Err() != nil {
					return records.ErrStale
				}
				return s.Commit(ctx, rs...)
			}}},
		"one record per get": {"GetKeepsOrder", brokenStore{
			get: func(ctx context.Context, s *MemoryStore, keys []string) ([]records.Record, error) {
				keys = slices.Clone(keys)
				slices.Sort(keys)
				return s.Get(ctx, slices.Compact(keys)...)
			}}},
		"invalid is stale": {"InvalidCommitRejected", brokenStore{
			commit: func(ctx context.Context, s *MemoryStore, rs []records.Record) error {
				if err := records.ValidateCommit(rs); err != nil {
					return records.ErrStale
				}
				return s.Commit(ctx, rs...)
			}}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for want := range strings.FieldsSeq(f.found) {
				i := slices.IndexFunc(storeCases, func(c storeCase) bool { return c.name == want })
				if i < 0 {
					t.Fatalf("no case %s", want)
				}
				s := f.store
				s.MemoryStore = NewMemoryStore()
				if err := storeCases[i].run(t.Context(), &s, Capabilities{RaceIterations: 100}); err == nil {
					t.Errorf("%s passed", want)
				}
			}
		})
	}
}

func TestStoreCasesSayWhy(t *testing.T) {
	for _, c := range storeCases {
		if c.why == "" || c.run == nil {
			t.Errorf("%s: no promise, or no check", c.name)
		}
	}
}
