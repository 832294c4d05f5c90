// Package vercel runs a [core.Processor] on Vercel's Go runtime, with Postgres.
// Calls, tool records and accepted events are in one database, behind a pooler.
//
// As a server, which is what vercel.json at the root deploys:
//
//	func main() { vercel.Main(app.New()) }
//
// As a function in a file of the folder api:
//
//	var handle = vercel.Handler(app.New())
//
//	func Handler(w http.ResponseWriter, r *http.Request) { handle(w, r) }
//
// Vercel freezes an instance once it has replied, so nothing is left running
// then. An event is in the database before it is answered 200; the request that
// brought it delivers what waits, for up to two seconds, before it replies. Tool
// calls do not wait for that. What is left is delivered by the next event, and
// by a cron that comes every minute with a secret of its own, at [CronPath].
package vercel

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/sqldb"
)

// CronPath is where vercel.json sends the cron: a GET with the header
// "Authorization: Bearer" and the value of CRON_SECRET.
const CronPath = "/cron"

// A backlog is what was accepted and is not delivered yet. inbox is one.
type backlog interface {
	Prepare(ctx context.Context) error
	Drain(ctx context.Context, begin time.Duration, limit int) (sqldb.DrainResult, error)
	Maintain(ctx context.Context) error
	SweepExpired(ctx context.Context) error
}

// adapter answers the requests of an instance. It is safe for concurrent use
// and starts nothing that outlives a request.
type adapter struct {
	p    *core.Processor
	http http.Handler
	in   backlog
	cron [sha256.Size]byte // of the header that the cron sends
	log  *slog.Logger
}

func newAdapter(p *core.Processor, in backlog, cronSecret string, log *slog.Logger) *adapter {
	return &adapter{p: p, http: corehttp.Handler(p), in: in, cron: sha256.Sum256([]byte("Bearer " + cronSecret)), log: log}
}

// ServeHTTP answers one request before the platform ends it.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil { // its text may quote a payload
			a.log.Error("request", "state", "panic")
			writeError(w, http.StatusInternalServerError, "internal error")
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), Duration-margin)
	defer cancel()
	if r.ContentLength > MaxBody {
		a.log.Warn("request refused", "reason", "over Vercel's 4.5 MB", "bytes", r.ContentLength, "status", 413)
	}
	if r.URL.Path != CronPath {
		a.serve(ctx, w, r)
		return
	}
	a.serveCron(ctx, w, r)
}

// serve hands a request to the core, and delivers what waits before the reply
// to an event.
func (a *adapter) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if err := a.prepare(ctx, r.URL.Path); err != nil {
		// The core answers all the same: it tells strangers nothing, says a
		// sentence to who calls a tool, and 503 to who sends an event.
		a.log.Error("database", "reason", err)
	}
	var accepted atomic.Bool
	r = r.WithContext(context.WithValue(ctx, acceptedKey{}, &accepted))
	r.RemoteAddr = clientAddress(r.Header)
	r.URL = rebuilt(r)
	a.http.ServeHTTP(&held{ResponseWriter: w, before: func() {
		if accepted.Load() {
			a.drain(ctx)
		}
	}}, r)
}

func (a *adapter) prepare(ctx context.Context, path string) error {
	if strings.HasPrefix(path, "/tools/") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, toolPrepare)
		defer cancel()
	}
	return a.in.Prepare(ctx)
}

// drain delivers what waits within the budget of an event's reply. It ends no
// reply: what failed is in the database, and comes again.
func (a *adapter) drain(ctx context.Context) {
	// The sender may hang up once it has waited long enough; the work is done
	// all the same, because nobody may do it for a minute.
	left := drainCut
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	defer cancel()
	if _, err := a.in.Drain(ctx, drainTime, drainLimit); err != nil {
		a.log.Error("drain", "reason", err)
	}
}

// serveCron delivers all that waits, and ends the calls that are over without a
// report.
func (a *adapter) serveCron(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	sent := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	switch {
	case subtle.ConstantTimeCompare(sent[:], a.cron[:]) != 1:
		a.log.Warn("cron refused", "status", 401)
		writeError(w, http.StatusUnauthorized, "unauthorized")
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET")
		writeError(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if err := a.in.Prepare(ctx); err != nil {
		a.log.Error("database", "reason", err)
		writeError(w, http.StatusServiceUnavailable, "unavailable")
		return
	}
	var drained sqldb.DrainResult
	err := func() error {
		ctx, cancel := context.WithTimeout(ctx, cronCut)
		defer cancel()
		if err := a.in.Maintain(ctx); err != nil {
			return err
		}
		var err error
		drained, err = a.in.Drain(ctx, cronTime, cronLimit)
		return err
	}()
	swept := errors.Join(a.p.Sweep(ctx), a.in.SweepExpired(ctx))
	a.log.Info("cron", "delivered", drained.Delivered, "failed", drained.Failed, "empty", drained.Empty)
	if err != nil {
		a.log.Error("drain", "reason", err)
	}
	if swept != nil { // its text may be a handler's
		a.log.Error("sweep", "reason", "it is not complete; the next one looks again")
	}
	if errors.Join(err, swept) != nil {
		writeError(w, http.StatusInternalServerError, "not complete")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"delivered":%d,"failed":%d,"empty":%t}`, drained.Delivered, drained.Failed, drained.Empty)
}

func writeError(w http.ResponseWriter, status int, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, what)
}

// clientAddress is who sent the request. Vercel sets the header itself and
// overwrites what a sender puts there; what does not read as an address is
// nobody's.
func clientAddress(h http.Header) string {
	if ip := net.ParseIP(strings.TrimSpace(h.Get("X-Real-Ip"))); ip != nil {
		return ip.String()
	}
	return ""
}

// held does what has to be done before the first byte of a reply.
type held struct {
	http.ResponseWriter
	before func()
	wrote  bool
}

func (h *held) WriteHeader(status int) {
	if !h.wrote {
		h.wrote = true
		h.before()
	}
	h.ResponseWriter.WriteHeader(status)
}

func (h *held) Write(b []byte) (int, error) {
	if !h.wrote {
		h.WriteHeader(http.StatusOK)
	}
	return h.ResponseWriter.Write(b)
}

// rebuilt is the URL as it was sent. Vercel's bridge to a function parses it
// as a client's, where what follows two slashes is a host.
func rebuilt(r *http.Request) *url.URL {
	if r.URL.Host == "" {
		return r.URL
	}
	u := *r.URL
	path := "//" + u.Host + u.EscapedPath()
	u.Scheme, u.User, u.Host, u.RawPath, u.Path = "", nil, "", path, path
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
	return &u
}
