package coretest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// A MemoryStore is a [records.Store] in memory, for tests and examples; it
// passes [Store]. Its clock is time.Now, so it works in a testing/synctest
// bubble. It loses everything when the process ends, so never deploy it.
//
// Set the hooks before the store is used. They run outside its lock, may block,
// and may call the store. op is "Get", "Range" or "Commit"; keys are the keys
// read or written, for Range the directory followed by a slash.
type MemoryStore struct {
	// Fail, if not nil, is called first. If it returns an error, the method
	// returns that and does nothing, as if the store were down.
	Fail func(op string, keys []string) error

	// FailAfter, if not nil, is called when the work is done. If it returns an
	// error, the method returns that, as if the reply were lost: a Commit has been
	// applied and the writer does not know.
	FailAfter func(op string, keys []string) error

	mu      sync.Mutex
	records map[string]memoryRecord
	written map[string]bool // keys of all commits
	version int64           // of the whole store, so that none repeats for a key
}

type memoryRecord struct {
	value   []byte
	version int64
	written time.Time
	expires time.Time
}

var _ records.Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{records: make(map[string]memoryRecord), written: make(map[string]bool)}
}

// Get implements records.Store.
func (s *MemoryStore) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	for _, k := range keys {
		if _, _, err := records.SplitKey(k); err != nil {
			return nil, err
		}
	}
	var rs []records.Record
	err := s.do(ctx, "Get", keys, func(now time.Time) error {
		rs = make([]records.Record, len(keys))
		for i, k := range keys {
			rs[i] = s.record(k, now)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rs, nil
}

// Range implements records.Store.
func (s *MemoryStore) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	var rs []records.Record
	err := s.do(ctx, "Range", []string{dir + "/"}, func(now time.Time) error {
		for _, k := range slices.Sorted(maps.Keys(s.records)) {
			if len(rs) >= limit {
				return nil
			}
			name, ok := strings.CutPrefix(k, dir+"/")
			if !ok || strings.Contains(name, "/") || name <= after {
				continue
			}
			if r := s.record(k, now); r.Version != 0 {
				rs = append(rs, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rs, nil
}

// Commit implements records.Store.
func (s *MemoryStore) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil {
		return err
	}
	keys := make([]string, len(rs))
	for i, r := range rs {
		keys[i] = r.Key
	}
	return s.do(ctx, "Commit", keys, func(now time.Time) error {
		for _, r := range rs {
			if s.record(r.Key, now).Version != r.Version {
				return records.ErrStale
			}
		}
		for _, r := range rs {
			s.written[r.Key] = true
			if r.Value == nil {
				delete(s.records, r.Key)
				continue
			}
			s.version++
			s.records[r.Key] = memoryRecord{
				value:   append([]byte{}, r.Value...), // not nil when empty
				version: s.version,
				written: now,
				expires: wholeSecond(r.Expires),
			}
		}
		return nil
	})
}

// All returns every record that has not expired, ordered by key, for tests that
// check what must not be stored. It calls no hook.
func (s *MemoryStore) All() []records.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var rs []records.Record
	for _, k := range slices.Sorted(maps.Keys(s.records)) {
		if r := s.record(k, now); r.Version != 0 {
			rs = append(rs, r)
		}
	}
	return rs
}

// Written returns every key that was ever committed, also of records that were
// deleted or have expired, in order. It calls no hook.
func (s *MemoryStore) Written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.written))
}

// do runs one operation between the hooks.
func (s *MemoryStore) do(ctx context.Context, op string, keys []string, f func(now time.Time) error) error {
	if s.Fail != nil {
		if err := s.Fail(op, keys); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	err := f(time.Now())
	s.mu.Unlock()
	if err == nil && s.FailAfter != nil {
		err = s.FailAfter(op, keys)
	}
	return err
}

// record returns the record of key, with only its key if it is absent or has
// expired.
func (s *MemoryStore) record(key string, now time.Time) records.Record {
	m, ok := s.records[key]
	if !ok || !m.expires.IsZero() && !now.Before(m.expires) {
		return records.Record{Key: key}
	}
	return records.Record{
		Key:     key,
		Value:   bytes.Clone(m.value),
		Version: m.version,
		Age:     max(0, now.Sub(m.written)),
		Expires: m.expires,
	}
}

// wholeSecond returns t in the resolution that stores promise for Expires.
func wholeSecond(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(t.Unix(), 0).UTC()
}
