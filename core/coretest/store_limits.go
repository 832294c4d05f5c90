package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/core/records"
)

func largestRecord(ctx context.Context, s records.Store, _ Capabilities) error {
	value := make([]byte, records.MaxRecordBytes+1)
	for i := range value {
		value[i] = byte(i * 7 >> 3)
	}
	if err := s.Commit(ctx, records.Record{Key: "d/a", Value: value[:records.MaxRecordBytes]}); err != nil {
		return err
	}
	r, err := get(ctx, s, "d/a")
	if err != nil || !bytes.Equal(r.Value, value[:records.MaxRecordBytes]) {
		return fmt.Errorf("got %d bytes, %v; want the same", len(r.Value), err)
	}
	if err := rejected("one byte more", s.Commit(ctx, records.Record{Key: "d/a", Value: value, Version: r.Version})); err != nil {
		return err
	}
	again, err := get(ctx, s, "d/a")
	if err == nil && again.Version != r.Version {
		err = errors.New("the rejected commit changed the record")
	}
	return err
}

func largestCommit(ctx context.Context, s records.Store, _ Capabilities) error {
	value := bytes.Repeat([]byte{'v'}, records.MaxRecordBytes)
	var rs []records.Record
	for i := range records.MaxCommitBytes / records.MaxRecordBytes {
		rs = append(rs, records.Record{Key: fmt.Sprintf("d/%02d", i), Value: value})
	}
	more := append(slices.Clone(rs), records.Record{Key: "d/zz", Value: value[:1]})
	if err := rejected("one byte more", s.Commit(ctx, more...)); err != nil {
		return err
	}
	if ns, err := names(ctx, s, "d", "", 100); err != nil || len(ns) != 0 {
		return fmt.Errorf("after the rejected commit: %q, %v; want nothing", ns, err)
	}
	if err := s.Commit(ctx, rs...); err != nil {
		return err
	}
	got, err := s.Range(ctx, "d", "", 100)
	if err != nil || len(got) != len(rs) {
		return fmt.Errorf("got %d records, %v; want %d", len(got), err, len(rs))
	}
	for _, r := range got {
		if !bytes.Equal(r.Value, value) {
			return fmt.Errorf("%q has %d bytes", r.Key, len(r.Value))
		}
	}
	return nil
}

func mostRecordsPerCommit(ctx context.Context, s records.Store, _ Capabilities) error {
	var rs []records.Record
	for i := range records.MaxCommitRecords + 1 {
		rs = append(rs, records.Record{Key: fmt.Sprintf("d/%02d", i), Value: []byte("v")})
	}
	if err := rejected("one record more", s.Commit(ctx, rs...)); err != nil {
		return err
	}
	if ns, err := names(ctx, s, "d", "", 100); err != nil || len(ns) != 0 {
		return fmt.Errorf("after the rejected commit: %q, %v; want nothing", ns, err)
	}
	if err := s.Commit(ctx, rs[:records.MaxCommitRecords]...); err != nil {
		return err
	}
	ns, err := names(ctx, s, "d", "", 100)
	if err == nil && len(ns) != records.MaxCommitRecords {
		err = fmt.Errorf("got %d records", len(ns))
	}
	return err
}

func longestKey(ctx context.Context, s records.Store, _ Capabilities) error {
	wide := strings.Repeat("\U0001f600", records.MaxKeyBytes/4) // four bytes each
	for _, key := range []string{
		"d/" + strings.Repeat("n", records.MaxKeyBytes-2),
		strings.Repeat("d", records.MaxKeyBytes-2) + "/n",
		"d/" + wide[:records.MaxKeyBytes-4] + "nn",
		strings.Repeat("d/", records.MaxKeyBytes/2-1) + "nn",
	} {
		if len(key) != records.MaxKeyBytes {
			return fmt.Errorf("the test is wrong: a key of %d bytes", len(key))
		}
		if _, err := create(ctx, s, key, "v"); err != nil {
			return err
		}
		dir, name, err := records.SplitKey(key)
		if err != nil {
			return err
		}
		if ns, err := names(ctx, s, dir, name[:len(name)-1], 1); err != nil || !slices.Equal(ns, []string{name}) {
			return fmt.Errorf("range does not find the key of %d bytes: %d names, %v", len(key), len(ns), err)
		}
		if err := rejected("one byte more", put(ctx, s, key+"n", "v", 0)); err != nil {
			return err
		}
	}
	return nil
}

func invalidCommitRejected(ctx context.Context, s records.Store, _ Capabilities) error {
	v, err := create(ctx, s, "d/a", "kept")
	if err != nil {
		return err
	}
	update := records.Record{Key: "d/a", Value: []byte("new"), Version: v}
	for what, bad := range map[string]records.Record{
		"no key":                         {Value: []byte("x")},
		"a key without a directory":      {Key: "a", Value: []byte("x")},
		"a key with an empty directory":  {Key: "/a", Value: []byte("x")},
		"a key with an empty name":       {Key: "d/", Value: []byte("x")},
		"a key with a control character": {Key: "d/a\n", Value: []byte("x")},
		"a key that is not UTF-8":        {Key: "d/\xff", Value: []byte("x")},
		"a negative version":             {Key: "d/b", Value: []byte("x"), Version: -1},
		"a delete without a version":     {Key: "d/b"},
		"the same key twice":             {Key: "d/a", Value: []byte("x"), Version: v},
	} {
		if what != "the same key twice" {
			if err := rejected(what, s.Commit(ctx, bad)); err != nil {
				return err
			}
		}
		if err := rejected(what+", second", s.Commit(ctx, update, bad)); err != nil {
			return err
		}
	}
	ns, err := names(ctx, s, "d", "", 10)
	if err == nil && len(ns) != 1 {
		err = fmt.Errorf("rejected commits left %q", ns)
	}
	return errors.Join(err, holds(ctx, s, "d/a", "kept"))
}
