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

// Counts are what the checker found. Each has to be zero.
type Counts struct {
	Lost      int `json:"lost"`      // acknowledged, and kept nowhere
	Twice     int `json:"twice"`     // executed more than once, or an event that counts twice in its call
	Regressed int `json:"regressed"` // calls that know less than an event that they took
	Unequal   int `json:"unequal"`   // requests with two different results, or one that nothing stands behind
	Late      int `json:"late"`      // replies after the deadline, or none, or not well formed
	Leaked    int `json:"leaked"`    // canaries found in what is stored or logged
	Damaged   int `json:"damaged"`   // stores that are not whole
	Unsynced  int `json:"unsynced"`  // acknowledged before the disk had it
}

func (c *Counts) add(o Counts) {
	c.Lost += o.Lost
	c.Twice += o.Twice
	c.Regressed += o.Regressed
	c.Unequal += o.Unequal
	c.Late += o.Late
	c.Leaked += o.Leaked
	c.Damaged += o.Damaged
	c.Unsynced += o.Unsynced
}

func (c Counts) zero() bool { return c == Counts{} }

// String returns all counts on one line.
func (c Counts) String() string {
	return fmt.Sprintf("lost %d, twice %d, regressed %d, unequal replies %d, late replies %d, leaked %d, damaged %d, unsynced %d",
		c.Lost, c.Twice, c.Regressed, c.Unequal, c.Late, c.Leaked, c.Damaged, c.Unsynced)
}

var markOf = regexp.MustCompile(`"chaos":"([^"]+)"`)

// ranks are the statuses that the senders send, in their order. The checker
// has its own list, so that a mistake in the program's does not hide itself.
var ranks = map[string]int{"initiated": 1, "queued": 2, "ongoing": 3, "finished": 4}

// checkEvents holds what is kept against what was acknowledged.
func checkEvents(ctx context.Context, v *view, h *history) (c Counts, waiting int, err error) {
	if err := v.check(); err != nil {
		c.Damaged++
	}
	kept := map[string]bool{}
	for _, b := range v.kept {
		c.Leaked += canaries(b)
		if m := markOf.FindSubmatch(b); m != nil {
			kept[string(m[1])] = true
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	calls := make(chan string)
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for call := range calls {
				one, failed := checkCall(ctx, v.store, call, h.acked[call], kept)
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
	return c, len(v.kept), err
}

func checkCall(ctx context.Context, s records.Store, call string, acked []sent, kept map[string]bool) (c Counts, err error) {
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
	for _, e := range acked {
		waits = waits || kept[e.mark]
		if seen[e.mark] {
			continue // sent twice, acknowledged twice
		}
		seen[e.mark] = true
		if stored[e.mark] == 0 && !kept[e.mark] {
			c.Lost++
		}
		status, messages = max(status, ranks[e.status]), max(messages, e.messages)
		reported = reported || e.kind == "end-of-call-report"
	}
	for _, n := range stored {
		c.Twice += n - 1
	}
	if waits || c.Lost > 0 {
		return c, nil // what the call should know is not decided
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

// canaries counts what must not be stored.
func canaries(b []byte) int {
	n := 0
	for _, word := range []string{canarySecret, canaryURL, secret} {
		if bytes.Contains(b, []byte(word)) {
			n++
		}
	}
	return n
}

// checkFiles looks for canaries in the bytes of files: those of the store, and
// logs, which may hold nothing of what was said either.
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

// search counts the words in a file that are there, without having all of it in
// memory.
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

// checkTools holds replies against effects. once tells which requests may have
// one effect only.
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
			c.Twice++
		}
	}
	for _, all := range r.by {
		results := map[string]bool{}
		for _, a := range all {
			if ref, booked := strings.CutPrefix(a.result, "Booked as "); booked {
				results[a.result] = true
				if !refs[strings.TrimSuffix(ref, ".")] {
					c.Unequal++ // it says what was never done
				}
			}
			if deadline > 0 && (a.err != nil || !a.valid || a.took > deadline) {
				c.Late++
			}
		}
		if len(results) > 1 {
			c.Unequal++
		}
	}
	return c
}
