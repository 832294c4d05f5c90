package inspect

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/calls"

	"github.com/serverurl/serverurl/core/event"
)

const (
	cookieName   = "serverurl_inspector"
	sessionAge   = 12 * time.Hour
	showDuration = 15 * time.Minute // how long a call stays unmasked
	maxSessions  = 1000
)

// A session is a visitor, with what is shown unmasked to them.
type session struct {
	token   string
	created time.Time

	mu    sync.Mutex
	shown map[string]time.Time // since when
}

// sessions are kept in memory, by a digest of their token.
type sessions struct {
	mu  sync.Mutex
	all map[[32]byte]*session
}

func (ss *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.all[sha256.Sum256([]byte(c.Value))]
	if s == nil || time.Since(s.created) > sessionAge {
		return nil
	}
	return s
}

func (ss *sessions) start(w http.ResponseWriter, r *http.Request) *session {
	s := &session{token: rand.Text(), created: time.Now(), shown: map[string]time.Time{}}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.all == nil || len(ss.all) >= maxSessions {
		ss.all = map[[32]byte]*session{}
	}
	ss.all[sha256.Sum256([]byte(s.token))] = s
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.token, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
	return s
}

func (ss *sessions) end(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		ss.mu.Lock()
		defer ss.mu.Unlock()
		delete(ss.all, sha256.Sum256([]byte(c.Value)))
	}
}

// requireSession lets visitors with a session pass. If there is no secret, each
// visitor gets one.
func (p *Server) requireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/static/") || r.URL.Path == "/login" || p.sessions.of(r) != nil {
			next.ServeHTTP(w, r)
			return
		}
		if p.o.Secret == "" {
			s := p.sessions.start(w, r)
			r.AddCookie(&http.Cookie{Name: cookieName, Value: s.token})
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet || fragment(r) != "" || r.URL.Path == "/live" {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

func (p *Server) loginForm(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, "login", p.frame(r, "Log in", ""))
}

func (p *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	given, want := sha256.Sum256([]byte(strings.TrimSpace(r.PostFormValue("secret")))), sha256.Sum256([]byte(p.o.Secret))
	if p.o.Secret == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		p.o.Logger.Warn("inspector login failed", "remote", r.RemoteAddr)
		f := p.frame(r, "Log in", "")
		f.WrongSecret = true
		w.WriteHeader(http.StatusUnauthorized)
		p.render(w, r, "login", f)
		return
	}
	p.sessions.start(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Server) logout(w http.ResponseWriter, r *http.Request) {
	p.sessions.end(r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// accessLevel returns how much the visitor may see of something: of a call by
// its id, or of a tool request by unmaskKey.
func (p *Server) accessLevel(r *http.Request, what string) obscurer {
	if p.o.Synthetic {
		return obscurer{open: true}
	}
	s := p.sessions.of(r)
	if s == nil {
		return obscurer{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return obscurer{open: time.Since(s.shown[what]) < showDuration}
}

// show unmasks the text, and records that. If it cannot be recorded it is
// not shown, except on a read-only page, which records it in the log alone.
func (p *Server) show(w http.ResponseWriter, r *http.Request) {
	what := r.FormValue("what")
	s := p.sessions.of(r)
	if s == nil || what == "" {
		http.Error(w, "nothing to show", http.StatusBadRequest)
		return
	}
	if err := p.recordView(r, what); err != nil {
		http.Error(w, "this cannot be recorded, so it is not shown", http.StatusServiceUnavailable)
		return
	}
	s.mu.Lock()
	s.shown[what] = time.Now()
	s.mu.Unlock()
	redirectBack(w, r)
}

func (p *Server) hide(w http.ResponseWriter, r *http.Request) {
	if s := p.sessions.of(r); s != nil {
		s.mu.Lock()
		delete(s.shown, r.FormValue("what"))
		s.mu.Unlock()
	}
	redirectBack(w, r)
}

// recordView records that something was shown: in the log and in the audit log.
func (p *Server) recordView(r *http.Request, what string) error {
	p.o.Logger.Info("call shown unmasked", "what", what, "remote", r.RemoteAddr)
	if p.o.ReadOnly {
		return nil
	}
	a := calls.AuditEntry{Actor: actor(r), Action: calls.AuditView, Call: calls.AuditCallRef(event.CallID(what))}
	if strings.HasPrefix(what, requestPrefix) {
		a.Call, a.Detail = "", what
	}
	return calls.WriteAudit(r.Context(), p.store, a)
}

// actor is the visitor's name in the audit log.
func actor(r *http.Request) string { return "inspector, " + r.RemoteAddr }

// redirectBack leads to the page that the visitor came from, which is one of
// this server's.
func redirectBack(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("back")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
