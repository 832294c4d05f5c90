package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/internal/fault"
)

// A gate bounds the bytes of bodies that are in memory at a time, so that a rush
// ends in 503 and not with the process. Tools, events as they are in general, and
// large events have a lane each: what is large or slow keeps out its own kind
// only. Room is had for a time only: a body that trickles in is cut off. Whose
// path or secret is wrong takes no room: their bodies are not read.
type admissionControl struct {
	p                    *core.Processor
	events, large, tools *class
	replies              *class // the tools' lane; its requests are refused as events are
}

// A lane is the room of one kind of request. Who does not find any waits for a
// little, because a sender sends once.
type class struct {
	bytes       *semaphore.Weighted
	maxBytes    int64
	slots       chan struct{} // as many requests at a time, also those that wait
	wait        time.Duration
	bodyTimeout time.Duration // for a body to come, and longer with its size
	reject      func(http.ResponseWriter)
}

const (
	// inFlight is the most bytes of bodies at a time. A body is in memory up to
	// three times: as it came, masked, and packed.
	defaultMaxInflightBytes = 64 << 20

	// eventPlaces, largePlaces and toolPlaces are the most requests at a time; each
	// costs some kilobytes whatever its body.
	eventSlots, largeSlots, toolSlots = 4096, 512, 1024

	// leastBody is what a request counts at least. Above smallBody it is large;
	// nearly all events are below 20 kB.
	minBodyBytes  = 4 << 10
	maxSmallBytes = 64 << 10

	// eventWait and toolWait are how long a request waits for room. A sender of
	// events gives up after about 20 s; a caller hears silence after 5.
	eventWait, toolWait = 5 * time.Second, time.Second

	// A body is to come within bodyTime, and a second more for each bodyRate bytes:
	// 6 MiB have 6 s. That of one that is refused is read away for so long too.
	bodyTimeout = 3 * time.Second
	minBodyRate = 2 << 20
)

func newAdmissionControl(p *core.Processor, bytes int64) *admissionControl {
	g := &admissionControl{
		p:      p,
		events: newClass(bytes/4, eventSlots, eventWait, rejectEvent),
		large:  newClass(max(bytes/2, min(bytes, int64(p.MaxBodyBytes())+1)), largeSlots, eventWait, rejectEvent),
		tools:  newClass(bytes/4, toolSlots, toolWait, rejectTool),
	}
	replies := *g.tools
	replies.reject = rejectEvent
	g.replies = &replies
	return g
}

func newClass(bytes int64, places int, wait time.Duration, busy func(http.ResponseWriter)) *class {
	bytes = max(bytes, minBodyBytes)
	return &class{semaphore.NewWeighted(bytes), bytes, make(chan struct{}, places), wait, bodyTimeout, busy}
}

// handler lets requests through to next as there is capacity.
func (g *admissionControl) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault.Mutated("unauthenticated-body-read") {
			_, _ = r.Body.Read(make([]byte, 1))
		}
		admission, r := corehttp.Admit(g.p, r)
		if r.ContentLength == 0 || !admission.ReadBody() {
			next.ServeHTTP(w, r)
			return
		}
		size := r.ContentLength
		if most := int64(g.p.MaxBodyBytes()) + 1; size < 0 || size > most {
			size = most // a larger one is read no further
		}
		l := g.classOf(admission, w, r, size)
		if l == nil {
			w.Header().Set("Connection", "close")
			rejectEvent(w)
			return
		}
		leave, ok := l.acquire(r.Context(), size)
		if !ok {
			discardBody(w, r, size)
			l.reject(w)
			return
		}
		defer leave()
		if !fault.Mutated("slow-body-allowed") {
			withReadDeadline(w, r, l.bodyTimeout+time.Duration(size)*time.Second/minBodyRate)
		}
		next.ServeHTTP(w, r)
	})
}

// prefixBytes is how much of a body is read before the request waits for
// capacity: the type of an event stands in it, unless the sender puts something
// larger before.
const prefixBytes = minBodyBytes

// laneOf returns where a request waits. What a caller waits for never waits
// behind events: the type tells, also of a tool call that comes in an envelope
// to the events' URL. An event whose type is not in the beginning of its body
// may be one, so it waits with the tool calls if it is small. It is nil if the
// beginning does not arrive in time: such a body takes no capacity at all.
func (g *admissionControl) classOf(a *core.Admission, w http.ResponseWriter, r *http.Request, size int64) *class {
	known := a.Kind() != core.KindEvent
	if !known {
		withReadDeadline(w, r, bodyTimeout)
		b := bufio.NewReaderSize(r.Body, prefixBytes)
		prefix, err := b.Peek(int(min(size, prefixBytes)))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		known = a.Peek(prefix)
		r.Body = struct {
			io.Reader
			io.Closer
		}{b, r.Body}
	}
	switch {
	case a.Kind() == core.KindToolCall:
		return g.tools
	case a.Kind() == core.KindReply, !known && size <= maxSmallBytes:
		return g.replies
	case size > maxSmallBytes:
		return g.large
	}
	return g.events
}

// promptly gives a body so long to come, and lifts the limit when it has: it
// would end the request's context too.
func withReadDeadline(w http.ResponseWriter, r *http.Request, within time.Duration) {
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(within)) != nil {
		return // no connection of our own server
	}
	r.Body = &deadlineBody{ReadCloser: r.Body, left: r.ContentLength, onEOF: func() { _ = rc.SetReadDeadline(time.Time{}) }}
}

type deadlineBody struct {
	io.ReadCloser
	left  int64 // below zero where nobody said how much
	onEOF func()
}

// Read implements io.Reader.
func (b *deadlineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err == io.EOF || b.left == 0 {
		b.onEOF()
	}
	return n, err
}

// readAway reads what the sender of a refused request still sends, and keeps
// none of it: who is cut off while it sends may never read its answer.
func discardBody(w http.ResponseWriter, r *http.Request, size int64) {
	if r.Header.Get("Expect") == "" { // else it sends nothing before it is told to
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		if n, err := io.CopyN(io.Discard, r.Body, size); n == r.ContentLength || err == io.EOF {
			return
		}
	}
	w.Header().Set("Connection", "close")
}

// enter takes room for size bytes. leave gives it back.
func (l *class) acquire(ctx context.Context, size int64) (leave func(), ok bool) {
	size = min(max(size, minBodyBytes), l.maxBytes)
	select {
	case l.slots <- struct{}{}:
	default:
		return func() {}, false
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	if fault.Mutated("unbounded-admission") {
		return func() { <-l.slots }, true
	}
	if l.bytes.Acquire(ctx, size) != nil {
		<-l.slots
		return func() {}, false
	}
	return func() { l.bytes.Release(size); <-l.slots }, true
}

// tellLater refuses an event.
func rejectEvent(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"error":"try again"}`))
}

// saySorry answers a tool's call: any other status would be silence on the
// line (docs/tools.md#reply).
func rejectTool(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"result":"I cannot do that at this moment. Please try again in a little while."}`))
}
