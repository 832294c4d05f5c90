package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A callView is all that the page of a call shows.
type callView struct {
	frame
	calls.Call
	eye
	What     string // to show or hide it
	Talk     []talk
	Lines    []line
	Turns    []turn
	Tools    []toolView
	Alarms   []alarm
	Scale    time.Duration // of the latency bars
	Late     int
	Repeats  int
	Duration time.Duration
	Live     bool
	EndedBy  string
	Facts    []fact
	Costs    []fact
	Prev     string
	NextCall string
}

// A fact is a name and what is known.
type fact struct {
	Name, Value string
	Secret      bool // a person's: masked
}

// A talk is one thing in the conversation: a message or a tool.
type talk struct {
	Bubble      *bubble
	Tool        *toolView
	at          time.Time
	order       int
	Unsaid      bool
	Interrupted bool
}

type bubble struct {
	ID        string
	Assistant bool
	Text      string
	At        time.Duration // since the call was first heard of
	Skipped   []string      // what the assistant was kept from saying
	Cut       bool          // the caller interrupted it
	Dropped   bool          // not part of the conversation any more
	Speech    float64       // ms, of a turn
	Model     float64
	Voice     float64
}

// A line is one line of the time line.
type line struct {
	At     time.Duration
	Kind   string // event, tool
	Label  string
	Detail string
	Marks  []mark
	Took   time.Duration
	Budget time.Duration
	Level  Level
	Link   string
	N      int // of the event, from 1
	when   time.Time
	Slow   bool
}

type mark struct{ Word, Why string }

// A toolView is a tool request as it is shown.
type toolView struct {
	calls.ToolRequest
	ID        string // "" when only the run is known
	Args      string // masked
	Say       string // masked
	Findings  []Finding
	Level     Level
	Offset    time.Duration
	Same      int // how many requests are the same, this one included
	Nth       int
	Link      string
	BudgetOr  time.Duration
	Estimated bool // from the run's record, without the bytes of the reply
}

// A turn is what one answer of the assistant took, in ms.
type turn struct {
	N                          int
	Speech, Model, Voice, Wait float64
	Total, Scale               float64
	Text                       string
}

// An alarm is something that should be seen at once.
type alarm struct {
	Level Level
	Title string
	Text  string
	Link  string
}

func (p *Page) call(w http.ResponseWriter, r *http.Request) {
	id := callOf(r)
	v, err := p.readCall(r.Context(), id, p.sees(r, string(id)))
	switch {
	case errors.Is(err, callstate.ErrNotFound):
		p.message(w, r, http.StatusNotFound, "There is no such call here.", "It may be kept in another store, or nothing of it has come yet.")
		return
	case err != nil:
		p.storeTrouble(w, r)
		return
	}
	v.frame = p.frame(r, "Call "+short(string(id)), "calls")
	v.Prev, v.NextCall = p.index.neighbors(id)
	p.render(w, r, "call", v)
}

// neighbors are the calls above and below in the list.
func (x *index) neighbors(id event.CallID) (prev, next string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.byID[id]
	if r == nil {
		return "", ""
	}
	at, found := x.place(r)
	if found && at > 0 {
		prev = callURL(x.rows[at-1].ID)
	}
	if found && at+1 < len(x.rows) {
		next = callURL(x.rows[at+1].ID)
	}
	return prev, next
}

func callURL(id event.CallID) string { return "/calls/" + url.PathEscape(string(id)) }

