package inspect

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net"
	"net/http"
	"strings"

	"github.com/serverurl/serverurl/core/event"
)

//go:embed static
var static embed.FS

// policy lets the page load from and send to itself only, and run no script and
// use no style that is written in the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler returns everything between the listener and the pages.
func (p *Server) handler() http.Handler {
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
	mux.HandleFunc("POST /health/quarantine/show", p.showQuarantined)
	mux.HandleFunc("POST /health/quarantine/retry", p.retryQuarantined)
	mux.HandleFunc("POST /health/quarantine/delete", p.deleteQuarantined)
	mux.HandleFunc("POST /play", p.play)
	mux.HandleFunc("GET /live", p.live)
	mux.HandleFunc("GET /login", p.loginForm)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.Handle("GET /static/", cacheAssets(http.FileServerFS(static)))

	h := http.NewCrossOriginProtection().Handler(p.requireSession(mux))
	return p.checkHost(addHeaders(h))
}

func addHeaders(next http.Handler) http.Handler {
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

// checkHost rejects a host name that another site made point at this machine
// (DNS rebinding): on loopback no secret would stop that site.
func (p *Server) checkHost(next http.Handler) http.Handler {
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

// asset returns the address of a file. It changes with the file's content.
func asset(name string) string { return "/static/" + name + "?v=" + assetVersions[name] }

var assetVersions = func() map[string]string {
	versions := map[string]string{}
	files, err := static.ReadDir("static")
	if err != nil {
		panic(err) // they are embedded in the program
	}
	for _, f := range files {
		b, err := static.ReadFile("static/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(b)
		versions[f.Name()] = hex.EncodeToString(sum[:6])
	}
	return versions
}()

// cacheAssets lets browsers cache a file whose address has its version.
func cacheAssets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("v"); v != "" && v == assetVersions[strings.TrimPrefix(r.URL.Path, "/static/")] {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		next.ServeHTTP(w, r)
	})
}

// pathCall returns the call that a path names.
func pathCall(r *http.Request) event.CallID { return event.CallID(r.PathValue("id")) }
