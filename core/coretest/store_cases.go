package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// put commits one record.
func put(ctx context.Context, s records.Store, key, value string, version int64) error {
	return s.Commit(ctx, records.Record{Key: key, Value: []byte(value), Version: version})
}

// get reads one record.
func get(ctx context.Context, s records.Store, key string) (records.Record, error) {
	rs, err := s.Get(ctx, key)
	if err != nil {
		return records.Record{}, fmt.Errorf("get %q: %w", key, err)
	}
	if len(rs) != 1 || rs[0].Key != key {
		return records.Record{}, fmt.Errorf("get %q: %d records, or another key", key, len(rs))
	}
	return rs[0], nil
}

// create creates a record and returns its version.
func create(ctx context.Context, s records.Store, key, value string) (int64, error) {
	if err := put(ctx, s, key, value, 0); err != nil {
		return 0, fmt.Errorf("create %q: %w", key, err)
	}
	r, err := get(ctx, s, key)
	if err == nil && (r.Version <= 0 || string(r.Value) != value) {
		err = fmt.Errorf("create %q: got version %d, value of %d bytes; want a version above zero and the value", key, r.Version, len(r.Value))
	}
	return r.Version, err
}

// holds checks the value of a record; "-" means absent.
func holds(ctx context.Context, s records.Store, key, want string) error {
	r, err := get(ctx, s, key)
	if err != nil {
		return err
	}
	if want == "-" {
		return absent(r)
	}
	if r.Version <= 0 || string(r.Value) != want {
		return fmt.Errorf("%q is %.40q at version %d; want %.40q", key, r.Value, r.Version, want)
	}
	return nil
}

// absent checks that a record has only its key.
func absent(r records.Record) error {
	if r.Version != 0 || r.Value != nil || r.Age != 0 || !r.Expires.IsZero() {
		return fmt.Errorf("%q: version %d, %d bytes, age %v, expires %v; want only the key", r.Key, r.Version, len(r.Value), r.Age, r.Expires)
	}
	return nil
}

// stale checks that a Commit returned ErrStale.
func stale(what string, err error) error {
	if !errors.Is(err, records.ErrStale) {
		return fmt.Errorf("%s: %v; want ErrStale", what, err)
	}
	return nil
}

// rejected checks that a Commit failed, and not because it was stale.
func rejected(what string, err error) error {
	if err == nil || errors.Is(err, records.ErrStale) {
		return fmt.Errorf("%s: %v; want an error that is not ErrStale", what, err)
	}
	return nil
}

// names returns the names that Range returns.
func names(ctx context.Context, s records.Store, dir, after string, limit int) ([]string, error) {
	rs, err := s.Range(ctx, dir, after, limit)
	if err != nil {
		return nil, fmt.Errorf("range %q after %q: %w", dir, after, err)
	}
	var ns []string
	for _, r := range rs {
		name, ok := strings.CutPrefix(r.Key, dir+"/")
		if !ok || r.Version <= 0 || r.Value == nil {
			return nil, fmt.Errorf("range %q: got %q at version %d", dir, r.Key, r.Version)
		}
		ns = append(ns, name)
	}
	return ns, nil
}

func readYourWrites(ctx context.Context, s records.Store, _ Capabilities) error {
	if err := holds(ctx, s, "d/a", "-"); err != nil {
		return err
	}
	if ns, err := names(ctx, s, "d", "", 10); err != nil || len(ns) != 0 {
		return fmt.Errorf("range of an empty directory: %q, %v", ns, err)
	}
	v1, err := create(ctx, s, "d/a", "one")
	if err != nil {
		return err
	}
	if err := put(ctx, s, "d/a", "two", v1); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	rs, err := s.Range(ctx, "d", "", 10)
	if err != nil || len(rs) != 1 || rs[0].Key != "d/a" || string(rs[0].Value) != "two" || rs[0].Version == v1 {
		return fmt.Errorf("range after the update: %d records, %v; want the new value at a new version", len(rs), err)
	}
	if r, err := get(ctx, s, "d/a"); err != nil || r.Version != rs[0].Version || string(r.Value) != "two" {
		return fmt.Errorf("get after the update: version %d, %v; want as from Range, version %d", r.Version, err, rs[0].Version)
	}
	if err := s.Commit(ctx); err != nil {
		return fmt.Errorf("commit of nothing: %w", err)
	}
	if rs, err := s.Get(ctx); err != nil || len(rs) != 0 {
		return fmt.Errorf("get of nothing: %d records, %v", len(rs), err)
	}
	return nil
}

