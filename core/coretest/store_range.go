package coretest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/core/records"
)

func getKeepsOrder(ctx context.Context, s records.Store, _ Capabilities) error {
	for _, k := range []string{"d/a", "d/b", "e/a"} {
		if _, err := create(ctx, s, k, k); err != nil {
			return err
		}
	}
	keys := []string{"e/a", "d/none", "d/b", "d/a", "d/b", "none/a", "d/none"}
	rs, err := s.Get(ctx, keys...)
	if err != nil || len(rs) != len(keys) {
		return fmt.Errorf("get of %d keys: %d records, %v", len(keys), len(rs), err)
	}
	for i, r := range rs {
		switch {
		case r.Key != keys[i]:
			return fmt.Errorf("record %d is %q; want %q", i, r.Key, keys[i])
		case strings.Contains(r.Key, "none"):
			if err := absent(r); err != nil {
				return err
			}
		case string(r.Value) != r.Key:
			return fmt.Errorf("record %d, %q, has the value %q", i, r.Key, r.Value)
		}
	}
	for _, bad := range []string{"", "noslash", "/a", "d/", "d/\x00", "d/\xff"} {
		if _, err := s.Get(ctx, "d/a", bad); err == nil {
			return fmt.Errorf("get of %q, an invalid key: no error", bad)
		}
	}
	return nil
}

func getManyKeys(ctx context.Context, s records.Store, _ Capabilities) error {
	value := bytes.Repeat([]byte{'v'}, records.MaxRecordBytes)
	var keys []string
	for i := range 150 {
		key := fmt.Sprintf("d/%03d", i)
		keys = append(keys, key)
		v := value[:1]
		if i%15 == 0 {
			v = value // ten large ones, 2.5 MB in all
		}
		if i%5 == 0 { // every fifth exists
			if err := s.Commit(ctx, records.Record{Key: key, Value: v}); err != nil {
				return err
			}
		}
	}
	rs, err := s.Get(ctx, keys...)
	if err != nil || len(rs) != len(keys) {
		return fmt.Errorf("get of %d keys: %d records, %v", len(keys), len(rs), err)
	}
	for i, r := range rs {
		want := 0
		if i%15 == 0 {
			want = len(value)
		} else if i%5 == 0 {
			want = 1
		}
		if r.Key != keys[i] || len(r.Value) != want {
			return fmt.Errorf("record %d is %q with %d bytes; want %q with %d", i, r.Key, len(r.Value), keys[i], want)
		}
	}
	return nil
}

// inByteOrder are names that a collation by language, case or normal form would
// sort differently or treat as equal.
var inByteOrder = []string{
	" ", "!", "%", "'", "*", ".", "..", "0", "10", "2", "?", "A", "B", "Z", "[a]", `\`, "_", "__a__", "a", "a ", "a.b", "aa", "b",
	"e\u0301", "z", "{}", "~", "\u00a0", "\u00df", "\u00e9", "\u0131", "\u202e", "\uff21", "\ufffd", "\U0001f600",
}

func rangeOrder(ctx context.Context, s records.Store, _ Capabilities) error {
	for i := range inByteOrder { // written in another order
		name := inByteOrder[i*17%len(inByteOrder)]
		if _, err := create(ctx, s, "d/"+name, name); err != nil {
			return err
		}
	}
	all, err := names(ctx, s, "d", "", 100)
	if err != nil {
		return err
	}
	if !slices.Equal(all, inByteOrder) {
		return fmt.Errorf("got %q\n\twant %q", all, inByteOrder)
	}
	for i, after := range inByteOrder {
		for _, limit := range []int{0, 1, 2, 100} {
			got, err := names(ctx, s, "d", after, limit)
			if err != nil {
				return err
			}
			want := inByteOrder[i+1:]
			if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
				return fmt.Errorf("after %q, limit %d: got %q; want %q", after, limit, got, want)
			}
		}
	}
	if got, err := names(ctx, s, "d", "zz", 1); err != nil || !slices.Equal(got, []string{"{}"}) {
		return fmt.Errorf("after an absent name: %q, %v", got, err)
	}
	return nil
}

func rangeOneDirectory(ctx context.Context, s records.Store, _ Capabilities) error {
	for _, k := range []string{"d/a", "d/x/a", "d/x/b", "d/x/y/a", "dd/a", "D/a", "c/a", "d%/a", "_/a", "%/a", "*/a", "d /a", " d/a"} {
		if _, err := create(ctx, s, k, k); err != nil {
			return err
		}
	}
	for dir, want := range map[string][]string{
		"d": {"a"}, "d/x": {"a", "b"}, "d/x/y": {"a"}, "dd": {"a"}, "D": {"a"}, "%": {"a"}, "_": {"a"}, "*": {"a"}, "d%": {"a"},
		"x": nil, "d/": nil, "d/x/": nil, "d/a": nil, "d_": nil, "?": nil, "": nil, "/": nil,
	} {
		got, err := s.Range(ctx, dir, "", 10)
		if want == nil && err != nil {
			continue // a directory that cannot hold records may be rejected
		}
		if err != nil || len(got) != len(want) {
			return fmt.Errorf("range of %q: %d records, %v; want %q", dir, len(got), err, want)
		}
		for i, r := range got {
			if r.Key != dir+"/"+want[i] {
				return fmt.Errorf("range of %q: record %d is %q", dir, i, r.Key)
			}
		}
	}
	return nil
}

func rangePages(ctx context.Context, s records.Store, _ Capabilities) error {
	large := bytes.Repeat([]byte{'v'}, records.MaxRecordBytes)
	const n = 60
	for i := range n {
		v := large[:10]
		if i < 12 {
			v = large // 3 MB: more than a page of any engine
		}
		if err := s.Commit(ctx, records.Record{Key: fmt.Sprintf("d/%02d", i), Value: v}); err != nil {
			return err
		}
	}
	for _, limit := range []int{7, 20, 60, 1000} {
		after, next := "", 0
		for {
			rs, err := s.Range(ctx, "d", after, limit)
			if err != nil {
				return err
			}
			if len(rs) != min(limit, n-next) {
				return fmt.Errorf("limit %d after %q: %d records; want %d", limit, after, len(rs), min(limit, n-next))
			}
			for _, r := range rs {
				after = fmt.Sprintf("%02d", next)
				if r.Key != "d/"+after || (len(r.Value) == len(large)) != (next < 12) {
					return fmt.Errorf("limit %d: record %d is %q with %d bytes", limit, next, r.Key, len(r.Value))
				}
				next++
			}
			if len(rs) < limit {
				break
			}
		}
	}
	return nil
}

func namesAreExact(ctx context.Context, s records.Store, _ Capabilities) error {
	for _, name := range inByteOrder {
		for _, key := range []string{"d/" + name, name + "/d"} {
			if _, err := create(ctx, s, key, key); err != nil {
				return err
			}
		}
	}
	for _, name := range inByteOrder {
		for _, key := range []string{"d/" + name, name + "/d"} {
			if err := holds(ctx, s, key, key); err != nil {
				return err
			}
		}
	}
	return nil
}
