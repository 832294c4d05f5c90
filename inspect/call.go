package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/callstate"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/replylint"
)

// barScale is the length of a latency bar, if nothing on the page takes longer:
// the hang at 5 s is on it.
const barScale = 6 * time.Second

// callView is the page of a call.
type callView struct {
	frame
	calls.Call
	obscurer
	What       string // to show or hide: the call's id
	Items      []transcriptItem
	Lines      []timelineLine
	Turns      []turn
	Tools      []toolView
	Warnings   []warning
	Scale      time.Duration // of the latency bars
	Late       int           // events
	Duplicates int
	Duration   time.Duration
	Live       bool
	EndedBy    string
	Details    []detail
	Costs      []detail
	Prev, Next string // the calls above and below in the list
}

// A detail is a name and its value.
type detail struct{ Name, Value string }

// A warning is what a visitor should see first.
type warning struct {
	Level             replylint.Level
	Title, Text, Link string
}

func (p *Server) call(w http.ResponseWriter, r *http.Request) {
	id := pathCall(r)
	v, err := p.readCall(r.Context(), id, p.accessLevel(r, string(id)))
	switch {
	case errors.Is(err, callstate.ErrNotFound):
		p.message(w, r, http.StatusNotFound, "There is no such call here.", "It may be in another store, or no event of it has arrived yet.")
		return
	case err != nil:
		p.storeUnavailable(w, r)
		return
	}
	v.frame = p.frame(r, "Call "+short(string(id)), "calls")
	v.Prev, v.Next = p.index.neighbors(id)
	p.render(w, r, "call", v)
}

// neighbors returns the addresses of the calls above and below in the list.
func (x *index) neighbors(id event.CallID) (prev, next string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.byID[id]
	if r == nil {
		return "", ""
	}
	at, found := x.search(r)
	if found && at > 0 {
		prev = callURL(x.rows[at-1].ID)
	}
	if found && at+1 < len(x.rows) {
		next = callURL(x.rows[at+1].ID)
	}
	return prev, next
}

func callURL(id event.CallID) string { return "/calls/" + url.PathEscape(string(id)) }

// readCall reads everything about a call and lays it out.
func (p *Server) readCall(ctx context.Context, id event.CallID, o obscurer) (*callView, error) {
	c, err := calls.Read(ctx, p.store, id)
	if err != nil {
		return nil, err
	}
	requests, err := calls.ToolRequests(ctx, p.store, id)
	if err != nil {
		return nil, err
	}
	duplicates, err := calls.Duplicates(ctx, p.store, id)
	if err != nil {
		return nil, err
	}
	v := &callView{Call: c, obscurer: o, What: string(id), Duplicates: len(duplicates), Scale: barScale, EndedBy: c.Info.EndedBy()}
	v.Live = !c.Ended && !c.Status.Terminal()
	if v.Duration = c.Info.Duration(); v.Duration <= 0 {
		v.Duration = c.LastSeen.Sub(c.FirstSeen)
	}
	v.Tools = toolViews(c, requests, o)
	for _, t := range v.Tools {
		v.Scale = max(v.Scale, t.Latency*10/9)
	}
	v.addTranscript()
	v.addTimeline(duplicates)
	v.addTurns()
	v.addWarnings()
	v.addDetails()
	return v, nil
}

func (v *callView) addWarnings() {
	warn := func(l replylint.Level, title, text, link string) {
		v.Warnings = append(v.Warnings, warning{l, title, text, link})
	}
	for _, t := range v.Tools {
		if t.Level == replylint.LevelError {
			warn(replylint.LevelError, "A reply of "+cmp.Or(t.Tool, "a tool")+" would be ignored", "because "+t.Findings[0].Reason+".", t.Link)
		}
	}
	for _, t := range v.Tools {
		if t.Slow() {
			warn(replylint.LevelWarning, cmp.Or(t.Tool, "A tool")+" was slow",
				fmt.Sprintf("It took %s of a budget of %s; a silence of 5 s counts as a hang.", span(t.Latency), span(t.Budget)), t.Link)
		}
	}
	if v.HangCount > 0 {
		warn(replylint.LevelWarning, plural(v.HangCount, "hang"), "The assistant was silent for 5 s. See what ran just before in the timeline.", "#timeline")
	}
	if v.ErrorCount > 0 {
		warn(replylint.LevelWarning, plural(v.ErrorCount, "error"), "A model or a voice failed. The event has the vendor's code.", "#events")
	}
	if v.Ended && !v.EndReason.HasReport() {
		warn(replylint.LevelWarning, "There is no report", "The sweep ended the call: "+string(v.EndReason)+".", "#timeline")
	}
}

func (v *callView) addDetails() {
	add := func(name, value string) {
		if value != "" {
			v.Details = append(v.Details, detail{name, value})
		}
	}
	add("Assistant", cmp.Or(v.Call.Assistant.Name, v.Summary.Assistant))
	add("Type", strings.TrimSpace(v.Info.Type+" "+v.Info.Direction))
	add("Caller", v.Text(v.Info.UserNumber))
	add("Called", v.Text(v.Info.AssistantNumber))
	add("Started", v.FirstSeen.Local().Format(time.DateTime))
	add("Ended by", v.EndedBy)
	add("Phone", v.Phone.Provider.Name)
	add("Model", strings.TrimSpace(v.Call.Assistant.Provider+" "+v.Call.Assistant.Model))
	if c := v.Info.Cost; c != nil {
		for _, part := range []struct {
			name string
			cost float64
		}{{"Interactly", c.Interactly}, {"Phone", c.Phone}, {"Speech", c.STT}, {"Model", c.LLM}, {"Voice", c.TTS}, {"Analysis", c.Analysis.Total}, {"Total", c.Total}} {
			v.Costs = append(v.Costs, detail{part.name, strconv.FormatFloat(part.cost, 'f', 4, 64)})
		}
	}
}

// event serves the body of an event, as a fragment.
func (p *Server) event(w http.ResponseWriter, r *http.Request) {
	body, ok := p.eventBody(w, r)
	if !ok {
		return
	}
	p.renderPart(w, "call", "eventbody", struct {
		frame
		Body string
		Call event.CallID
		N    string
	}{p.frame(r, "", ""), p.accessLevel(r, r.PathValue("id")).JSON(body, false), pathCall(r), r.PathValue("n")})
}

// eventBody returns the event that a path names, or writes why it cannot.
func (p *Server) eventBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		n = 0 // no event has this number
	}
	i := 0
	for e, err := range calls.Events(r.Context(), p.store, pathCall(r)) {
		if err != nil {
			p.storeUnavailable(w, r)
			return nil, false
		}
		if i++; i == n {
			return e.Body, true
		}
	}
	p.message(w, r, http.StatusNotFound, "There is no such event.", "")
	return nil, false
}
