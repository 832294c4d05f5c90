package inspect

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core"
)

// healthView is what the page of health shows.
type healthView struct {
	frame
	Waiting     int
	MostWaiting int
	WaitingErr  bool
	Dead        []core.DeadLetter
	HasInbox    bool
	StoreMs     float64
	StoreOK     bool
	Calls, Open int
	Requests    int
	Dropped     int64
	Quarantine  []core.Quarantined
	Audits      []core.Audit
	CanSweep    bool
	Up          time.Duration
	Polled      time.Time
	Did         string
	Playing     int
}

const (
	mostWaiting = 1000
	mostDead    = 100
	mostAudit   = 20
	auditAge    = 30 * 24 * time.Hour // older entries are only in the audit log itself
)

func (p *Page) health(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := healthView{frame: p.frame(r, "Health", "health"), MostWaiting: mostWaiting, HasInbox: p.o.Pending != nil && p.o.DeadLetters != nil, Up: time.Since(p.started),
		CanSweep: p.o.Processor != nil && !p.o.ReadOnly}
	switch r.URL.Query().Get("did") {
	case "redrive":
		v.Did = "The event is delivered once more. If that fails, it is listed here again."
	case "sweep":
		v.Did = "The sweep has looked at every call that goes on."
	case "failed":
		v.Did = "That did not work; nothing was changed."
	}
	start := time.Now()
	_, err := p.o.Store.Get(ctx, "health/ready")
	v.StoreMs, v.StoreOK = ms(time.Since(start)), err == nil
	if open, _, err := core.ListOpen(ctx, p.o.Store, "", 1000); err == nil {
		v.Open = len(open)
	}
	v.Quarantine, _ = core.ListQuarantine(ctx, p.o.Store, "", 50)
	v.Audits = p.recentAudit(ctx)
	if v.HasInbox {
		if v.Waiting, err = p.o.Pending(ctx, mostWaiting); err != nil {
			v.WaitingErr = true
		}
		v.Dead, _ = p.o.DeadLetters.List(ctx, mostDead)
	}
	if p.o.Recorder != nil {
		v.Dropped = p.o.Recorder.Dropped()
	}
	p.index.mu.RLock()
	v.Calls, v.Requests, v.Polled = len(p.index.rows), len(p.index.requests), p.index.polled
	p.index.mu.RUnlock()
	p.playMu.Lock()
	v.Playing = len(p.played)
	p.playMu.Unlock()
	p.render(w, r, "health", v)
}

// recentAudit returns the newest entries of the audit log, newest first.
func (p *Page) recentAudit(ctx context.Context) []core.Audit {
	var all []core.Audit
	after := core.AuditPosition(time.Now().Add(-auditAge))
	for pages := 0; pages < 10; pages++ {
		some, next, err := core.ReadAudit(ctx, p.o.Store, after, 500)
		if err != nil {
			break
		}
		all = append(all, some...)
		all = all[max(0, len(all)-mostAudit):]
		if after = next; next == "" {
			break
		}
	}
	slices.Reverse(all)
	return all
}

func (p *Page) redrive(w http.ResponseWriter, r *http.Request) {
	did := "redrive"
	if p.o.Inbox == nil || p.o.DeadLetters == nil || p.o.ReadOnly {
		did = "failed"
	} else if _, err := core.Replay(r.Context(), p.o.Store, p.o.Inbox, p.o.DeadLetters, r.FormValue("id"), actor(r)); err != nil {
		did = "failed"
	}
	p.o.Logger.Info("inspector: dead letter delivered again", "remote", r.RemoteAddr, "state", did)
	http.Redirect(w, r, "/health?did="+did, http.StatusSeeOther)
}

func (p *Page) sweep(w http.ResponseWriter, r *http.Request) {
	did := "sweep"
	if p.o.Processor == nil || p.o.ReadOnly || p.o.Processor.Sweep(r.Context()) != nil {
		did = "failed"
	}
	http.Redirect(w, r, "/health?did="+did, http.StatusSeeOther)
}
