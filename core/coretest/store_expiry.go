package coretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

func expiredIsAbsent(ctx context.Context, s records.Store, _ Capabilities) error {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if err := s.Commit(ctx, records.Record{Key: "d/old", Value: []byte("x"), Expires: past}); err != nil {
		return fmt.Errorf("create of an expired record: %w", err)
	}
	if err := s.Commit(ctx, records.Record{Key: "d/live", Value: []byte("x"), Expires: future}); err != nil {
		return err
	}
	if err := errors.Join(holds(ctx, s, "d/old", "-"), holds(ctx, s, "d/live", "x")); err != nil {
		return err
	}
	if ns, err := names(ctx, s, "d", "", 10); err != nil || !slices.Equal(ns, []string{"live"}) {
		return fmt.Errorf("range: %q, %v; want only the live record", ns, err)
	}
	live, err := get(ctx, s, "d/live")
	if err != nil {
		return err
	}
	for v := live.Version - 4; v < live.Version+4; v++ { // the versions that a counter would have given it
		if v <= 0 {
			continue
		}
		if err := stale("update of an expired record", put(ctx, s, "d/old", "x", v)); err != nil {
			return err
		}
		if err := stale("delete of an expired record", s.Commit(ctx, records.Record{Key: "d/old", Version: v})); err != nil {
			return err
		}
	}
	if err := stale("create over a live record", put(ctx, s, "d/live", "y", 0)); err != nil {
		return err
	}
	if _, err := create(ctx, s, "d/old", "y"); err != nil {
		return fmt.Errorf("over an expired record: %w", err)
	}
	return stale("second create", put(ctx, s, "d/old", "z", 0))
}

func expiredIsNotCounted(ctx context.Context, s records.Store, _ Capabilities) error {
	past := time.Now().Add(-time.Hour)
	var want []string
	for i := range 40 {
		r := records.Record{Key: fmt.Sprintf("d/%02d", i), Value: []byte("x")}
		if i%4 == 3 {
			want = append(want, fmt.Sprintf("%02d", i))
		} else {
			r.Expires = past
		}
		if err := s.Commit(ctx, r); err != nil {
			return err
		}
	}
	for limit := 1; limit <= len(want); limit++ {
		got, err := names(ctx, s, "d", "", limit)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want[:limit]) {
			return fmt.Errorf("limit %d: %q; want %q", limit, got, want[:limit])
		}
	}
	return nil
}

func expiresRoundTrip(ctx context.Context, s records.Store, _ Capabilities) error {
	var version int64
	for _, want := range []time.Time{
		time.Now().Add(time.Hour).Truncate(time.Second),
		{},
		time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Now().Add(48 * time.Hour).Truncate(time.Second).In(time.FixedZone("UTC+5", 5*3600)),
	} {
		if err := s.Commit(ctx, records.Record{Key: "d/a", Value: []byte("x"), Version: version, Expires: want}); err != nil {
			return err
		}
		got, err := get(ctx, s, "d/a")
		if err != nil {
			return err
		}
		rs, err := s.Range(ctx, "d", "", 1)
		if err != nil || len(rs) != 1 {
			return fmt.Errorf("range: %d records, %v", len(rs), err)
		}
		if !got.Expires.Equal(want) || !rs[0].Expires.Equal(want) || got.Expires.IsZero() != want.IsZero() {
			return fmt.Errorf("expires is %v by get, %v by range; want %v", got.Expires, rs[0].Expires, want)
		}
		version = got.Version
	}
	return nil
}

func recordExpires(ctx context.Context, s records.Store, _ Capabilities) error {
	// Long enough to be read once although the engine's clock may differ from ours.
	until := time.Now().Add(3 * time.Second).Truncate(time.Second)
	if err := s.Commit(ctx, records.Record{Key: "d/a", Value: []byte("x"), Expires: until}); err != nil {
		return err
	}
	first, err := get(ctx, s, "d/a")
	if err != nil {
		return err
	}
	if first.Version == 0 {
		return fmt.Errorf("a record that lives for three seconds is absent at once: the engine's clock is wrong")
	}
	err = poll(ctx, func() (bool, error) {
		r, err := get(ctx, s, "d/a")
		return r.Version == 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting for expiry: %w", err)
	}
	if err := stale("update after expiry", put(ctx, s, "d/a", "y", first.Version)); err != nil {
		return err
	}
	if err := stale("delete after expiry", s.Commit(ctx, records.Record{Key: "d/a", Version: first.Version})); err != nil {
		return err
	}
	v, err := create(ctx, s, "d/a", "y")
	if err == nil && v == first.Version {
		err = errors.New("the version was used before")
	}
	return err
}

func ageGrows(ctx context.Context, s records.Store, _ Capabilities) error {
	const slack = 2 * time.Second // engines measure in milliseconds or seconds
	start := time.Now()
	v, err := create(ctx, s, "d/a", "x")
	if err != nil {
		return err
	}
	var last records.Record
	err = poll(ctx, func() (bool, error) {
		rs, err := s.Range(ctx, "d", "", 1)
		if err != nil || len(rs) != 1 {
			return false, errors.Join(err, fmt.Errorf("range: %d records", len(rs)))
		}
		r, err := get(ctx, s, "d/a")
		if r.Age < last.Age || r.Age < rs[0].Age || r.Age > time.Since(start)+slack {
			return false, fmt.Errorf("age %v by range, then %v by get, %v before; %v have passed", rs[0].Age, r.Age, last.Age, time.Since(start))
		}
		last = r
		return r.Age >= time.Second, err
	})
	if err != nil {
		return fmt.Errorf("waiting for an age of a second: %w", err)
	}
	start = time.Now()
	if err := put(ctx, s, "d/a", "y", v); err != nil {
		return err
	}
	r, err := get(ctx, s, "d/a")
	if err == nil && (r.Age < 0 || r.Age >= last.Age && r.Age > time.Since(start)) {
		err = fmt.Errorf("age %v after an update; want it to restart", r.Age)
	}
	return err
}

// poll calls done until it returns true.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
