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

// winner returns the index of the only nil error; all others must be ErrStale.
func winner(errs []error) (int, error) {
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			return 0, fmt.Errorf("%d and %d both succeeded", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, records.ErrStale):
			return 0, fmt.Errorf("racer %d: %w; want ErrStale or nil", i, err)
		}
	}
	if won < 0 {
		return 0, errors.New("none succeeded")
	}
	return won, nil
}

func singleWinner(ctx context.Context, s records.Store, caps Capabilities) error {
	for round := range caps.RaceIterations {
		key := fmt.Sprintf("d/%d", round/2)
		r := records.Record{Key: key}
		switch round % 4 {
		case 0: // an absent key
		case 1, 3: // the record that the previous round left
			now, err := get(ctx, s, key)
			if err != nil {
				return err
			}
			r.Version = now.Version
		case 2: // a key with an expired record
			if err := s.Commit(ctx, records.Record{Key: key, Value: []byte("x"), Expires: time.Now().Add(-time.Hour)}); err != nil {
				return err
			}
		}
		errs := race(racers, func(i int) error {
			r := r
			if round%4 != 3 || i%2 == 0 { // in every fourth round half of them delete
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
			return fmt.Errorf("round %d, winner %d: %w", round, won, err)
		}
	}
	return nil
}

func crossedCommits(ctx context.Context, s records.Store, caps Capabilities) error {
	keys := []string{"d/a", "d/b", "d/c"}
	for round := range caps.RaceIterations {
		rs, err := s.Get(ctx, keys...)
		if err != nil {
			return err
		}
		errs := race(6, func(i int) error {
			var mine []records.Record
			for k := range keys {
				r := rs[(k*(1+i%2)+i)%len(keys)] // different starts, half of them in reverse
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
				return fmt.Errorf("round %d, winner %d: %w", round, won, err)
			}
		}
	}
	return nil
}

func noLostUpdate(ctx context.Context, s records.Store, caps Capabilities) error {
	const writers = 8
	each := max(1, caps.RaceIterations/4)
	errs := race(writers, func(int) error {
		for range each {
			for {
				r, err := get(ctx, s, "d/sum")
				if err != nil {
					return err
				}
				n, _ := strconv.Atoi(string(r.Value))
				runtime.Gosched() // let other writers run, even if nothing blocks
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

// In atomicVisibility one writer increments two records together. A reader that
// saw a number in one must find at least that number in the other.
func atomicVisibility(ctx context.Context, s records.Store, caps Capabilities) error {
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
			return countTogether(ctx, s, caps.RaceIterations)
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
				return fmt.Errorf("%s is %d, then %s is %d: half of a commit was visible", first, n, second, m)
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

// countTogether sets d/a and d/b to 1, 2, … n, both in each Commit.
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

func canceledContext(ctx context.Context, s records.Store, _ Capabilities) error {
	v, err := create(ctx, s, "d/a", "kept")
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	start := time.Now()
	_, getErr := s.Get(ended, "d/a")
	_, rangeErr := s.Range(ended, "d", "", 10)
	for what, err := range map[string]error{
		"get":    getErr,
		"range":  rangeErr,
		"create": put(ended, s, "d/b", "x", 0),
		"update": put(ended, s, "d/a", "x", v),
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

// In canceledInFlight an abandoned Commit may still be on its way to a store
// behind a network, and be applied between two reads or after them. So once per
// abandoned Commit a reader may see two halves, or the writer get ErrStale.
func canceledInFlight(ctx context.Context, s records.Store, caps Capabilities) error {
	applied, inFlight := 0, 0
	read := func() ([]records.Record, error) {
		for {
			rs, err := s.Get(ctx, "d/a", "d/b")
			if err != nil || string(rs[0].Value) == string(rs[1].Value) {
				return rs, err
			}
			if inFlight--; inFlight < 0 {
				return nil, fmt.Errorf("%q and %q: half of a commit was applied", rs[0].Value, rs[1].Value)
			}
		}
	}
	for round := range caps.RaceIterations {
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
			if inFlight--; inFlight < 0 {
				return fmt.Errorf("round %d: the only writer got ErrStale", round)
			}
		case err != nil:
			inFlight++
		default:
			applied++
			if err := holds(ctx, s, "d/b", strconv.Itoa(round)); err != nil {
				return fmt.Errorf("round %d: Commit returned nil, value before it %q: %w", round, before, err)
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
		if errors.Is(err, records.ErrStale) && inFlight > 0 {
			inFlight--
			continue
		}
		if err != nil {
			return fmt.Errorf("after %d of %d commits the store rejects the next: %w", applied, caps.RaceIterations, err)
		}
		return nil
	}
}
