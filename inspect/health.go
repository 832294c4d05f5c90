package inspect

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/calls"

	"github.com/serverurl/serverurl/core"
)

const (
	maxPending     = 1000
	maxDeadLetters = 100
	maxQuarantine  = 50
	maxAudit       = 20

	// auditAge is how far back the page reads the audit log.
	auditAge = 30 * 24 * time.Hour
)

// healthView is the page about the backend itself.
type healthView struct {
	frame
	Flash        string // what the last button did
	HasInbox     bool
	Pending      int
	MaxPending   int
	PendingError bool
	DeadLetters  []core.DeadLetter
	StoreMs      float64
	StoreOK      bool
	Calls, Open  int
	Requests     int
	Dropped      int64
	Quarantine   []calls.QuarantinedBody
	Audit        []calls.AuditEntry
	CanSweep     bool
	CanRetry     bool // what is in quarantine
	Uptime       time.Duration
	Polled       time.Time
}

// flashes are what the buttons of the page did, by the parameter of its address.
var flashes = map[string]string{
	"redrive": "The event is delivered again. If that fails, it will be listed here again.",
	"sweep":   "The sweep has checked every open call.",
	"failed":  "That failed. Nothing was changed.",

	"retry":      "The body was accepted as an event, and is delivered.",
	"delete":     "The body was deleted.",
	"unreadable": "This version cannot decode the body either. It stays in quarantine.",
}

func (p *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := healthView{
		frame: p.frame(r, "Health", "health"), Flash: flashes[r.URL.Query().Get("did")], MaxPending: maxPending,
		HasInbox: p.o.Pending != nil && p.o.DeadLetters != nil, CanSweep: p.o.Processor != nil && !p.o.ReadOnly, CanRetry: p.o.Inbox != nil && !p.o.ReadOnly, Uptime: time.Since(p.started),
	}
	start := time.Now()
	_, err := p.store.Get(ctx, "health/ready")
	v.StoreMs, v.StoreOK = ms(time.Since(start)), err == nil
	if open, _, err := calls.ListUnfinished(ctx, p.store, "", 1000); err == nil {
		v.Open = len(open)
	}
	v.Quarantine, _ = calls.ListQuarantine(ctx, p.store, "", maxQuarantine)
	v.Audit = p.recentAudit(ctx)
	if v.HasInbox {
		v.Pending, err = p.o.Pending(ctx, maxPending)
		v.PendingError = err != nil
		v.DeadLetters, _ = p.o.DeadLetters.List(ctx, maxDeadLetters)
	}
	if p.o.Recorder != nil {
		v.Dropped = p.o.Recorder.Dropped()
	}
	p.index.mu.RLock()
	v.Calls, v.Requests, v.Polled = len(p.index.rows), len(p.index.requests), p.index.polled
	p.index.mu.RUnlock()
	p.render(w, r, "health", v)
}

// recentAudit returns the newest entries of the audit log, newest first. The
// log itself can only be read forwards.
func (p *Server) recentAudit(ctx context.Context) []calls.AuditEntry {
	var all []calls.AuditEntry
	after := calls.AuditPosition(time.Now().Add(-auditAge))
	for {
		some, next, err := calls.ReadAudit(ctx, p.store, after, 500)
		if err != nil {
			break
		}
		all = append(all, some...)
		all = all[max(0, len(all)-maxAudit):]
		if after = next; next == "" {
			break
		}
	}
	slices.Reverse(all)
	return all
}

func (p *Server) redrive(w http.ResponseWriter, r *http.Request) {
	if p.o.Inbox == nil || p.o.DeadLetters == nil || p.o.ReadOnly {
		redirectToHealth(w, r, "failed")
		return
	}
	if _, err := core.Redrive(r.Context(), p.store, p.o.Inbox, p.o.DeadLetters, r.FormValue("id"), actor(r)); err != nil {
		p.o.Logger.Warn("dead letter redrive failed", "remote", r.RemoteAddr)
		redirectToHealth(w, r, "failed")
		return
	}
	p.o.Logger.Info("dead letter redriven", "remote", r.RemoteAddr)
	redirectToHealth(w, r, "redrive")
}

func (p *Server) sweep(w http.ResponseWriter, r *http.Request) {
	if p.o.Processor == nil || p.o.ReadOnly || p.o.Processor.Sweep(r.Context()) != nil {
		redirectToHealth(w, r, "failed")
		return
	}
	redirectToHealth(w, r, "sweep")
}

func redirectToHealth(w http.ResponseWriter, r *http.Request, did string) {
	http.Redirect(w, r, "/health?did="+did, http.StatusSeeOther)
}
