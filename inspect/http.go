package inspect

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
)

//go:embed static
var static embed.FS

//go:embed templates/*.html
var templates embed.FS

const cookieName = "serverurl_inspector"

// policy lets the page load and send nothing but from and to itself, and no
// script or style that stands in the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler is everything between the listener and the pages.
func (p *Page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /charts", p.charts)
	mux.HandleFunc("GET /calls/{id}", p.call)
	mux.HandleFunc("GET /calls/{id}/events/{n}", p.event)
	mux.HandleFunc("POST /calls/{id}/events/{n}/send", p.sendEvent)
	mux.HandleFunc("GET /requests/{id}", p.request)
	mux.HandleFunc("POST /requests/{id}/send", p.sendRequest)
	mux.HandleFunc("POST /show", p.show)
	mux.HandleFunc("POST /hide", p.hide)
	mux.HandleFunc("GET /tools", p.tools)
	mux.HandleFunc("GET /tools/{name}", p.tool)
	mux.HandleFunc("POST /tools/{name}/try", p.try)
	mux.HandleFunc("GET /health", p.health)
	mux.HandleFunc("POST /health/redrive", p.redrive)
	mux.HandleFunc("POST /health/sweep", p.sweep)
	mux.HandleFunc("POST /play", p.play)
	mux.HandleFunc("GET /live", p.live)
	mux.HandleFunc("GET /login", p.login)
	mux.HandleFunc("POST /login", p.enter)
	mux.HandleFunc("POST /logout", p.leave)
	mux.Handle("GET /static/", cached(http.FileServerFS(static)))

	var h http.Handler = p.guard(mux)
	h = http.NewCrossOriginProtection().Handler(h)
	return p.hosts(headers(h))
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// asset is the address of a file, which changes with its content.
func asset(name string) string { return "/static/" + name + "?v=" + assets[name] }

var assets = func() map[string]string {
	sums := map[string]string{}
	files, err := static.ReadDir("static")
	if err != nil {
		panic(err) // they are part of the program
	}
	for _, f := range files {
		b, err := static.ReadFile("static/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(b)
		sums[f.Name()] = hex.EncodeToString(sum[:6])
	}
	return sums
}()

// cached lets a browser keep a file whose address names its content.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("v"); v != "" && v == assets[strings.TrimPrefix(r.URL.Path, "/static/")] {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		next.ServeHTTP(w, r)
	})
}

