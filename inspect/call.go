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
	"github.com/serverurl/serverurl/replylint"
)

// A callView is all that the page of a call shows.
type callView struct {
	frame
	core.Call
	obscurer
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
	Level  replylint.Level
	Link   string
	N      int // of the event, from 1
	when   time.Time
	Slow   bool
}

type mark struct{ Word, Why string }

// A toolView is a tool request as it is shown.
type toolView struct {
	core.ToolRequest
	ID        string // "" when only the run is known
	Args      string // masked
	Say       string // masked
	Findings  []replylint.Finding
	Level     replylint.Level
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
	Level replylint.Level
	Title string
	Text  string
	Link  string
}

func (p *Page) call(w http.ResponseWriter, r *http.Request) {
	id := callOf(r)
	v, err := p.readCall(r.Context(), id, p.sees(r, string(id)))
	switch {
	case errors.Is(err, core.ErrNoCall):
		p.message(w, r, http.StatusNotFound, "There is no such call here.", "It may be kept in another store, or nothing of it has come yet.")
		return
	case err != nil:
		p.storeTrouble(w, r)
		return
	}
	v.frame = p.frame(r, "Call "+short(string(id)), "calls")
	v.Prev, v.NextCall = p.index.neighbours(id)
	p.render(w, r, "call", v)
}

