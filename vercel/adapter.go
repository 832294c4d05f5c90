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
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/sqldb"
)

// CronPath is where vercel.json sends the cron: a GET with the header
// "Authorization: Bearer" and the value of CRON_SECRET.
const CronPath = "/cron"

// A backlog is the events that are accepted and not delivered yet. inbox is one.
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
	all  http.Handler // ours and the backend's own routes

	outage errcode.Outage // of the database and what needs it
}

// newAdapter returns an adapter; routes may be nil.
func newAdapter(p *core.Processor, in backlog, cronSecret string, log *slog.Logger, routes http.Handler) *adapter {
	a := &adapter{p: p, http: corehttp.Handler(p), in: in, cron: sha256.Sum256([]byte("Bearer " + cronSecret)), log: log.With("platform", "vercel")}
	a.all = corehttp.WithRoutes(http.HandlerFunc(a.serveOurs), routes, p.MaxBodyBytes(), a.log)
	return a
}

// ServeHTTP answers one request before the platform ends it.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil { // its text may quote a payload
			a.log.Error("request panicked")
			writeError(w, http.StatusInternalServerError, "internal error")
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), MaxDuration-margin)
	defer cancel()
	if r.ContentLength > MaxBodyBytes {
		a.log.Warn("request rejected", "reason", "over Vercel's 4.5 MB", "bytes", r.ContentLength, "status", 413)
	}
	r = r.WithContext(ctx)
	r.RemoteAddr = clientAddress(r.Header)
	r.URL = originalURL(r)
	a.all.ServeHTTP(w, r)
}

// serveOurs answers a request to a path that is not the backend's own.
func (a *adapter) serveOurs(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != CronPath {
		a.serve(r.Context(), w, r)
		return
	}
	a.serveCron(r.Context(), w, r)
}

// serve handles a request, and delivers what is pending before the reply to an
// event.
func (a *adapter) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	var accepted atomic.Bool
	r = r.WithContext(context.WithValue(ctx, acceptedKey{}, &accepted))
	admission, r := corehttp.Admit(a.p, r)
	if err := a.prepare(ctx, admission.Kind()); err != nil {
		// Core answers anyway: unauthenticated clients get a constant, tool calls a
		// sentence, events 503.
		a.fail(ctx, "database is unavailable", err)
	}
	a.http.ServeHTTP(&deferredWriter{ResponseWriter: w, before: func() {
		if accepted.Load() {
			a.drain(ctx)
		}
	}}, r)
}

func (a *adapter) prepare(ctx context.Context, kind core.Kind) error {
	if kind == core.KindToolCall {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, toolPrepareTimeout)
		defer cancel()
	}
	return a.in.Prepare(ctx)
}

// drain delivers what is pending, within the budget of an event's reply. It
// never fails the reply: what failed is in the database, and is redelivered.
func (a *adapter) drain(ctx context.Context) {
	// The sender may hang up once it has waited long enough; the work is done
	// anyway, because the next request may be a minute away.
	left := drainDeadline
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	defer cancel()
	if _, err := a.in.Drain(ctx, drainBudget, drainLimit); err != nil {
		a.fail(ctx, "drain failed", err)
	}
}

// fail logs what is tried again with the next request or cron. err is one of sqldb's,
// whose texts hold nothing that is stored.
func (a *adapter) fail(ctx context.Context, what string, err error) {
	a.log.Log(ctx, a.level(err), what, "reason", err)
}

func (a *adapter) level(err error) slog.Level {
	return a.outage.Level(time.Now(), err, records.ErrStale, core.ErrHandlerFailed)
}

// serveCron delivers all that is pending, and ends calls whose report is overdue.
func (a *adapter) serveCron(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	sent := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	switch {
	case subtle.ConstantTimeCompare(sent[:], a.cron[:]) != 1:
		a.log.Warn("cron rejected", "status", 401)
		writeError(w, http.StatusUnauthorized, "unauthorized")
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET")
		writeError(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if err := a.in.Prepare(ctx); err != nil {
		a.fail(ctx, "database is unavailable", err)
		writeError(w, http.StatusServiceUnavailable, "unavailable")
		return
	}
	var drained sqldb.DrainResult
	err := func() error {
		ctx, cancel := context.WithTimeout(ctx, cronDeadline)
		defer cancel()
		if err := a.in.Maintain(ctx); err != nil {
			return err
		}
		var err error
		drained, err = a.in.Drain(ctx, cronBudget, cronLimit)
		return err
	}()
	swept := errors.Join(a.p.Sweep(ctx), a.in.SweepExpired(ctx))
	a.log.Info("cron done", "delivered", drained.Delivered, "failed", drained.Failed, "empty", drained.Empty)
	if err != nil {
		a.fail(ctx, "drain failed", err)
	}
	if swept != nil { // its text may be a handler's
		a.log.Log(ctx, a.level(swept), "sweep failed", "reason", "incomplete; the next one continues")
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

// clientAddress returns the address of the client, or "". Vercel sets the header
// itself and overwrites what a client puts there.
func clientAddress(h http.Header) string {
	if ip := net.ParseIP(strings.TrimSpace(h.Get("X-Real-Ip"))); ip != nil {
		return ip.String()
	}
	return ""
}

// A deferredWriter calls before ahead of the first byte of a reply.
type deferredWriter struct {
	http.ResponseWriter
	before func()
	wrote  bool
}

func (w *deferredWriter) WriteHeader(status int) {
	if !w.wrote {
		w.wrote = true
		w.before()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *deferredWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// originalURL returns the URL as it was sent. Vercel's bridge to a function
// parses it as a client's, in which what follows two slashes is a host.
func originalURL(r *http.Request) *url.URL {
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
