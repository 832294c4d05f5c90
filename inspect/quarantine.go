package inspect

import (
	"net/http"
	"strings"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
)

// maxShownBody is how much of a quarantined body the page shows.
const maxShownBody = 256 << 10

// quarantinedView is the page with one body.
type quarantinedView struct {
	frame
	calls.QuarantinedBody
	Text     string // of the body
	Cut      bool   // the rest is left out
	CanRetry bool
}

// showQuarantined shows a body. It is a POST, because it writes to the audit log
// before the visitor sees anything.
func (p *Server) showQuarantined(w http.ResponseWriter, r *http.Request) {
	if p.o.ReadOnly {
		redirectToHealth(w, r, "failed")
		return
	}
	q, err := calls.ReadQuarantined(r.Context(), p.store, r.FormValue("id"), actor(r))
	if err != nil {
		redirectToHealth(w, r, "failed")
		return
	}
	v := quarantinedView{frame: p.frame(r, "Quarantine", "health"), QuarantinedBody: q, CanRetry: p.o.Inbox != nil}
	body := q.Body
	if v.Cut = len(body) > maxShownBody; v.Cut {
		body = body[:maxShownBody]
	}
	v.Text = strings.ToValidUTF8(string(body), "\ufffd")
	p.render(w, r, "quarantine", v)
}

func (p *Server) retryQuarantined(w http.ResponseWriter, r *http.Request) {
	if p.o.Inbox == nil || p.o.ReadOnly {
		redirectToHealth(w, r, "failed")
		return
	}
	p.quarantineDone(w, r, "retry", core.RetryQuarantined(r.Context(), p.store, p.o.Inbox, r.FormValue("id"), actor(r)))
}

func (p *Server) deleteQuarantined(w http.ResponseWriter, r *http.Request) {
	if p.o.ReadOnly {
		redirectToHealth(w, r, "failed")
		return
	}
	p.quarantineDone(w, r, "delete", calls.DeleteQuarantined(r.Context(), p.store, r.FormValue("id"), actor(r)))
}

func (p *Server) quarantineDone(w http.ResponseWriter, r *http.Request, did string, err error) {
	switch err {
	case nil:
		p.o.Logger.Info("quarantined body changed", "remote", r.RemoteAddr, "did", did)
	case core.ErrStillUnreadable:
		did = "unreadable"
	default:
		p.o.Logger.Warn("quarantined body change failed", "remote", r.RemoteAddr, "did", did)
		did = "failed"
	}
	redirectToHealth(w, r, did)
}