func createConflict(ctx context.Context, s records.Store, _ Capabilities) error {
	if _, err := create(ctx, s, "d/a", "first"); err != nil {
		return err
	}
	if err := stale("second create", put(ctx, s, "d/a", "second", 0)); err != nil {
		return err
	}
	return holds(ctx, s, "d/a", "first")
}

func staleVersionRejected(ctx context.Context, s records.Store, _ Capabilities) error {
	v1, err := create(ctx, s, "d/a", "one")
	if err != nil {
		return err
	}
	if err := put(ctx, s, "d/a", "two", v1); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	r, err := get(ctx, s, "d/a")
	if err != nil {
		return err
	}
	for what, rec := range map[string]records.Record{
		"update at an old version":      {Key: "d/a", Value: []byte("x"), Version: v1},
		"update at a later version":     {Key: "d/a", Value: []byte("x"), Version: r.Version + 1},
		"delete at an old version":      {Key: "d/a", Version: v1},
		"delete at a later version":     {Key: "d/a", Version: r.Version + 1},
		"update of an absent record":    {Key: "d/none", Value: []byte("x"), Version: r.Version},
		"delete of an absent record":    {Key: "d/none", Version: r.Version},
		"update in another directory":   {Key: "e/a", Value: []byte("x"), Version: r.Version},
		"delete in another letter case": {Key: "d/A", Version: r.Version},
	} {
		if err := stale(what, s.Commit(ctx, rec)); err != nil {
			return err
		}
	}
	return errors.Join(holds(ctx, s, "d/a", "two"), holds(ctx, s, "d/none", "-"), holds(ctx, s, "e/a", "-"))
}

