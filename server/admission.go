package server

import (
	"bufio"
	"bytes"
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

// An admissionControl bounds the request bytes held in memory; excess requests get
// 503 instead of exhausting memory. Tool calls, ordinary events and large events
// are a class each, so that large or slow requests only delay their own class. A
// body that arrives too slowly is cut off. The body of an unauthenticated request
// is not read and takes no memory.
type admissionControl struct {
	p                    *core.Processor
	events, large, tools *class
	replies              *class // shares the capacity of tools, and rejects as events do
}

// A class is the capacity for one kind of request. A request that finds none waits
// briefly, because a sender sends once.
type class struct {
	bytes       *semaphore.Weighted
	maxBytes    int64
	slots       chan struct{} // one for each request, including those that wait
	wait        time.Duration
	bodyTimeout time.Duration // for a body to arrive, plus a second for each minBodyRate bytes
	reject      func(http.ResponseWriter)
}

const (
	// defaultMaxInflightBytes bounds the bodies in memory. A body is in memory up
	// to three times: as received, redacted, and encoded.
	defaultMaxInflightBytes = 64 << 20

	// eventSlots, largeSlots and toolSlots bound the concurrent requests; each
	// costs some kilobytes whatever its body.
	eventSlots, largeSlots, toolSlots = 4096, 512, 1024

	// minBodyBytes is what a request counts at least. Above maxSmallBytes it is
	// large; nearly all events are below 20 kB.
	minBodyBytes  = 4 << 10
	maxSmallBytes = 64 << 10

	// eventWait and toolWait are how long a request waits for capacity. A sender of
	// events gives up after about 20 s; a caller hears silence after 5.
	eventWait, toolWait = 5 * time.Second, time.Second

	// A body must arrive within bodyTimeout, plus a second for each minBodyRate
	// bytes: 6 MiB have 6 s. The body of a refused request is discarded for
	// bodyTimeout.
	bodyTimeout = 3 * time.Second
	minBodyRate = 2 << 20
)

func newAdmissionControl(p *core.Processor, bytes int64) *admissionControl {
	c := &admissionControl{
		p:      p,
		events: newClass(bytes/4, eventSlots, eventWait, rejectEvent),
		large:  newClass(max(bytes/2, min(bytes, int64(p.MaxBodyBytes())+1)), largeSlots, eventWait, rejectEvent),
		tools:  newClass(bytes/4, toolSlots, toolWait, rejectTool),
	}
	replies := *c.tools
	replies.reject = rejectEvent
	c.replies = &replies
	return c
}

func newClass(bytes int64, slots int, wait time.Duration, reject func(http.ResponseWriter)) *class {
	bytes = max(bytes, minBodyBytes)
	return &class{semaphore.NewWeighted(bytes), bytes, make(chan struct{}, slots), wait, bodyTimeout, reject}
}

// handler passes requests to next as capacity allows.
func (c *admissionControl) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault.Mutated("unauthenticated-body-read") {
			_, _ = r.Body.Read(make([]byte, 1))
		}
		admission, r := corehttp.Admit(c.p, r)
		if r.ContentLength == 0 || !admission.ReadBody() {
			next.ServeHTTP(w, r)
			return
		}
		limit := int64(c.p.MaxBodyBytes()) + 1 // a larger one is read no further
		size := r.ContentLength
		if size < 0 || size > limit {
			size = limit
		}
		class := c.classOf(admission, w, r, size)
		if class == nil {
			w.Header().Set("Connection", "close")
			rejectEvent(w)
			return
		}
		release, ok := class.acquire(r.Context(), charge(r, limit))
		if !ok {
			discardBody(w, r, size)
			class.reject(w)
			return
		}
		defer release()
		withReadDeadline(w, r, class.bodyTimeout+time.Duration(size)*time.Second/minBodyRate)
		if r.ContentLength < 0 {
			release, err := class.readBody(r, limit)
			defer release()
			if errors.Is(err, errNoCapacity) || errors.Is(err, os.ErrDeadlineExceeded) {
				w.Header().Set("Connection", "close")
				class.reject(w)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// packedFactor is how much larger a compressed body counts than it is, because it is
// unpacked: JSON of events is seldom smaller than a sixteenth.
const packedFactor = 16

// charge is what a request counts when it is admitted. A body of unknown length
// counts as its bytes come: see readBody.
func charge(r *http.Request, limit int64) int64 {
	size := min(max(r.ContentLength, 0), limit)
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		size = min(size*packedFactor, limit)
	}
	return size
}

var errNoCapacity = errors.New("server: no capacity for the rest of a body")

// readBody reads a body of unknown length, up to limit bytes, and gives the request
// one of known length. It acquires capacity for what comes beyond minBodyBytes, by
// doubling; release returns that. After an error the body can be read no further.
func (c *class) readBody(r *http.Request, limit int64) (release func(), err error) {
	held, extra := int64(minBodyBytes), int64(0)
	release = func() { c.bytes.Release(extra) }
	body := make([]byte, 0, min(held, limit))
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF || int64(len(body)) == limit {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return release, nil
		}
		if err != nil {
			return release, err
		}
		if len(body) < cap(body) {
			continue
		}
		size := min(2*int64(cap(body)), limit)
		if more := min(size, c.maxBytes) - held; more > 0 {
			if !c.acquireBytes(r.Context(), more) {
				return release, errNoCapacity
			}
			held, extra = held+more, extra+more
		}
		body = append(make([]byte, 0, size), body...)
	}
}

// prefixBytes is how much of a body is read before the request waits for
// capacity: the type of an event stands in it, unless the sender puts something
// larger before.
const prefixBytes = minBodyBytes

// classOf returns the class of a request. A request that a caller waits for never
// waits behind events: the type decides, also for a tool call in an envelope that
// is posted to the events' URL. An event whose type is not in the beginning of
// its body may be one, so it waits with the tool calls if it is small. The result
// is nil if the beginning does not arrive in time: such a body takes no capacity.
func (c *admissionControl) classOf(a *core.Admission, w http.ResponseWriter, r *http.Request, size int64) *class {
	// A body that is too large is refused by its length, and not waited for.
	known := a.Kind() != core.KindEvent || r.ContentLength > int64(c.p.MaxBodyBytes())
	if !known {
		withReadDeadline(w, r, bodyTimeout)
		b := bufio.NewReaderSize(r.Body, prefixBytes)
		prefix, err := b.Peek(int(min(size, prefixBytes)))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		known = a.Peek(prefix)
		if r.ContentLength < 0 && errors.Is(err, io.EOF) {
			size = int64(len(prefix)) // it has come to its end
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{b, r.Body}
	}
	switch {
	case a.Kind() == core.KindToolCall:
		return c.tools
	case a.Kind() == core.KindReply, !known && size <= maxSmallBytes:
		return c.replies
	case size > maxSmallBytes:
		return c.large
	}
	return c.events
}

// withReadDeadline limits the time for a body to arrive, and removes the limit
// once it has: the deadline would cancel the request's context too.
func withReadDeadline(w http.ResponseWriter, r *http.Request, within time.Duration) {
	rc := http.NewResponseController(w)
	if fault.Mutated("slow-body-allowed") || rc.SetReadDeadline(time.Now().Add(within)) != nil {
		return // not a connection of this server
	}
	r.Body = &deadlineBody{ReadCloser: r.Body, left: r.ContentLength, onEOF: func() { _ = rc.SetReadDeadline(time.Time{}) }}
}

type deadlineBody struct {
	io.ReadCloser
	left  int64 // negative if the length is unknown
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

// discardBody reads and discards the body of a refused request: a client that is
// cut off while it sends may never read the response.
func discardBody(w http.ResponseWriter, r *http.Request, size int64) {
	if r.Header.Get("Expect") == "" { // otherwise the client sends nothing until it is asked to continue
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		if n, err := io.CopyN(io.Discard, r.Body, size); n == r.ContentLength || err == io.EOF {
			return
		}
	}
	w.Header().Set("Connection", "close")
}

// acquire reserves capacity for size bytes; release returns it.
func (c *class) acquire(ctx context.Context, size int64) (release func(), ok bool) {
	size = min(max(size, minBodyBytes), c.maxBytes)
	select {
	case c.slots <- struct{}{}:
	default:
		return func() {}, false
	}
	if fault.Mutated("unbounded-admission") {
		return func() { <-c.slots }, true
	}
	if !c.acquireBytes(ctx, size) {
		<-c.slots
		return func() {}, false
	}
	return func() { c.bytes.Release(size); <-c.slots }, true
}

// acquireBytes waits for capacity as long as a request of the class may.
func (c *class) acquireBytes(ctx context.Context, size int64) bool {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	return c.bytes.Acquire(ctx, size) == nil
}

// rejectEvent refuses an event.
func rejectEvent(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"error":"try again"}`))
}

// rejectTool answers a tool call: any other status is silence on the line
// (docs/tools.md#reply).
func rejectTool(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"result":"I cannot do that at this moment. Please try again in a little while."}`))
}
