package main

import (
	"slices"
	"sync"
	"time"
)

// An acked is an event that was acknowledged, so the store must have it.
type acked struct {
	mark     string // identifies it, in its body
	kind     string
	status   string
	messages int // in the conversation that it carries
}

// A history is what the senders observed.
type history struct {
	mu         sync.Mutex
	acked      map[string][]acked // by call
	count      int                // acknowledged
	tried      int
	busy       int // answered 503, so nothing was promised
	failed     int // no reply, or an unexpected one
	unexpected map[string]int
	times      []time.Duration // from the scheduled time to the acknowledgment
}

func newHistory() *history {
	return &history{acked: map[string][]acked{}, unexpected: map[string]int{}}
}

func (h *history) add(call string, e acked, status int, err error, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried++
	switch {
	case err != nil:
		h.failed++
	case status == 200:
		h.acked[call] = append(h.acked[call], e)
		h.count++
		h.times = append(h.times, took)
	case status == 503, status == 502, status == 429: // the emulated triggers of AWS reply 502 and 429
		h.busy++
	default:
		h.failed++
		h.unexpected[statusText(status)]++
	}
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// quantile returns the q-quantile of times.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(times))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// A toolReply is the reply to one tool call.
type toolReply struct {
	status  int
	result  string
	valid   bool // JSON with one line of text in result
	latency time.Duration
	err     error
}

// replies are the tool replies by request.
type replies struct {
	mu sync.Mutex
	by map[string][]toolReply
	n  int
}

func newReplies() *replies { return &replies{by: map[string][]toolReply{}} }

func (r *replies) add(request string, a toolReply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[request] = append(r.by[request], a)
	r.n++
}