// neighbours are the calls above and below in the list.
func (x *index) neighbours(id core.CallID) (prev, next string) {
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

func callURL(id core.CallID) string { return "/calls/" + url.PathEscape(string(id)) }

// readCall puts together what is known of a call.
func (p *Page) readCall(ctx context.Context, id core.CallID, e obscurer) (*callView, error) {
	c, err := core.ReadCall(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	kept, err := core.ReadToolRequests(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	repeats, err := core.ReadRepeats(ctx, p.o.Store, id)
	if err != nil {
		return nil, err
	}
	v := &callView{Call: c, obscurer: e, What: string(id), Repeats: len(repeats), Scale: 6 * time.Second, EndedBy: c.Info.EndedBy()}
	v.Live = !c.Ended && !c.Status.Terminal()
	if v.Duration = c.Info.Duration(); v.Duration <= 0 {
		v.Duration = c.Last.Sub(c.First)
	}
	v.Tools = toolViews(c, kept, e)
	for _, t := range v.Tools {
		v.Scale = max(v.Scale, t.Took*10/9)
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
func toolViews(c core.Call, kept []core.KeptRequest, e obscurer) []toolView {
	var all []toolView
	count, seen := map[string]int{}, map[string]int{}
	for _, k := range kept {
		if k.Same != "" {
			count[k.Same]++
		}
	}
	told := map[string]bool{}
	for _, k := range kept {
		t := newToolView(k.ToolRequest, k.ID, e)
		t.Offset = k.At.Sub(c.First)
		if k.Same != "" {
			seen[k.Same]++
			t.Same, t.Nth = count[k.Same], seen[k.Same]
		}
		told[k.Tool+string(k.ToolRequest.Args)] = true
		all = append(all, t)
	}
	for _, run := range c.Tools {
		if told[run.Tool+string(run.Args)] {
			continue
		}
		r := core.ToolRequest{At: run.Started, Tool: run.Tool, Call: c.ID, State: run.State, Args: run.Args, Result: run.Result, Status: 200}
		if !run.Finished.IsZero() {
			r.Took = run.Finished.Sub(run.Started)
		}
		t := newToolView(r, "", e)
		t.Findings, t.Level, t.Estimated = nil, replylint.LevelOK, true
		t.Offset = run.Started.Sub(c.First)
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b toolView) int { return a.At.Compare(b.At) })
	return all
}

func newToolView(r core.ToolRequest, id string, e obscurer) toolView {
	t := toolView{ToolRequest: r, ID: id, Args: e.JSON(r.Args, true), Say: e.Text(r.Result), BudgetOr: cmp.Or(r.Budget, core.DefaultBudget)}
	t.Findings = replylint.Check(replylint.ReplyOf(r))
	t.Level = replylint.Worst(t.Findings)
	if id != "" {
		t.Link = "/requests/" + url.PathEscape(id)
	}
	return t
}

// Slow reports whether it used most of its budget.
func (t toolView) Slow() bool { return replylint.Slow(t.Took, t.Budget) }

// Word is the state for people.
func (t toolView) Word() string {
	switch {
	case t.Level == replylint.LevelError:
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
		b := &bubble{ID: m.ID, Assistant: m.FromAssistant(), Text: v.Text(m.Text), At: heard[i].Sub(v.First), Cut: cut[i]}
		for _, s := range m.Skipped {
			b.Skipped = append(b.Skipped, v.Text(s.Text))
		}
		if x := m.Metrics; x != nil {
			b.Speech = pos(x.STT.RelativeLatency) + pos(x.EndOfUtterance.TurnDetection)
			b.Model = pos(x.LLM.Queue) + pos(x.LLM.Response)
			b.Voice = pos(x.TTS.Queue) + pos(x.TTS.Generation)
		}
		v.Talk = append(v.Talk, talk{Bubble: b, at: heard[i], order: i})
	}
	for i := range v.Tools {
		v.Talk = append(v.Talk, talk{Tool: &v.Tools[i], at: v.Tools[i].At, order: -1})
	}
	slices.SortStableFunc(v.Talk, func(a, b talk) int { return a.at.Compare(b.at) })
	for _, m := range v.Dropped {
		v.Talk = append(v.Talk, talk{Bubble: &bubble{ID: m.ID, Assistant: m.FromAssistant(), Text: v.Text(m.Text), Dropped: true}})
	}
}

func pos(f float64) float64 { return max(f, 0) }

// heardAt is when each message of the conversation came here: by the time of
// the event that brought it, because the sender's clock is another one.
func heardAt(c core.Call) []time.Time {
	at := make([]time.Time, len(c.Transcript))
	for i := range at {
		at[i] = c.Last
	}
	for _, e := range c.Events {
		for i := e.Keep; i < e.Keep+e.New && i < len(at); i++ {
			at[i] = e.Received
		}
	}
	return at
}

// interrupted tells which messages the caller cut short, by the report's
// figures: those of the assistant's turns that answer a message of the
// caller's, else the turns in their order.
func interrupted(c core.Call) map[int]bool {
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
func (v *callView) timeline(repeats []core.EventArrival) {
	messages := 0
	for i, e := range v.Events {
		l := line{Kind: "event", Label: string(e.Type), when: e.Received, N: i + 1, Link: fmt.Sprintf("#event-%d", i+1)}
		if e.Late {
			l.Marks = append(l.Marks, mark{"late", "an older snapshot of the conversation than what was known"})
			v.Late++
		}
		if e.New > 0 {
			l.Detail = plural(e.New, "new message")
		}
		if e.Type == core.EventConversationUpdate && e.Keep < messages && !e.Late {
			l.Marks = append(l.Marks, mark{"rewritten", "it replaced a part of the conversation"})
		}
		if !e.Late {
			messages = e.Keep + e.New
		}
		if e.Repaired {
			l.Marks = append(l.Marks, mark{"repaired", "it never came; the calls API told it afterwards"})
		}
		if e.Type == core.EventHang || e.Type == core.EventError {
			l.Level = replylint.LevelWarning
		}
		v.Lines = append(v.Lines, l)
	}
	for _, e := range repeats {
		v.Lines = append(v.Lines, line{Kind: "event", Label: string(e.Type), when: e.Received,
			Marks: []mark{{"duplicate", "it came before, and changed nothing"}}})
	}
	for _, t := range v.Tools {
		l := line{Kind: "tool", Label: cmp.Or(t.Tool, "unknown tool"), Detail: t.Word(), when: t.At, Took: t.Took, Budget: t.BudgetOr, Level: t.Level, Link: t.Link,
			Slow: t.Slow()}
		if t.Slow() {
			l.Marks = append(l.Marks, mark{"slow", "it used most of its budget"})
		}
		if t.Replayed || t.Nth > 1 {
			l.Marks = append(l.Marks, mark{"duplicate", "the same request again; it got the same bytes"})
		}
		if t.Level == replylint.LevelError {
			l.Marks = append(l.Marks, mark{"ignored", "the assistant gets nothing of this reply"})
		}
		v.Lines = append(v.Lines, l)
	}
	if v.Ended && !v.EndReason.HasReport() {
		v.Lines = append(v.Lines, line{Kind: "event", Label: "ended here", when: v.Last, Detail: string(v.EndReason),
			Marks: []mark{{"ended here", "no report came; the sweep ended the call"}}, Level: replylint.LevelWarning})
	}
	slices.SortStableFunc(v.Lines, func(a, b line) int { return a.when.Compare(b.when) })
	for i := range v.Lines {
		v.Lines[i].At = v.Lines[i].when.Sub(v.First)
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
			Voice: pos(x.TTS.Queue) + pos(x.TTS.Generation), Wait: pos(x.Player.Wait), Text: v.Text(m.Text)}
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
		if t.Level == replylint.LevelError {
			v.Alarms = append(v.Alarms, alarm{replylint.LevelError, "A reply of " + cmp.Or(t.Tool, "a tool") + " would be ignored", "because " + t.Findings[0].Reason + ".", t.Link})
		}
	}
	for _, t := range v.Tools {
		if t.Slow() {
			v.Alarms = append(v.Alarms, alarm{replylint.LevelWarning, cmp.Or(t.Tool, "A tool") + " was slow",
				fmt.Sprintf("It took %s of a budget of %s; the caller hears silence as a hang after 5 s.", span(t.Took), span(t.BudgetOr)), t.Link})
		}
	}
	if v.Hangs > 0 {
		v.Alarms = append(v.Alarms, alarm{replylint.LevelWarning, plural(v.Hangs, "hang"), "The assistant was silent for 5 s. Look at what ran just before in the time line.", "#timeline"})
	}
	if v.Errors > 0 {
		v.Alarms = append(v.Alarms, alarm{replylint.LevelWarning, plural(v.Errors, "error"), "A model or a voice failed. The event has the vendor's code.", "#events"})
	}
	if v.Ended && !v.EndReason.HasReport() {
		v.Alarms = append(v.Alarms, alarm{replylint.LevelWarning, "There is no report", "The call was ended here: " + string(v.EndReason) + ".", "#timeline"})
	}
}

func (v *callView) facts() {
	add := func(name, value string, secret bool) {
		if value != "" {
			if secret {
				value = v.Text(value)
			}
			v.Facts = append(v.Facts, fact{name, value, secret})
		}
	}
	add("Assistant", cmp.Or(v.Call.Assistant.Name, v.CallSummary.Assistant), false)
	add("Kind", strings.TrimSpace(v.Info.Type+" "+v.Info.Direction), false)
	add("Caller", v.Info.UserNumber, true)
	add("Called", v.Info.AssistantNumber, true)
	add("Started", v.First.Local().Format("2006-01-02 15:04:05"), false)
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
		Call core.CallID
		N    string
		obscurer
	}{p.frame(r, "", ""), e.JSON(body, false), callOf(r), r.PathValue("n"), e})
}

func (p *Page) eventBody(w http.ResponseWriter, r *http.Request) (body []byte, typ core.EventType, ok bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 {
		p.message(w, r, http.StatusNotFound, "There is no such event.", "")
		return nil, "", false
	}
	i := 0
	for e, err := range core.ReadEvents(r.Context(), p.o.Store, callOf(r)) {
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