func staleCommitIsAtomic(ctx context.Context, s records.Store, _ Capabilities) error {
	before := map[string]records.Record{}
	for _, k := range []string{"d/b", "d/d", "d/f"} {
		v, err := create(ctx, s, k, "kept")
		if err != nil {
			return err
		}
		before[k] = records.Record{Key: k, Version: v}
	}
	good := []records.Record{
		{Key: "d/a", Value: []byte("new")},
		{Key: "d/b", Value: []byte("new"), Version: before["d/b"].Version},
		{Key: "d/d", Version: before["d/d"].Version},
	}
	bad := []records.Record{
		{Key: "d/f", Value: []byte("new")},
		{Key: "d/f", Value: []byte("new"), Version: before["d/f"].Version + 1},
		{Key: "d/f", Version: before["d/f"].Version + 1},
		{Key: "d/0", Value: []byte("new"), Version: before["d/f"].Version},
		{Key: "d/0", Version: before["d/f"].Version},
		{Key: "d/z", Version: before["d/f"].Version},
	}
	for _, b := range bad {
		for at := range len(good) + 1 {
			rs := append(append(append([]records.Record{}, good[:at]...), b), good[at:]...)
			what := fmt.Sprintf("stale record %q as number %d of %d", b.Key, at+1, len(rs))
			if err := stale(what, s.Commit(ctx, rs...)); err != nil {
				return err
			}
			for k, r := range before {
				now, err := get(ctx, s, k)
				if err != nil {
					return err
				}
				if now.Version != r.Version || string(now.Value) != "kept" {
					return fmt.Errorf("%s: %q has changed", what, k)
				}
			}
			if err := errors.Join(holds(ctx, s, "d/a", "-"), holds(ctx, s, "d/0", "-"), holds(ctx, s, "d/z", "-")); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	return nil
}

func mixedCommit(ctx context.Context, s records.Store, _ Capabilities) error {
	u, err := create(ctx, s, "d/update", "old")
	if err != nil {
		return err
	}
	d, err := create(ctx, s, "e/delete", "old")
	if err != nil {
		return err
	}
	if err := s.Commit(ctx,
		records.Record{Key: "d/update", Value: []byte("new"), Version: u},
		records.Record{Key: "c/create", Value: []byte("new")},
		records.Record{Key: "e/delete", Version: d},
	); err != nil {
		return err
	}
	return errors.Join(holds(ctx, s, "c/create", "new"), holds(ctx, s, "d/update", "new"), holds(ctx, s, "e/delete", "-"))
}

func nilValueDeletes(ctx context.Context, s records.Store, _ Capabilities) error {
	v, err := create(ctx, s, "d/a", "one")
	if err != nil {
		return err
	}
	if err := s.Commit(ctx, records.Record{Key: "d/a", Version: v}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if ns, err := names(ctx, s, "d", "", 10); err != nil || len(ns) != 0 {
		return fmt.Errorf("range after the delete: %q, %v; want nothing", ns, err)
	}
	if err := stale("second delete", s.Commit(ctx, records.Record{Key: "d/a", Version: v})); err != nil {
		return err
	}
	return holds(ctx, s, "d/a", "-")
}

func emptyValueIsStored(ctx context.Context, s records.Store, _ Capabilities) error {
	v, err := create(ctx, s, "d/a", "")
	if err != nil {
		return err
	}
	if err := stale("create over an empty value", put(ctx, s, "d/a", "x", 0)); err != nil {
		return err
	}
	if ns, err := names(ctx, s, "d", "", 10); err != nil || len(ns) != 1 {
		return fmt.Errorf("range: %q, %v; want the record with the empty value", ns, err)
	}
	if err := put(ctx, s, "d/a", "", v); err != nil {
		return fmt.Errorf("update to an empty value: %w", err)
	}
	if r, err := get(ctx, s, "d/a"); err != nil || r.Value == nil || r.Version == 0 {
		return fmt.Errorf("get: value nil: %t, version %d, %v; want an empty value that is not nil", r.Value == nil, r.Version, err)
	}
	return nil
}

func versionsNeverRepeat(ctx context.Context, s records.Store, _ Capabilities) error {
	seen := map[int64]bool{}
	var version int64
	for i := range 60 {
		if err := put(ctx, s, "d/a", "x", version); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		r, err := get(ctx, s, "d/a")
		if err != nil {
			return err
		}
		if seen[r.Version] {
			return fmt.Errorf("write %d: version %d was used before", i, r.Version)
		}
		seen[r.Version], version = true, r.Version
		switch i % 3 {
		case 1: // by a delete
			if err := s.Commit(ctx, records.Record{Key: "d/a", Version: version}); err != nil {
				return fmt.Errorf("delete %d: %w", i, err)
			}
			version = 0
		case 2: // by expiry
			if err := s.Commit(ctx, records.Record{Key: "d/a", Value: []byte("x"), Version: version, Expires: time.Now().Add(-time.Hour)}); err != nil {
				return fmt.Errorf("expire %d: %w", i, err)
			}
			version = 0
		}
	}
	for v := range seen {
		if v == version {
			continue
		}
		if err := stale(fmt.Sprintf("superseded version %d", v), put(ctx, s, "d/a", "late", v)); err != nil {
			return err
		}
	}
	return nil
}

func valuesAreExact(ctx context.Context, s records.Store, _ Capabilities) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for i, v := range [][]byte{every, {0}, {0, 0, 0}, {0xff, 0xfe}, []byte("\xc3\x28"), []byte(`{"a":"\u0000"}`), []byte("a\r\nb\n"), []byte(" "), []byte(`\x00`), []byte("NULL")} {
		key := fmt.Sprintf("d/%d", i)
		if err := s.Commit(ctx, records.Record{Key: key, Value: v}); err != nil {
			return fmt.Errorf("value %x: %w", v, err)
		}
		r, err := get(ctx, s, key)
		if err != nil {
			return err
		}
		if !bytes.Equal(r.Value, v) {
			return fmt.Errorf("value %x was returned as %x", v, r.Value)
		}
	}
	return nil
}

func slicesNotRetained(ctx context.Context, s records.Store, _ Capabilities) error {
	value := []byte("kept")
	if err := s.Commit(ctx, records.Record{Key: "d/a", Value: value}); err != nil {
		return err
	}
	copy(value, "lost")
	for _, read := range []func() ([]records.Record, error){
		func() ([]records.Record, error) { return s.Get(ctx, "d/a", "d/a") },
		func() ([]records.Record, error) { return s.Range(ctx, "d", "", 1) },
		func() ([]records.Record, error) { return s.Get(ctx, "d/a") },
	} {
		rs, err := read()
		if err != nil {
			return err
		}
		for _, r := range rs {
			if string(r.Value) != "kept" {
				return fmt.Errorf("value is %q; want the value at the call of Commit", r.Value)
			}
			copy(r.Value, "lost")
			_ = append(r.Value, "lost"...)
		}
	}
	return nil
}
