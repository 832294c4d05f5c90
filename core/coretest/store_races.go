package coretest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

const racers = 40

// race starts n goroutines at once and returns the errors of all.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winner returns which one error is nil; all others must be ErrStale.
func winner(errs []error) (int, error) {
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			return 0, fmt.Errorf("%d and %d both won", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, records.ErrStale):
			return 0, fmt.Errorf("racer %d: %w; want ErrStale or none", i, err)
		}
	}
	if won < 0 {
		return 0, errors.New("nobody won")
	}
	return won, nil
}

func oneWinner(ctx context.Context, s records.Store, tr Traits) error {
	for round := range tr.Rounds {
		key := fmt.Sprintf("d/%d", round/2)
		r := records.Record{Key: key}
		switch round % 4 {
		case 0: // for a key that is not there
		case 1, 3: // for the record that the round before left
			now, err := get(ctx, s, key)
			if err != nil {
				return err
			}
			r.Version = now.Version
		case 2: // for a key with an expired record
			if err := s.Commit(ctx, records.Record{Key: key, Value: []byte("x"), Expires: time.Now().Add(-time.Hour)}); err != nil {
				return err
			}
		}
		errs := race(racers, func(i int) error {
			r := r
			if round%4 != 3 || i%2 == 0 { // in the fourth, half of them delete
				r.Value = []byte(strconv.Itoa(i))
			}
			return s.Commit(ctx, r)
		})
		won, err := winner(errs)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		want := strconv.Itoa(won)
		if round%4 == 3 && won%2 != 0 {
			want = "-"
		}
		if err := holds(ctx, s, key, want); err != nil {
			return fmt.Errorf("round %d, won by %d: %w", round, won, err)
		}
	}
	return nil
}

func crossedCommits(ctx context.Context, s records.Store, tr Traits) error {
	keys := []string{"d/a", "d/b", "d/c"}
	for round := range tr.Rounds {
		rs, err := s.Get(ctx, keys...)
		if err != nil {
			return err
		}
		errs := race(6, func(i int) error {
			var mine []records.Record
			for k := range keys {
				r := rs[(k*(1+i%2)+i)%len(keys)] // each begins elsewhere, half go the other way round
				mine = append(mine, records.Record{Key: r.Key, Version: r.Version, Value: []byte(strconv.Itoa(i))})
			}
			return s.Commit(ctx, mine...)
		})
		won, err := winner(errs)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		for _, k := range keys {
			if err := holds(ctx, s, k, strconv.Itoa(won)); err != nil {
				return fmt.Errorf("round %d, won by %d: %w", round, won, err)
			}
		}
	}
	return nil
}

func noLostUpdate(ctx context.Context, s records.Store, tr Traits) error {
	const writers = 8
	each := max(1, tr.Rounds/4)
	errs := race(writers, func(int) error {
		for range each {
			for {
				r, err := get(ctx, s, "d/sum")
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(r.Value))
				runtime.Gosched() // let another writer in, also where nothing blocks
				err = put(ctx, s, "d/sum", strconv.Itoa(n+1), r.Version)
				if err == nil {
					break
				}
				if !errors.Is(err, records.ErrStale) {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(errors.Join(errs...), holds(ctx, s, "d/sum", strconv.Itoa(writers*each)))
}

// seenWhole: one writer counts two records up together. A reader that saw a
// number in one must find at least that number in the other.
func seenWhole(ctx context.Context, s records.Store, tr Traits) error {
	done := make(chan struct{})
	number := func(key string) (int, error) {
		r, err := get(ctx, s, key)
		if err != nil || r.Version == 0 {
			return 0, err
		}
		return strconv.Atoi(string(r.Value))
	}
	errs := race(5, func(i int) error {
		if i == 0 {
			defer close(done)
			return countTogether(ctx, s, tr.Rounds)
		}
		first, second := "d/a", "d/b"
		if i%2 == 0 {
			first, second = second, first
		}
		for {
			n, err := number(first)
			if err != nil {
				return err
			}
			m, err := number(second)
			if err != nil {
				return err
			}
			if m < n {
				return fmt.Errorf("%s is %d, and then %s is %d: half a commit was seen", first, n, second, m)
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
	return errors.Join(errs...)
}

func countTogether(ctx context.Context, s records.Store, n int) error {
	for i := range n {
		rs, err := s.Get(ctx, "d/b", "d/a")
		if err != nil {
			return err
		}
		for k := range rs {
			rs[k].Value = []byte(strconv.Itoa(i + 1))
		}
		if err := s.Commit(ctx, rs...); err != nil {
			return fmt.Errorf("the only writer: %w", err)
		}
	}
	return nil
}

func cancelledContext(ctx context.Context, s records.Store, _ Traits) error {
	v, err := create(ctx, s, "d/a", "kept")
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	start := time.Now()
	_, getErr := s.Get(over, "d/a")
	_, rangeErr := s.Range(over, "d", "", 10)
	for what, err := range map[string]error{
		"get":    getErr,
		"range":  rangeErr,
		"create": put(over, s, "d/b", "x", 0),
		"update": put(over, s, "d/a", "x", v),
	} {
		if err == nil || errors.Is(err, records.ErrStale) {
			return fmt.Errorf("%s with a canceled context: %v; want an error that is not ErrStale", what, err)
		}
	}
	if d := time.Since(start); d > time.Minute {
		return fmt.Errorf("four calls with a canceled context took %v", d)
	}
	return errors.Join(holds(ctx, s, "d/a", "kept"), holds(ctx, s, "d/b", "-"))
}

// A Commit that was given up may still be on its way to a store behind a
// network, and arrive between two reads or after them: once for each Commit
// given up, a reader may see two halves, or be stale.
func cancelledInFlight(ctx context.Context, s records.Store, tr Traits) error {
	happened, onTheWay := 0, 0
	read := func() ([]records.Record, error) {
		for {
			rs, err := s.Get(ctx, "d/a", "d/b")
			if err != nil || string(rs[0].Value) == string(rs[1].Value) {
				return rs, err
			}
			if onTheWay--; onTheWay < 0 {
				return nil, fmt.Errorf("%q and %q: half a commit happened", rs[0].Value, rs[1].Value)
			}
		}
	}
	for round := range tr.Rounds {
		rs, err := read()
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		before := string(rs[0].Value)
		for i := range rs {
			rs[i].Value = []byte(strconv.Itoa(round))
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(round%25)*100*time.Microsecond)
		err = s.Commit(short, rs...)
		cancel()
		switch {
		case errors.Is(err, records.ErrStale):
			if onTheWay--; onTheWay < 0 {
				return fmt.Errorf("round %d: the only writer got ErrStale", round)
			}
		case err != nil:
			onTheWay++
		default:
			happened++
			if err := holds(ctx, s, "d/b", strconv.Itoa(round)); err != nil {
				return fmt.Errorf("round %d returned nil, before it %q: %w", round, before, err)
			}
		}
	}
	for {
		rs, err := read()
		if err != nil {
			return err
		}
		rs[0].Value, rs[1].Value = []byte("end"), []byte("end")
		err = s.Commit(ctx, rs...)
		if errors.Is(err, records.ErrStale) && onTheWay > 0 {
			onTheWay--
			continue
		}
		if err != nil {
			return fmt.Errorf("after %d of %d commits happened, the store takes no more: %w", happened, tr.Rounds, err)
		}
		return nil
	}
}