// readCall puts together what is known of a call.
func (p *Page) readCall(ctx context.Context, id event.CallID, e eye) (*callView, error) {
	c, err := calls.Read(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	kept, err := calls.ToolRequests(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	repeats, err := calls.Duplicates(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	v := &callView{Call: c, eye: e, What: string(id), Repeats: len(repeats), Scale: 6 * time.Second, EndedBy: c.Info.EndedBy()}
	v.Live = !c.Ended && !c.Status.Terminal()
	if v.Duration = c.Info.Duration(); v.Duration <= 0 {
		v.Duration = c.LastSeen.Sub(c.FirstSeen)
	}
	v.Tools = toolViews(c, kept, e)
	for _, t := range v.Tools {
		v.Scale = max(v.Scale, t.Latency*10/9)
	}
	v.talk()
	v.timeline(repeats)
	v.turns()
	v.alarms()
	v.facts()
	return v, nil
}

// toolViews are the requests that were recorded, and the runs of which no
// request was.
func toolViews(c calls.Call, kept []calls.StoredToolRequest, e eye) []toolView {
	var all []toolView
	count, seen := map[string]int{}, map[string]int{}
	for _, k := range kept {
		if k.DedupKey != "" {
			count[k.DedupKey]++
		}
	}
	told := map[string]bool{}
	for _, k := range kept {
		t := newToolView(k.ToolRequest, k.ID, e)
		t.Offset = k.ReceivedAt.Sub(c.FirstSeen)
		if k.DedupKey != "" {
			seen[k.DedupKey]++
			t.Same, t.Nth = count[k.DedupKey], seen[k.DedupKey]
		}
		told[k.Tool+string(k.ToolRequest.Args)] = true
		all = append(all, t)
	}
	for _, run := range c.Tools {
		if told[run.Tool+string(run.Args)] {
			continue
		}
		r := calls.ToolRequest{ReceivedAt: run.Started, Tool: run.Tool, Call: c.ID, State: run.State, Args: run.Args, Result: run.Result, HTTPStatus: 200}
		if !run.Finished.IsZero() {
			r.Latency = run.Finished.Sub(run.Started)
		}
		t := newToolView(r, "", e)
		t.Findings, t.Level, t.Estimated = nil, Fine, true
		t.Offset = run.Started.Sub(c.FirstSeen)
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b toolView) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	return all
}

func newToolView(r calls.ToolRequest, id string, e eye) toolView {
	t := toolView{ToolRequest: r, ID: id, Args: e.json(r.Args, true), Say: e.text(r.Result), BudgetOr: cmp.Or(r.Budget, core.DefaultBudget)}
	t.Findings = Lint(ReplyOf(r))
	t.Level = worst(t.Findings)
	if id != "" {
		t.Link = "/requests/" + url.PathEscape(id)
	}
	return t
}

// Slow reports whether it used most of its budget.
func (t toolView) Slow() bool { return slow(t.Latency, t.Budget) }

// Word is the state for people.
func (t toolView) Word() string {
	switch {
	case t.Level == Ignored:
		return "ignored"
	case t.State == "running", t.State == "late":
		return "still working"
	case t.State == "":
		return "answered"
	}
	return t.State
}

// talk puts messages and tools in the order in which they happened here.
func (v *callView) talk() {
	heard := heardAt(v.Call)
	cut := interrupted(v.Call)
	for i, m := range v.Transcript {
		b := &bubble{ID: m.ID, Assistant: m.FromAssistant(), Text: v.text(m.Text), At: heard[i].Sub(v.FirstSeen), Cut: cut[i]}
		for _, s := range m.Interrupted {
			b.Skipped = append(b.Skipped, v.text(s.Text))
		}
		if x := m.Metrics; x != nil {
			b.Speech = pos(x.STT.RelativeLatency) + pos(x.EndOfUtterance.TurnDetection)
			b.Model = pos(x.LLM.Queue) + pos(x.LLM.Response)
			b.Voice = pos(x.TTS.Queue) + pos(x.TTS.Generation)
		}
		v.Talk = append(v.Talk, talk{Bubble: b, at: heard[i], order: i})
	}
	for i := range v.Tools {
		v.Talk = append(v.Talk, talk{Tool: &v.Tools[i], at: v.Tools[i].ReceivedAt, order: -1})
	}
	slices.SortStableFunc(v.Talk, func(a, b talk) int { return a.at.Compare(b.at) })
	for _, m := range v.Superseded {
		v.Talk = append(v.Talk, talk{Bubble: &bubble{ID: m.ID, Assistant: m.FromAssistant(), Text: v.text(m.Text), Dropped: true}})
	}
}

func pos(f float64) float64 { return max(f, 0) }

// heardAt is when each message of the conversation came here: by the time of
// the event that brought it, because the sender's clock is another one.
func heardAt(c calls.Call) []time.Time {
	at := make([]time.Time, len(c.Transcript))
	for i := range at {
		at[i] = c.LastSeen
	}
	for _, e := range c.Events {
		for i := e.PrefixLen; i < e.PrefixLen+e.Added && i < len(at); i++ {
			at[i] = e.Received
		}
	}
	return at
}

// interrupted tells which messages the caller cut short, by the report's
// figures: those of the assistant's turns that answer a message of the
// caller's, else the turns in their order.
func interrupted(c calls.Call) map[int]bool {
	cut := map[int]bool{}
	if c.Info.Metrics == nil {
		return cut
	}
	var ours []int
	answer := map[string]int{}
	last := ""
	for i, m := range c.Transcript {
		if !m.FromAssistant() {
			last = m.ID
			continue
		}
		ours = append(ours, i)
		if _, there := answer[last]; !there && last != "" {
			answer[last] = i
		}
	}
	turns := c.Info.Metrics.Stats.TurnStats.Assistant
	for n, t := range turns {
		if !t.Interrupted {
			continue
		}
		if i, ok := answer[t.UserMessageID]; ok && t.UserMessageID != "" {
			cut[i] = true
		} else if len(turns) == len(ours) {
			cut[ours[n]] = true
		}
	}
	return cut
}

// timeline is what came here, in the order in which it came.
func (v *callView) timeline(repeats []calls.EventArrival) {
	messages := 0
	for i, e := range v.Events {
		l := line{Kind: "event", Label: string(e.Type), when: e.Received, N: i + 1, Link: fmt.Sprintf("#event-%d", i+1)}
		if e.Stale {
			l.Marks = append(l.Marks, mark{"late", "an older snapshot of the conversation than what was known"})
			v.Late++
		}
		if e.Added > 0 {
			l.Detail = plural(e.Added, "new message")
		}
		if e.Type == event.TypeConversationUpdate && e.PrefixLen < messages && !e.Stale {
			l.Marks = append(l.Marks, mark{"rewritten", "it replaced a part of the conversation"})
		}
		if !e.Stale {
			messages = e.PrefixLen + e.Added
		}
		if strings.HasPrefix(e.ID, "repair") {
			l.Marks = append(l.Marks, mark{"repaired", "it never came; the calls API told it afterwards"})
		}
		if e.Type == event.TypeHang || e.Type == event.TypeError {
			l.Level = Risky
		}
		v.Lines = append(v.Lines, l)
	}
	for _, e := range repeats {
		v.Lines = append(v.Lines, line{Kind: "event", Label: string(e.Type), when: e.Received,
			Marks: []mark{{"duplicate", "it came before, and changed nothing"}}})
	}
	for _, t := range v.Tools {
		l := line{Kind: "tool", Label: cmp.Or(t.Tool, "unknown tool"), Detail: t.Word(), when: t.ReceivedAt, Took: t.Latency, Budget: t.BudgetOr, Level: t.Level, Link: t.Link,
			Slow: t.Slow()}
		if t.Slow() {
			l.Marks = append(l.Marks, mark{"slow", "it used most of its budget"})
		}
		if t.Replayed || t.Nth > 1 {
			l.Marks = append(l.Marks, mark{"duplicate", "the same request again; it got the same bytes"})
		}
		if t.Level == Ignored {
			l.Marks = append(l.Marks, mark{"ignored", "the assistant gets nothing of this reply"})
		}
		v.Lines = append(v.Lines, l)
	}
	switch v.EndReason {
	case event.EndReasonReportTimeout, event.EndReasonIdleTimeout:
		v.Lines = append(v.Lines, line{Kind: "event", Label: "ended here", when: v.LastSeen, Detail: string(v.EndReason),
			Marks: []mark{{"repaired", "no report came; the sweep ended the call"}}, Level: Risky})
	case event.EndReasonReport, event.EndReasonBackfill: // the report's own line shows the end
	}
	slices.SortStableFunc(v.Lines, func(a, b line) int { return a.when.Compare(b.when) })
	for i := range v.Lines {
		v.Lines[i].At = v.Lines[i].when.Sub(v.FirstSeen)
	}
}

// turns pairs what the caller's side took with what the assistant's did.
func (v *callView) turns() {
	speech, longest := 0.0, 0.0
	for _, m := range v.Transcript {
		x := m.Metrics
		if x == nil {
			continue
		}
		if !m.FromAssistant() {
			speech = pos(x.STT.RelativeLatency) + pos(x.EndOfUtterance.TurnDetection)
			continue
		}
		t := turn{N: len(v.Turns) + 1, Speech: speech, Model: pos(x.LLM.Queue) + pos(x.LLM.Response),
			Voice: pos(x.TTS.Queue) + pos(x.TTS.Generation), Wait: pos(x.Player.Wait), Text: v.text(m.Text)}
		speech = 0
		if t.Total = t.Speech + t.Model + t.Voice; t.Total > 0 {
			v.Turns = append(v.Turns, t)
			longest = max(longest, t.Total)
		}
	}
	for i := range v.Turns {
		v.Turns[i].Scale = longest
	}
}

func (v *callView) alarms() {
	for _, t := range v.Tools {
		if t.Level == Ignored {
			v.Alarms = append(v.Alarms, alarm{Ignored, "A reply of " + cmp.Or(t.Tool, "a tool") + " would be ignored", "because " + t.Findings[0].Because + ".", t.Link})
		}
	}
	for _, t := range v.Tools {
		if t.Slow() {
			v.Alarms = append(v.Alarms, alarm{Risky, cmp.Or(t.Tool, "A tool") + " was slow",
				fmt.Sprintf("It took %s of a budget of %s; the caller hears silence as a hang after 5 s.", span(t.Latency), span(t.BudgetOr)), t.Link})
		}
	}
	if v.HangCount > 0 {
		v.Alarms = append(v.Alarms, alarm{Risky, plural(v.HangCount, "hang"), "The assistant was silent for 5 s. Look at what ran just before in the time line.", "#timeline"})
	}
	if v.ErrorCount > 0 {
		v.Alarms = append(v.Alarms, alarm{Risky, plural(v.ErrorCount, "error"), "A model or a voice failed. The event has the vendor's code.", "#events"})
	}
	if v.Ended && v.EndReason != event.EndReasonReport {
		v.Alarms = append(v.Alarms, alarm{Risky, "There is no report", "The call was ended here: " + string(v.EndReason) + ".", "#timeline"})
	}
}

func (v *callView) facts() {
	add := func(name, value string, secret bool) {
		if value != "" {
			if secret {
				value = v.text(value)
			}
			v.Facts = append(v.Facts, fact{name, value, secret})
		}
	}
	add("Assistant", cmp.Or(v.Call.Assistant.Name, v.Summary.Assistant), false)
	add("Kind", strings.TrimSpace(v.Info.Type+" "+v.Info.Direction), false)
	add("Caller", v.Info.UserNumber, true)
	add("Called", v.Info.AssistantNumber, true)
	add("Started", v.FirstSeen.Local().Format("2006-01-02 15:04:05"), false)
	add("Ended by", v.EndedBy, false)
	add("Phone", v.Phone.Provider.Name, false)
	add("Model", strings.TrimSpace(v.Call.Assistant.Provider+" "+v.Call.Assistant.Model), false)
	if c := v.Info.Cost; c != nil {
		for _, f := range []struct {
			name string
			v    float64
		}{{"Interactly", c.Interactly}, {"Phone", c.Phone}, {"Speech", c.STT}, {"Model", c.LLM}, {"Voice", c.TTS}, {"Analysis", c.Analysis.Total}, {"Total", c.Total}} {
			v.Costs = append(v.Costs, fact{f.name, strconv.FormatFloat(f.v, 'f', 4, 64), false})
		}
	}
}

// event is one event's body.
func (p *Page) event(w http.ResponseWriter, r *http.Request) {
	body, _, ok := p.eventBody(w, r)
	if !ok {
		return
	}
	e := p.sees(r, r.PathValue("id"))
	p.renderPart(w, "call", "eventbody", struct {
		frame
		Body string
		Call event.CallID
		N    string
		eye
	}{p.frame(r, "", ""), e.json(body, false), callOf(r), r.PathValue("n"), e})
}

func (p *Page) eventBody(w http.ResponseWriter, r *http.Request) (body []byte, typ event.Type, ok bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 {
		p.message(w, r, http.StatusNotFound, "There is no such event.", "")
		return nil, "", false
	}
	i := 0
	for e, err := range calls.Events(r.Context(), p.o.Store, callOf(r)) {
		if err != nil {
			p.storeTrouble(w, r)
			return nil, "", false
		}
		if i++; i == n {
			return e.Body, e.Type, true
		}
	}
	p.message(w, r, http.StatusNotFound, "There is no such event.", "")
	return nil, "", false
}
