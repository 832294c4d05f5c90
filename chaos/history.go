package main

import (
	"slices"
	"sync"
	"time"
)

// A sent is an event that was acknowledged: the promise that the checker
// holds the store to.
type sent struct {
	mark     string // tells it from all others, in its body
	kind     string
	status   string
	messages int // in the conversation that it carries
}

// A history is what the senders saw.
type history struct {
	mu     sync.Mutex
	acked  map[string][]sent // by call
	count  int               // acknowledged
	tried  int
	busy   int // answered 503: nothing was promised
	failed int // no answer, or a strange one
	odd    map[string]int
	times  []time.Duration // from when it was due until it was acknowledged
}

func newHistory() *history { return &history{acked: map[string][]sent{}, odd: map[string]int{}} }

func (h *history) add(call string, s sent, status int, err error, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried++
	switch {
	case err != nil:
		h.failed++
	case status == 200:
		h.acked[call] = append(h.acked[call], s)
		h.count++
		h.times = append(h.times, took)
	case status == 503, status == 502, status == 429: // an emulated front says 502 and 429
		h.busy++
	default:
		h.failed++
		h.odd[statusText(status)]++
	}
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// quantile returns the time within which the share q of all was answered.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(times))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// A replied is the answer to one tool call.
type replied struct {
	status int
	result string
	valid  bool // JSON with one line of text in result
	took   time.Duration
	err    error
}

// replies are the answers by request.
type replies struct {
	mu sync.Mutex
	by map[string][]replied
	n  int
}

func newReplies() *replies { return &replies{by: map[string][]replied{}} }

func (r *replies) add(request string, a replied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[request] = append(r.by[request], a)
	r.n++
}
