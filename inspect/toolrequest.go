package inspect

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/replylint"
)

// A toolView is a tool request as it is shown.
type toolView struct {
	calls.ToolRequest
	ID        string // "" if only the run was recorded, without the request
	Arguments string // obscured
	Spoken    string // the result, obscured
	Findings  []replylint.Finding
	Level     replylint.Level
	Nth, Of   int // of several requests that are the same
	Link      string
}

func newToolView(r calls.ToolRequest, id string, o obscurer) toolView {
	r.Budget = cmp.Or(r.Budget, core.DefaultBudget)
	t := toolView{ToolRequest: r, ID: id, Arguments: o.JSON(r.Args, true), Spoken: o.Text(r.Result), Findings: replylint.Check(replylint.ReplyOf(r))}
	t.Level = replylint.Worst(t.Findings)
	if id != "" {
		t.Link = "/requests/" + url.PathEscape(id)
	}
	return t
}

// toolViews returns the tool requests of a call that were recorded, and the
// runs without a recorded request.
func toolViews(c calls.Call, requests []calls.StoredToolRequest, o obscurer) []toolView {
	var all []toolView
	count, seen := map[string]int{}, map[string]int{}
	for _, r := range requests {
		count[r.DedupKey]++
	}
	recorded := map[string]bool{}
	for _, r := range requests {
		t := newToolView(r.ToolRequest, r.ID, o)
		if r.DedupKey != "" {
			seen[r.DedupKey]++
			t.Nth, t.Of = seen[r.DedupKey], count[r.DedupKey]
		}
		recorded[r.Tool+string(r.ToolRequest.Args)] = true
		all = append(all, t)
	}
	for _, run := range c.Tools {
		if recorded[run.Tool+string(run.Args)] {
			continue
		}
		r := calls.ToolRequest{ReceivedAt: run.Started, Tool: run.Tool, Call: c.ID, State: run.State, Args: run.Args, Result: run.Result, HTTPStatus: 200}
		if !run.Finished.IsZero() {
			r.Latency = run.Finished.Sub(run.Started)
		}
		t := newToolView(r, "", o)
		t.Findings, t.Level = nil, replylint.LevelOK // the bytes of the reply are not known
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b toolView) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return all
}

// Slow reports whether the tool used most of its budget.
func (t toolView) Slow() bool { return replylint.Slow(t.Latency, t.Budget) }

// Word returns the state as people read it.
func (t toolView) Word() string {
	switch {
	case t.Level == replylint.LevelError:
		return "ignored"
	case t.State == "running", t.State == "late":
		return "still working"
	}
	return cmp.Or(t.State, "answered")
}

// requestPrefix begins an unmaskKey of a request without a call.
const requestPrefix = "tool request "

// unmaskKey returns what is unmasked together with a request: its call, if it
// has one.
func unmaskKey(r calls.StoredToolRequest) string {
	return cmp.Or(string(r.Call), requestPrefix+r.ID)
}

// request serves the page of a tool request.
func (p *Server) request(w http.ResponseWriter, r *http.Request) {
	req, found, err := calls.ReadToolRequest(r.Context(), p.store, r.PathValue("id"))
	switch {
	case err != nil:
		p.storeUnavailable(w, r)
		return
	case !found:
		p.message(w, r, http.StatusNotFound, "There is no such tool request.", "They are stored for 30 days.")
		return
	}
	o := p.accessLevel(r, unmaskKey(req))
	v := struct {
		frame
		toolView
		obscurer
		What      string
		Raw       string
		Others    []toolView
		CallURL   string
		Scale     time.Duration
		Confirm   bool
		CanRepeat bool
	}{frame: p.frame(r, "Tool "+cmp.Or(req.Tool, "request"), "calls"), toolView: newToolView(req.ToolRequest, req.ID, o), obscurer: o, What: unmaskKey(req),
		Confirm: p.hasEffect(req.Tool), CanRepeat: req.Tool != "" && req.ToolRequest.Args != nil, Scale: max(barScale, req.Latency*10/9)}
	_, v.Raw, _ = strings.Cut(o.replyText(req.HTTPStatus, req.Reply), "\n")
	if req.Call != "" {
		v.CallURL = callURL(req.Call)
		if all, err := calls.ToolRequests(r.Context(), p.store, req.Call); err == nil {
			for _, other := range all {
				if other.DedupKey == req.DedupKey && req.DedupKey != "" && other.ID != req.ID {
					v.Others = append(v.Others, newToolView(other.ToolRequest, other.ID, o))
				}
			}
		}
	}
	p.render(w, r, "request", v)
}
