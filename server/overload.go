package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
)

// A gate bounds the bytes of bodies that are in memory at a time, so that a rush
// ends in 503 and not with the process. A quarter is for tools alone, because a
// caller is on the line. Whose path or secret is wrong takes no room: their
// bodies are not read.
type gate struct {
	p             *core.Processor
	events, tools *lane
}

// A lane is the room of one kind of request. Who does not find any waits for a
// little, because a sender sends once.
type lane struct {
	room   *semaphore.Weighted
	bytes  int64
	places chan struct{} // as many requests at a time, also those that wait
	wait   time.Duration
	busy   func(http.ResponseWriter)
}

const (
	// inFlight is the most bytes of bodies at a time. A body is in memory up to
	// three times: as it came, masked, and packed.
	inFlight = 64 << 20

	// eventPlaces and toolPlaces are the most requests at a time; each costs some
	// kilobytes whatever its body.
	eventPlaces, toolPlaces = 4096, 1024

	// leastBody is what a request counts at least.
	leastBody = 4 << 10

	// eventWait and toolWait are how long a request waits for room. A sender of
	// events gives up after about 20 s; a caller hears silence after 5.
	eventWait, toolWait = 5 * time.Second, time.Second
)

func newGate(p *core.Processor, bytes int64) *gate {
	tools := max(bytes/4, leastBody)
	return &gate{
		p:      p,
		events: newLane(max(bytes-tools, leastBody), eventPlaces, eventWait, tellLater),
		tools:  newLane(tools, toolPlaces, toolWait, saySorry),
	}
}

func newLane(bytes int64, places int, wait time.Duration, busy func(http.ResponseWriter)) *lane {
	return &lane{semaphore.NewWeighted(bytes), bytes, make(chan struct{}, places), wait, busy}
}

// handler lets requests through to next as there is room.
func (g *gate) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mutated("strangers are read") {
			_, _ = r.Body.Read(make([]byte, 1))
		}
		if r.ContentLength == 0 || !g.p.WantsBody(corehttp.Head(r)) {
			next.ServeHTTP(w, r)
			return
		}
		l := g.events
		if strings.HasPrefix(strings.TrimLeft(r.URL.Path, "/"), "tools/") {
			l = g.tools
		}
		size := r.ContentLength
		if most := int64(g.p.MaxBody()) + 1; size < 0 || size > most {
			size = most // one that is too large is read no further
		}
		leave, ok := l.enter(r.Context(), size)
		if !ok {
			l.busy(w)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// enter takes room for size bytes. leave gives it back.
func (l *lane) enter(ctx context.Context, size int64) (leave func(), ok bool) {
	size = min(max(size, leastBody), l.bytes)
	select {
	case l.places <- struct{}{}:
	default:
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	if mutated("no room is room") {
		return func() { <-l.places }, true
	}
	if l.room.Acquire(ctx, size) != nil {
		<-l.places
		return nil, false
	}
	return func() { l.room.Release(size); <-l.places }, true
}

// tellLater refuses an event. The body is not read, so the connection ends.
func tellLater(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"error":"try again"}`))
}

// saySorry answers a tool's call: any other status would be silence on the
// line (docs/tools.md#reply).
func saySorry(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close")
	_, _ = w.Write([]byte(`{"result":"I cannot do that at this moment. Please try again in a little while."}`))
}
