package inspect

import (
	"bytes"
	"cmp"
	"context"
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
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/replylint"
)

const (
	maxReplyBytes = 1 << 20

	// sendTimeout is a little more than the sender's own.
	sendTimeout = replylint.TimeoutAfter + time.Second
)

// sentView is a reply to something that was sent from the page.
type sentView struct {
	obscurer
	To            string
	Error         string
	Status        int
	Latency       time.Duration
	Before, After string // the replies, obscured
	Compared      bool   // with the reply that was recorded
	Diff          []diffLine
	IsTool        bool
	Findings      []replylint.Finding
}

// A userError is shown to the visitor as it is.
type userError string

func (e userError) Error() string { return string(e) }

// target returns where to send: to the URL in the form, or to the backend.
func (p *Server) target(r *http.Request) (*url.URL, error) {
	typed := cmp.Or(strings.TrimSpace(r.FormValue("to")), p.o.BackendURL)
	u, err := url.Parse(strings.TrimRight(typed, "/"))
	switch {
	case !p.canSend():
		return nil, userError("This page is read-only.")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "":
		return nil, userError("Enter the root of a server URL, such as http://127.0.0.1:8080.")
	case !p.loopback && !p.isBackend(u):
		return nil, userError("This page sends only to its own backend.")
	}
	return u, nil
}

func (p *Server) isBackend(u *url.URL) bool {
	return strings.TrimRight(p.o.BackendURL, "/") == u.String()
}

// A reply is what a request got.
type reply struct {
	status      int
	contentType string
	body        []byte
	latency     time.Duration
}

// post makes one request as the sender does: once, without following redirects.
func (p *Server) post(ctx context.Context, to *url.URL, tenant, path string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String()+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, userError("This request cannot be sent.")
	}
	req.Header.Set("Content-Type", "application/json")
	if p.o.Authorize != nil && p.isBackend(to) {
		p.o.Authorize(tenant, req.Header) // our secret is for our backend only
	}
	transport := &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return reply{latency: time.Since(start)}, userError("There was no answer. Is the backend running, and is the URL right?")
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes))
	if err != nil {
		err = userError("The answer was cut off.")
	}
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), got, time.Since(start)}, err
}

// sendEvent sends a recorded event again. Every event was answered with 200 and
// {}: otherwise it would not have been recorded.
func (p *Server) sendEvent(w http.ResponseWriter, r *http.Request) {
	body, ok := p.eventBody(w, r)
	if !ok {
		return
	}
	to, err := p.target(r)
	if err != nil {
		p.renderSent(w, sentView{Error: err.Error()})
		return
	}
	v := sentView{obscurer: p.accessLevel(r, r.PathValue("id")), Compared: true}
	v.Before = v.replyText(200, []byte("{}"))
	got, err := p.post(r.Context(), to, p.tenantOf(r), "/events", body)
	v.fill(to, got, err)
	p.renderSent(w, v)
}

// tenantOf returns the tenant of the call in a request's path.
func (p *Server) tenantOf(r *http.Request) string {
	found, err := calls.Summaries(r.Context(), p.store, pathCall(r))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0].Tenant
}

// sendRequest calls a tool again with the recorded arguments.
func (p *Server) sendRequest(w http.ResponseWriter, r *http.Request) {
	req, found, err := calls.ReadToolRequest(r.Context(), p.store, r.PathValue("id"))
	if err != nil || !found {
		p.storeUnavailable(w, r)
		return
	}
	if p.hasEffect(req.Tool) && r.FormValue("confirm") != "yes" {
		p.renderSent(w, sentView{Error: unconfirmed})
		return
	}
	to, err := p.target(r)
	if err != nil {
		p.renderSent(w, sentView{Error: err.Error()})
		return
	}
	if req.Tool == "" || req.ToolRequest.Args == nil {
		p.renderSent(w, sentView{Error: "The request was not recorded, because it could not be decoded."})
		return
	}
	path := "/tools/" + url.PathEscape(req.Tool)
	if req.Call != "" {
		path += "?call=" + url.QueryEscape(string(req.SentID()))
	}
	v := sentView{obscurer: p.accessLevel(r, unmaskKey(req)), IsTool: true, Compared: true}
	v.Before = v.replyText(req.HTTPStatus, req.Reply)
	got, err := p.post(r.Context(), to, req.Tenant, path, req.ToolRequest.Args)
	v.fill(to, got, err)
	v.check(got, req.Budget)
	p.renderSent(w, v)
}

// unconfirmed is shown if a tool has an effect and the box was not ticked.
const unconfirmed = "This tool changes something. Tick the box to confirm."

// replyText returns a reply for display.
func (o obscurer) replyText(status int, body []byte) string {
	text := ""
	if jsontext.Value(body).IsValid() {
		text = o.JSON(body, true)
	} else {
		text = o.Text(string(body))
	}
	return strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status)) + "\n" + text
}

func (v *sentView) fill(to *url.URL, got reply, err error) {
	v.To, v.Status, v.Latency = to.Host, got.status, got.latency
	if err != nil {
		v.Error = err.Error()
		return
	}
	v.After = v.replyText(got.status, got.body)
	if v.Compared {
		v.Diff = diffLines(v.Before, v.After)
	}
}

func (v *sentView) check(got reply, budget time.Duration) {
	if v.Error == "" {
		v.Findings = replylint.Check(replylint.Reply{Status: got.status, ContentType: got.contentType, Body: got.body, Latency: got.latency, Budget: budget})
	}
}

func (p *Server) renderSent(w http.ResponseWriter, v sentView) { p.renderPart(w, "message", "sent", v) }

// hasEffect reports whether a tool may change something.
func (p *Server) hasEffect(name string) bool {
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

// A diffLine is a line of a comparison. Its sign is " ", "-" or "+".
type diffLine struct{ Sign, Text string }

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
