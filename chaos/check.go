package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// Counts are the violations that the checker found. Each must be zero.
type Counts struct {
	Lost         int `json:"lost"`         // events acknowledged and stored nowhere
	Duplicated   int `json:"duplicated"`   // effects or events that were applied more than once
	Regressed    int `json:"regressed"`    // calls whose state lacks what an event of theirs reported
	Inconsistent int `json:"inconsistent"` // requests with different results, or a result without its effect
	Late         int `json:"late"`         // replies that were late, missing or malformed
	Leaked       int `json:"leaked"`       // canaries in the store or the logs
	Corrupt      int `json:"corrupt"`      // stores that are corrupt
	Unsynced     int `json:"unsynced"`     // events acknowledged before the disk had them
}

func (c *Counts) add(o Counts) {
	c.Lost += o.Lost
	c.Duplicated += o.Duplicated
	c.Regressed += o.Regressed
	c.Inconsistent += o.Inconsistent
	c.Late += o.Late
	c.Leaked += o.Leaked
	c.Corrupt += o.Corrupt
	c.Unsynced += o.Unsynced
}

func (c Counts) zero() bool { return c == Counts{} }

// String returns all counts on one line.
func (c Counts) String() string {
	return fmt.Sprintf("lost %d, duplicated %d, regressed %d, inconsistent %d, late %d, leaked %d, corrupt %d, unsynced %d",
		c.Lost, c.Duplicated, c.Regressed, c.Inconsistent, c.Late, c.Leaked, c.Corrupt, c.Unsynced)
}

var markOf = regexp.MustCompile(`"chaos":"([^"]+)"`)

// ranks are the statuses that the load has, in order. The checker has its own list,
// so that a mistake in the program's list does not hide itself.
var ranks = map[string]int{"initiated": 1, "queued": 2, "ongoing": 3, "finished": 4}

// checkEvents compares what is stored with what was acknowledged.
func checkEvents(ctx context.Context, v *view, h *history) (c Counts, waiting int, err error) {
	if err := v.check(); err != nil {
		c.Corrupt++
	}
	undelivered := map[string]bool{}
	for _, b := range v.undelivered {
		c.Leaked += canaries(b)
		if m := markOf.FindSubmatch(b); m != nil {
			undelivered[string(m[1])] = true
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	calls := make(chan string)
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for call := range calls {
				one, failed := checkCall(ctx, v.store, call, h.acked[call], undelivered)
				mu.Lock()
				c.add(one)
				err = cmp.Or(err, failed)
				mu.Unlock()
			}
		})
	}
	for _, call := range slices.Sorted(maps.Keys(h.acked)) {
		calls <- call
	}
	close(calls)
	wg.Wait()
	return c, len(v.undelivered), err
}

func checkCall(ctx context.Context, s records.Store, call string, events []acked, undelivered map[string]bool) (c Counts, err error) {
	stored := map[string]int{}
	for e, err := range calls.Events(ctx, s, event.CallID(call)) {
		if errors.Is(err, callstate.ErrNotFound) {
			break
		}
		if err != nil {
			return c, err
		}
		c.Leaked += canaries(e.Body)
		if m := markOf.FindSubmatch(e.Body); m != nil {
			stored[string(m[1])]++
		}
	}
	status, messages, reported, waits := 0, 0, false, false
	seen := map[string]bool{}
	for _, e := range events {
		waits = waits || undelivered[e.mark]
		if seen[e.mark] {
			continue // sent and acknowledged twice
		}
		seen[e.mark] = true
		if stored[e.mark] == 0 && !undelivered[e.mark] {
			c.Lost++
		}
		status, messages = max(status, ranks[e.status]), max(messages, e.messages)
		reported = reported || e.kind == "end-of-call-report"
	}
	for _, n := range stored {
		c.Duplicated += n - 1
	}
	if waits || c.Lost > 0 {
		return c, nil // the expected state is not determined
	}
	state, err := calls.Read(ctx, s, event.CallID(call))
	if err != nil {
		return c, err
	}
	ids := map[string]bool{}
	for _, m := range state.Transcript {
		ids[m.ID] = true
	}
	if ranks[string(state.Status)] < status || state.MessageCount < messages || reported && (!state.Ended || state.Report == nil) || len(ids) != len(state.Transcript) {
		c.Regressed++
	}
	return c, nil
}

// canaries counts the canaries in b that must not be stored.
func canaries(b []byte) int {
	n := 0
	for _, word := range []string{canarySecret, canaryURL, secret} {
		if bytes.Contains(b, []byte(word)) {
			n++
		}
	}
	return n
}

// checkFiles searches files for canaries: those of the store, and the log, which
// must not hold any text of a message either.
func checkFiles(files []string, log string) (c Counts, err error) {
	for _, f := range files {
		n, err := search(f, canarySecret, canaryURL, secret)
		if err != nil {
			return c, err
		}
		c.Leaked += n
	}
	n, err := search(log, canarySecret, canaryURL, secret, canaryText)
	c.Leaked += n
	return c, err
}

// search counts how many of the words are in a file, without reading all of it
// into memory.
func search(path string, words ...string) (n int, err error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const overlap = 64
	found := map[string]bool{}
	buf, have := make([]byte, 1<<20), 0
	for {
		k, err := f.Read(buf[have:])
		have += k
		for _, w := range words {
			found[w] = found[w] || bytes.Contains(buf[:have], []byte(w))
		}
		if keep := min(have, overlap); have > keep {
			copy(buf, buf[have-keep:have])
			have = keep
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	for _, yes := range found {
		if yes {
			n++
		}
	}
	return n, nil
}

// checkTools compares replies with effects. once reports which effects must not be
// repeated.
func checkTools(r *replies, effects []backend.Effect, once func(what string) bool, deadline time.Duration) (c Counts) {
	refs, runs := map[string]bool{}, map[string]int{}
	for _, e := range effects {
		refs[e.Ref] = true
		if once(e.What) {
			runs[e.Key]++
		}
	}
	for _, n := range runs {
		if n > 1 {
			c.Duplicated++
		}
	}
	for _, all := range r.by {
		results := map[string]bool{}
		for _, a := range all {
			if ref, booked := strings.CutPrefix(a.result, "Booked as "); booked {
				results[a.result] = true
				if !refs[strings.TrimSuffix(ref, ".")] {
					c.Inconsistent++ // the reply reports an effect that is missing
				}
			}
			if deadline > 0 && (a.err != nil || !a.valid || a.latency > deadline) {
				c.Late++
			}
		}
		if len(results) > 1 {
			c.Inconsistent++
		}
	}
	return c
}