// hosts refuses a name that was made to point at this machine by somebody
// else's page: on loopback there is no secret that would stop it.
func (p *Page) hosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		if ip := net.ParseIP(host); p.loopback && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this page is for this machine only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guard lets in who has a session. Without a secret everybody gets one.
func (p *Page) guard(next http.Handler) http.Handler {
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

const (
	sessionAge  = 12 * time.Hour
	showTime    = 15 * time.Minute // how long a call stays shown
	maxSessions = 1000
)

// sessions are who looks on, and what each was shown.
type sessions struct {
	mu  sync.Mutex
	all map[[32]byte]*session
}

type session struct {
	token string
	made  time.Time
	mu    sync.Mutex
	shown map[string]time.Time
}

func (ss *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.all[sha256.Sum256([]byte(c.Value))]
	if s == nil || time.Since(s.made) > sessionAge {
		return nil
	}
	return s
}

func (ss *sessions) start(w http.ResponseWriter, r *http.Request) *session {
	s := &session{token: rand.Text(), made: time.Now(), shown: map[string]time.Time{}}
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

// sees is how much the visitor sees of something: a call's id, or a request's.
func (p *Page) sees(r *http.Request, what string) obscurer {
	if p.o.MadeUp {
		return obscurer{open: true}
	}
	s := p.sessions.of(r)
	if s == nil {
		return obscurer{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return obscurer{open: time.Since(s.shown[what]) < showTime && !s.shown[what].IsZero()}
}

// show shows what was said, and writes down that it was. Where it cannot be
// written down it is not shown, but for a store that is only read.
func (p *Page) show(w http.ResponseWriter, r *http.Request) {
	what := r.FormValue("what")
	s := p.sessions.of(r)
	if s == nil || what == "" {
		http.Error(w, "nothing to show", http.StatusBadRequest)
		return
	}
	if err := p.audit(r, what); err != nil {
		http.Error(w, "it cannot be written down that this is shown, so it is not shown", http.StatusServiceUnavailable)
		return
	}
	s.mu.Lock()
	s.shown[what] = time.Now()
	s.mu.Unlock()
	back(w, r)
}

func (p *Page) hide(w http.ResponseWriter, r *http.Request) {
	if s := p.sessions.of(r); s != nil {
		s.mu.Lock()
		delete(s.shown, r.FormValue("what"))
		s.mu.Unlock()
	}
	back(w, r)
}

// back leads to the page that was left, which is one of ours.
func back(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("back")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, "login", p.frame(r, "Log in", ""))
}

func (p *Page) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	given, want := sha256.Sum256([]byte(strings.TrimSpace(r.PostFormValue("secret")))), sha256.Sum256([]byte(p.o.Secret))
	if p.o.Secret == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		p.o.Logger.Warn("inspector: wrong secret", "remote", r.RemoteAddr)
		f := p.frame(r, "Log in", "")
		f.Wrong = true
		w.WriteHeader(http.StatusUnauthorized)
		p.render(w, r, "login", f)
		return
	}
	p.sessions.start(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Page) leave(w http.ResponseWriter, r *http.Request) {
	p.sessions.end(r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// A frame is what all pages have.
type frame struct {
	Title, Nav                string
	Name, Target              string
	ReadOnly, MadeUp, CanSend bool
	HasSecret, Wrong          bool
	Path                      string // of this page, to come back to
	Scenarios                 []Scenario
	Loaded                    bool
	Trouble                   string
}

func (p *Page) frame(r *http.Request, title, nav string) frame {
	p.index.mu.RLock()
	defer p.index.mu.RUnlock()
	f := frame{
		Title: title, Nav: nav, Name: p.o.Name, Target: p.o.Target, ReadOnly: p.o.ReadOnly, MadeUp: p.o.MadeUp,
		HasSecret: p.o.Secret != "", Path: r.URL.RequestURI(), Scenarios: p.o.Scenarios, Loaded: p.index.loaded,
		CanSend: p.canSend(),
	}
	if p.index.pollErr != nil {
		f.Trouble = "The store cannot be read just now. What is shown is from " + p.index.polled.Local().Format("15:04:05") + "."
	}
	return f
}

// canSend reports whether requests may be sent from here: a page that others
// can reach sends to its own backend only.
func (p *Page) canSend() bool {
	return p.o.Target != "" && !p.o.ReadOnly || p.loopback
}

var pages = func() map[string]*template.Template {
	base := template.Must(template.New("base.html").Funcs(funcs).ParseFS(templates, "templates/base.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"calls", "call", "request", "tools", "tool", "health", "login", "message"} {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}()

// fragment returns the part of the page that a script asks for, or "" if a
// browser asks for all of it.
func fragment(r *http.Request) string { return r.Header.Get("Serverurl-Fragment") }

// render writes a page, or its part that follows the calls.
func (p *Page) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	part := "base.html"
	if fragment(r) == "live" {
		part = "live"
	}
	p.renderPart(w, name, part, data)
}

func (p *Page) renderPart(w http.ResponseWriter, name, part string, data any) {
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, part, data); err != nil {
		p.o.Logger.Error("inspector: page cannot be made", "page", name)
		http.Error(w, "this page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// message is a page that says one thing.
func (p *Page) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	if fragment(r) != "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`<p class="note bad">` + template.HTMLEscapeString(title+" "+text) + `</p>`))
		return
	}
	w.WriteHeader(status)
	p.renderPart(w, "message", "base.html", struct {
		frame
		Text string
	}{p.frame(r, title, ""), text})
}

func (p *Page) storeTrouble(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusServiceUnavailable, "The store cannot be read just now.", "Try again in a moment.")
}

// audit records that something was shown: in the log and in the audit log.
func (p *Page) audit(r *http.Request, what string) error {
	p.o.Logger.Info("inspector: shown", "what", what, "remote", r.RemoteAddr)
	if p.o.ReadOnly {
		return nil
	}
	a := core.Audit{Who: actor(r), What: core.AuditView, Call: core.AuditName(core.CallID(what))}
	if id, ok := strings.CutPrefix(what, "request "); ok {
		a.Call, a.Note = "", "tool request "+id
	}
	return core.WriteAudit(r.Context(), p.o.Store, a)
}

// actor is the visitor in the audit log.
func actor(r *http.Request) string { return "inspector, " + r.RemoteAddr }

// callOf is the call in a path.
func callOf(r *http.Request) core.CallID { return core.CallID(r.PathValue("id")) }
