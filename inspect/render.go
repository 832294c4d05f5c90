package inspect

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed templates/*.html
var templates embed.FS

// A frame is what all pages have in common.
type frame struct {
	Title, Nav                   string
	Name, BackendURL             string
	ReadOnly, Synthetic, CanSend bool
	HasSecret, WrongSecret       bool
	Path                         string // of this page, to come back to
	Scenarios                    []Scenario
	Loaded                       bool   // all calls are counted
	StoreError                   string // "" while the store can be read
}

func (p *Server) frame(r *http.Request, title, nav string) frame {
	p.index.mu.RLock()
	defer p.index.mu.RUnlock()
	f := frame{
		Title: title, Nav: nav, Name: p.o.Name, BackendURL: p.o.BackendURL, ReadOnly: p.o.ReadOnly, Synthetic: p.o.Synthetic,
		HasSecret: p.o.Secret != "", Path: r.URL.RequestURI(), Scenarios: p.o.Scenarios, Loaded: p.index.loaded,
		CanSend: p.canSend(),
	}
	if p.index.pollErr != nil {
		f.StoreError = "The store cannot be read at the moment. This page is from " + p.index.polled.Local().Format("15:04:05") + "."
	}
	return f
}

var pages = func() map[string]*template.Template {
	base := template.Must(template.New("base.html").Funcs(templateFuncs).ParseFS(templates, "templates/base.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"calls", "call", "request", "tools", "tool", "health", "quarantine", "login", "message"} {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}()

// fragment returns the part of a page that a script asks for, or "" if a
// browser asks for the page.
func fragment(r *http.Request) string { return r.Header.Get("Serverurl-Fragment") }

// render writes a page, or its part that follows the calls.
func (p *Server) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	part := "base.html"
	if fragment(r) == "live" {
		part = "live"
	}
	p.renderPart(w, name, part, data)
}

func (p *Server) renderPart(w http.ResponseWriter, name, part string, data any) {
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, part, data); err != nil {
		p.o.Logger.Error("inspector page rendering failed", "page", name) // the error may quote the data
		http.Error(w, "this page cannot be rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// message writes a page, or a fragment, with one message.
func (p *Server) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if fragment(r) != "" {
		_, _ = w.Write([]byte(`<p class="note bad">` + template.HTMLEscapeString(title+" "+text) + `</p>`))
		return
	}
	p.renderPart(w, "message", "base.html", struct {
		frame
		Text string
	}{p.frame(r, title, ""), text})
}

func (p *Server) storeUnavailable(w http.ResponseWriter, r *http.Request) {
	p.message(w, r, http.StatusServiceUnavailable, "The store cannot be read at the moment.", "Try again soon.")
}
