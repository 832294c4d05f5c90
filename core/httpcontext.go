package core

import (
	"context"
	"crypto/sha256"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// outgoing is what a context carries for requests to other systems.
type outgoing struct {
	transport   HTTPTransport
	traceparent string // of the request that is being answered
}

type outgoingKey struct{}

// WithHTTP returns a context in which [HTTP] uses a transport: for tests of a tool's
// function, and for programs of one's own.
func WithHTTP(ctx context.Context, t HTTPTransport) context.Context {
	return context.WithValue(ctx, outgoingKey{}, &outgoing{transport: t})
}

// withHTTP returns the context of a request or a delivery.
func (p *Processor) withHTTP(ctx context.Context, traceparent string) context.Context {
	if !isTraceparent(traceparent) {
		traceparent = ""
	}
	return context.WithValue(ctx, outgoingKey{}, &outgoing{p.on.HTTP, traceparent})
}

// isTraceparent reports whether a header is one of W3C Trace Context, in any version.
func isTraceparent(s string) bool {
	const digits = "0123456789abcdef"
	parts := strings.Split(s, "-")
	if len(s) > 128 || len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return false
	}
	return strings.Trim(strings.Join(parts, ""), digits) == ""
}

// complete returns a request with its method, its body and the headers that are
// handed on.
func (o *outgoing) complete(ctx context.Context, r HTTPRequest) (HTTPRequest, error) {
	r.Header = maps.Clone(r.Header)
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	if r.JSON != nil {
		body, err := json.Marshal(r.JSON)
		if err != nil {
			return r, err
		}
		r.Body, r.JSON = body, nil
		setDefault(r.Header, "Content-Type", "application/json")
	}
	if r.Method = strings.ToUpper(r.Method); r.Method == "" {
		r.Method = "GET"
		if r.Body != nil {
			r.Method = "POST"
		}
	}
	setDefault(r.Header, "Traceparent", o.traceparent)
	if r.Method != "GET" && r.Method != "HEAD" {
		setDefault(r.Header, "Idempotency-Key", keyFor(ctx, r))
	}
	return r, nil
}

// setDefault sets a header that is not set in any spelling.
func setDefault(h map[string]string, name, value string) {
	for have := range h {
		if strings.EqualFold(have, name) {
			return
		}
	}
	if value != "" {
		h[name] = value
	}
}

// runKeys remembers the requests of one run of a tool that change something, so
// that each of them has its own key, and the same one when it is made again.
type runKeys struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]int // counted from 1
}

type runKeysKey struct{}

func withRunKeys(ctx context.Context) context.Context {
	return context.WithValue(ctx, runKeysKey{}, &runKeys{seen: map[[sha256.Size]byte]int{}})
}

// keyFor returns the idempotency key of a request in a run, "" outside of one.
func keyFor(ctx context.Context, r HTTPRequest) string {
	inv, _ := InvocationFromContext(ctx)
	keys, ok := ctx.Value(runKeysKey{}).(*runKeys)
	if !ok || inv.IdempotencyKey == "" {
		return inv.IdempotencyKey
	}
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL} {
		h.Write([]byte(part + "\n"))
	}
	h.Write(r.Body)
	keys.mu.Lock()
	defer keys.mu.Unlock()
	digest := [sha256.Size]byte(h.Sum(nil))
	if keys.seen[digest] == 0 {
		keys.seen[digest] = len(keys.seen) + 1
	}
	if n := keys.seen[digest]; n > 1 {
		return inv.IdempotencyKey + "-" + strconv.Itoa(n)
	}
	return inv.IdempotencyKey
}
