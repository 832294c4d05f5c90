package inspect

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/replylint"
)

const maxReply = 1 << 20

// A sent is what came of sending something again.
type sent struct {
	obscurer
	To       string
	Error    string
	Status   int
	Took     time.Duration
	Now      string // the body, masked
	Then     string
	Diff     []diffLine
	Compared bool
	IsTool   bool
	Findings []replylint.Finding
}

// told is an error that a visitor reads as it is.
type told string

func (t told) Error() string { return string(t) }

// target is where to send: what was typed, or the backend.
func (p *Page) target(r *http.Request) (*url.URL, error) {
	typed := cmp.Or(strings.TrimSpace(r.FormValue("to")), p.o.Target)
	u, err := url.Parse(strings.TrimRight(typed, "/"))
	switch {
	case !p.canSend():
		return nil, told("This page is read-only.")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "":
		return nil, told("Give the root of a server URL, such as http://127.0.0.1:8080.")
	case !p.loopback && strings.TrimRight(p.o.Target, "/") != u.String():
		return nil, told("From this page it can only be sent to its own backend.")
	}
	return u, nil
}

// post makes one request, as the sender does: once, no redirects.
func (p *Page) post(ctx context.Context, to *url.URL, path, method string, body []byte) (status int, typ string, reply []byte, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 21*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, cmp.Or(method, http.MethodPost), to.String()+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, 0, told("This is not a request that can be sent.")
	}
	req.Header.Set("Content-Type", "application/json")
	if own := strings.TrimRight(p.o.Target, "/"); p.o.Sign != nil && own == to.String() {
		p.o.Sign(req.Header) // nobody else gets our secret
	}
	transport := &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", nil, time.Since(start), told("There was no answer. Does the backend run, and is the URL right?")
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		err = told("The answer was cut off.")
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), reply, time.Since(start), err
}

// sendEvent sends a recorded event again. Every event was answered 200 and {},
// or it would not be here.
func (p *Page) sendEvent(w http.ResponseWriter, r *http.Request) {
	body, _, ok := p.eventBody(w, r)
	if !ok {
		return
	}
	s := sent{obscurer: p.sees(r, r.PathValue("id")), Then: "200\n{}", Compared: true}
	to, err := p.target(r)
	if err != nil {
		p.sentPart(w, sent{Error: err.Error()})
		return
	}
	status, _, reply, took, err := p.post(r.Context(), to, "/events", "POST", body)
	s.fill(to, status, reply, took, err)
	p.sentPart(w, s)
}

// sendRequest calls a tool again as it was called.
func (p *Page) sendRequest(w http.ResponseWriter, r *http.Request) {
	k, found, err := core.ReadToolRequest(r.Context(), p.o.Store, r.PathValue("id"))
	if err != nil || !found {
		p.storeTrouble(w, r)
		return
	}
	if p.changes(k.Tool) && r.FormValue("confirm") != "yes" {
		p.sentPart(w, sent{Error: "This tool changes something. Tick the box to say that you mean it."})
		return
	}
	to, err := p.target(r)
	if err != nil {
		p.sentPart(w, sent{Error: err.Error()})
		return
	}
	if k.Tool == "" || k.ToolRequest.Args == nil {
		p.sentPart(w, sent{Error: "What was sent then was not kept, because it could not be read."})
		return
	}
	path := "/tools/" + url.PathEscape(k.Tool)
	if k.Call != "" {
		path += "?call=" + url.QueryEscape(string(k.Call))
	}
	s := sent{obscurer: p.sees(r, seenAs(k)), IsTool: true, Compared: true}
	s.Then = s.replyText(k.Status, k.Reply)
	status, typ, reply, took, err := p.post(r.Context(), to, path, "POST", k.ToolRequest.Args)
	s.fill(to, status, reply, took, err)
	if err == nil {
		s.Findings = replylint.Check(replylint.Reply{Status: status, ContentType: typ, Body: reply, Latency: took, Budget: k.Budget})
	}
	p.sentPart(w, s)
}

// replyText is a reply to look at, masked.
func (e obscurer) replyText(status int, body []byte) string {
	text := ""
	if v := jsontext.Value(body); v.IsValid() {
		text = e.JSON(body, true)
	} else {
		text = e.Text(string(body))
	}
	return strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status)) + "\n" + text
}

func (s *sent) fill(to *url.URL, status int, reply []byte, took time.Duration, err error) {
	s.To, s.Status, s.Took = to.Host, status, took
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.Now = s.replyText(status, reply)
	if !s.IsTool {
		s.Then = s.replyText(200, []byte("{}"))
	}
	s.Diff = diffLines(s.Then, s.Now)
}

func (p *Page) sentPart(w http.ResponseWriter, s sent) { p.renderPart(w, "message", "sent", s) }

// changes reports whether a tool may change something.
func (p *Page) changes(name string) bool {
	if p.o.Processor == nil {
		return true
	}
	for _, t := range p.o.Processor.Tools() {
		if t.Name == name {
			return t.Effect != core.ReadOnly
		}
	}
	return true
}

// A diffLine is a line of a comparison: ' ', '-' or '+'.
type diffLine struct {
	Sign string
	Text string
}

// diffLines compares two texts line by line. It returns nil if they are equal.
func diffLines(before, after string) (ds []diffLine) {
	const header = 3 // lines with the names of the two
	parts := strings.SplitAfterN(string(diff.Diff("before", []byte(before+"\n"), "after", []byte(after+"\n"))), "\n", header+1)
	for l := range strings.Lines(parts[len(parts)-1]) {
		if l[0] != '@' {
			ds = append(ds, diffLine{l[:1], strings.TrimSuffix(l[1:], "\n")})
		} else if len(ds) > 0 {
			ds = append(ds, diffLine{" ", "…"}) // equal lines are left out
		}
	}
	return ds
}

// play plays a scenario at the backend. It goes on when the visitor leaves.
func (p *Page) play(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("scenario")
	known := false
	for _, s := range p.o.Scenarios {
		known = known || s.Name == name
	}
	if p.o.Play == nil || !known {
		p.message(w, r, http.StatusBadRequest, "There is no such scenario.", "")
		return
	}
	p.playMu.Lock()
	busy := len(p.played) >= 4
	key := name + "@" + rand.Text()
	if !busy {
		p.played[key] = name
	}
	p.playMu.Unlock()
	if busy {
		p.message(w, r, http.StatusTooManyRequests, "Four calls are being played already.", "Wait until one is over.")
		return
	}
	p.playing.Go(func() {
		defer func() {
			p.playMu.Lock()
			delete(p.played, key)
			p.playMu.Unlock()
		}()
		if err := p.o.Play(p.run, name); err != nil && p.run.Err() == nil {
			p.o.Logger.Warn("inspector: the scenario was not played as expected", "scenario", name)
		}
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
