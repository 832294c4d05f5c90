package inspect

import (
	"net/http"
	"time"

	"github.com/serverurl/serverurl/core/calls"
)

// healthView is what the page of health shows.
type healthView struct {
	frame
	Waiting     int
	MostWaiting int
	WaitingErr  bool
	Dead        []DeadEvent
	HasInbox    bool
	StoreMs     float64
	StoreOK     bool
	Calls, Open int
	Requests    int
	Dropped     int64
	Quarantine  []calls.QuarantinedBody
	Audits      []Audit
	CanSweep    bool
	Up          time.Duration
	Polled      time.Time
	Did         string
	Playing     int
}

const (
	mostWaiting = 1000
	mostDead    = 100
)

func (p *Page) health(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := healthView{frame: p.frame(r, "Health", "health"), MostWaiting: mostWaiting, HasInbox: p.o.Inbox != nil, Up: p.o.Now().Sub(p.started),
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
	if open, _, err := calls.ListUnfinished(ctx, p.o.Store, "", 1000); err == nil {
		v.Open = len(open)
	}
	v.Quarantine, _ = calls.ListQuarantine(ctx, p.o.Store, "", 50)
	v.Audits, _ = Audits(ctx, p.o.Store, 20)
	if p.o.Inbox != nil {
		if v.Waiting, err = p.o.Inbox.Depth(ctx, mostWaiting); err != nil {
			v.WaitingErr = true
		}
		v.Dead, _ = p.o.Inbox.Dead(ctx, mostDead)
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

func (p *Page) redrive(w http.ResponseWriter, r *http.Request) {
	did := "redrive"
	if p.o.Inbox == nil || p.o.ReadOnly || p.o.Inbox.Redrive(r.Context(), r.FormValue("id")) != nil {
		did = "failed"
	}
	p.o.Logger.Info("inspector: dead event delivered again", "remote", r.RemoteAddr, "state", did)
	http.Redirect(w, r, "/health?did="+did, http.StatusSeeOther)
}

func (p *Page) sweep(w http.ResponseWriter, r *http.Request) {
	did := "sweep"
	if p.o.Processor == nil || p.o.ReadOnly || p.o.Processor.Sweep(r.Context()) != nil {
		did = "failed"
	}
	http.Redirect(w, r, "/health?did="+did, http.StatusSeeOther)
}
