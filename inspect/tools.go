package inspect

import (
	"bytes"
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/replylint"
)

// A toolStat is what the newest requests say of a tool.
type toolStat struct {
	Name          string
	Count         int
	Errors        int // failed, unknown, or the store was down
	Refused       int
	Late          int
	Ignored       int
	P50, P95, P99 time.Duration
	Longest       time.Duration
	Last          time.Time
	Tool          *core.Tool
	Budget        time.Duration
	Effect        string
	Scale         time.Duration
}

// stats are the figures of all tools that were called.
func (x *index) stats() map[string]*toolStat {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := map[string]*toolStat{}
	took := map[string][]time.Duration{}
	for _, r := range x.requests {
		if r.tool == "" {
			continue
		}
		s := all[r.tool]
		if s == nil {
			s = &toolStat{Name: r.tool, Last: r.at}
			all[r.tool] = s
		}
		s.Count++
		switch r.state {
		case "failed", "unknown", "store down":
			s.Errors++
		case "refused":
			s.Refused++
		case "late":
			s.Late++
		}
		if r.ignored {
			s.Ignored++
		}
		took[r.tool] = append(took[r.tool], r.took)
	}
	for name, ds := range took {
		slices.Sort(ds)
		s := all[name]
		s.P50, s.P95, s.P99, s.Longest = quantile(ds, 0.5), quantile(ds, 0.95), quantile(ds, 0.99), ds[len(ds)-1]
	}
	return all
}

// quantile is the nearest rank: of few values the 99th of a hundred is the
// largest.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// toolStats are the tools of the processor in their order, then others that
// were called.
func (p *Page) toolStats() []toolStat {
	all := p.index.stats()
	var out []toolStat
	scale := 6 * time.Second
	put := func(s *toolStat) {
		s.Budget = core.DefaultBudget
		if s.Tool != nil {
			s.Budget = cmp.Or(s.Tool.Budget, core.DefaultBudget)
			s.Effect = [...]string{"changes something", "only looks", "may run again"}[s.Tool.Effect]
		}
		scale = max(scale, s.P99*10/9)
		out = append(out, *s)
	}
	if p.o.Processor != nil {
		for _, t := range p.o.Processor.Tools() {
			s := all[t.Name]
			if s == nil {
				s = &toolStat{Name: t.Name}
			}
			s.Tool = &t
			put(s)
			delete(all, t.Name)
		}
	}
	for _, name := range names(toSet(all), "") {
		put(all[name])
	}
	for i := range out {
		out[i].Scale = scale
	}
	return out
}

func toSet[V any](m map[string]V) map[string]bool {
	set := map[string]bool{}
	for k := range m {
		set[k] = true
	}
	return set
}

func (p *Page) tools(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, "tools", struct {
		frame
		Stats []toolStat
		Known bool
	}{p.frame(r, "Tools", "tools"), p.toolStats(), p.o.Processor != nil})
}

// A field is an argument in the form that tries a tool.
type field struct {
	Name, About, Type string
	Required          bool
	Enum              []string
	Lines             bool // an object or a list, as JSON
}

func (p *Page) tool(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	v := struct {
		frame
		Stat       toolStat
		Definition string
		Fields     []field
		Confirm    bool
		Recent     []toolView
		obscurer
	}{frame: p.frame(r, name, "tools"), Confirm: p.changes(name), obscurer: obscurer{open: p.o.MadeUp}}
	found := false
	for _, s := range p.toolStats() {
		if s.Name == name {
			v.Stat, found = s, true
		}
	}
	if !found {
		p.message(w, r, http.StatusNotFound, "There is no such tool here.", "")
		return
	}
	if p.o.Processor != nil {
		for _, d := range p.o.Processor.Definitions(p.o.Target) {
			if d.Function.Name == name {
				if b, err := json.Marshal(d, jsontext.WithIndent("  ")); err == nil {
					v.Definition = string(b)
				}
				v.Fields = fields(d.Function.Parameters)
			}
		}
	}
	p.index.mu.RLock()
	var ids []string
	for _, q := range p.index.requests {
		if q.tool == name && len(ids) < 20 {
			ids = append(ids, q.id)
		}
	}
	p.index.mu.RUnlock()
	for _, id := range ids {
		if k, ok, err := core.ReadToolRequest(r.Context(), p.o.Store, id); err == nil && ok {
			v.Recent = append(v.Recent, newToolView(k.ToolRequest, k.ID, v.obscurer))
		}
	}
	p.render(w, r, "tool", v)
}

// fields reads a schema of an object.
func fields(schema jsontext.Value) []field {
	var s struct {
		Properties jsontext.Value `json:"properties"`
		Required   []string       `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(s.Properties))
	if _, err := dec.ReadToken(); err != nil || s.Properties.Kind() != '{' {
		return nil
	}
	var all []field
	for dec.PeekKind() == '"' { // in the schema's order
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		name := token.String()
		raw, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		var one struct {
			Type        jsontext.Value `json:"type"`
			Description string         `json:"description"`
			Enum        []any          `json:"enum"`
		}
		_ = json.Unmarshal(raw, &one)
		f := field{Name: name, About: one.Description, Required: slices.Contains(s.Required, name), Type: typeOf(one.Type)}
		for _, e := range one.Enum {
			if text, ok := e.(string); ok {
				f.Enum = append(f.Enum, text)
			}
		}
		f.Lines = f.Type == "object" || f.Type == "array"
		all = append(all, f)
	}
	return all
}

func typeOf(v jsontext.Value) string {
	var one string
	if json.Unmarshal(v, &one) == nil {
		return one
	}
	var many []string
	if json.Unmarshal(v, &many) == nil {
		for _, m := range many {
			if m != "null" {
				return m
			}
		}
	}
	return "string"
}

// try calls a tool with what was typed.
func (p *Page) try(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	name := r.PathValue("name")
	if p.o.Processor == nil || p.o.ReadOnly || p.o.Target == "" {
		p.sentPart(w, sent{Error: "Tools cannot be tried from this page."})
		return
	}
	if p.changes(name) && r.PostFormValue("confirm") != "yes" {
		p.sentPart(w, sent{Error: "This tool changes something. Tick the box to say that you mean it."})
		return
	}
	args := map[string]jsontext.Value{}
	for _, d := range p.o.Processor.Definitions("") {
		if d.Function.Name != name {
			continue
		}
		for _, f := range fields(d.Function.Parameters) {
			typed := r.PostFormValue("arg-" + f.Name)
			if typed == "" {
				continue
			}
			args[f.Name] = asJSON(f, typed)
		}
	}
	body, err := json.Marshal(args, json.Deterministic(true))
	if err != nil {
		p.sentPart(w, sent{Error: "An argument is not sound JSON."})
		return
	}
	to, err := url.Parse(strings.TrimRight(p.o.Target, "/"))
	if err != nil {
		p.sentPart(w, sent{Error: "The backend has no URL."})
		return
	}
	s := sent{obscurer: obscurer{open: true}, IsTool: true} // whoever typed the question may read the answer
	status, typ, reply, took, err := p.post(r.Context(), to, "/tools/"+url.PathEscape(name), "POST", body)
	s.fill(to, status, reply, took, err)
	if err == nil {
		s.Findings = replylint.Check(replylint.Reply{Status: status, ContentType: typ, Body: reply, Latency: took})
	}
	p.sentPart(w, s)
}

// asJSON is a typed value as the schema wants it; what does not fit is sent as
// text, for the tool to refuse.
func asJSON(f field, typed string) jsontext.Value {
	v := jsontext.Value(strings.TrimSpace(typed))
	switch f.Type {
	case "boolean", "object", "array":
		if v.IsValid() {
			return v
		}
	case "number", "integer":
		if _, err := strconv.ParseFloat(string(v), 64); err == nil && v.IsValid() {
			return v
		}
	}
	b, err := json.Marshal(typed)
	if err != nil {
		return jsontext.Value("null")
	}
	return b
}

// request is one tool request.
func (p *Page) request(w http.ResponseWriter, r *http.Request) {
	k, found, err := core.ReadToolRequest(r.Context(), p.o.Store, r.PathValue("id"))
	switch {
	case err != nil:
		p.storeTrouble(w, r)
		return
	case !found:
		p.message(w, r, http.StatusNotFound, "There is no such tool request.", "They are kept for 30 days.")
		return
	}
	e := p.sees(r, seenAs(k))
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
		Of        time.Duration
	}{frame: p.frame(r, "Tool "+cmp.Or(k.Tool, "request"), "calls"), toolView: newToolView(k.ToolRequest, k.ID, e), obscurer: e, What: seenAs(k),
		Raw: e.replyText(k.Status, k.Reply), Confirm: p.changes(k.Tool), CanRepeat: k.Tool != "" && k.ToolRequest.Args != nil}
	_, v.Raw, _ = strings.Cut(v.Raw, "\n")
	v.Scale = max(6*time.Second, k.Took*10/9)
	if k.Call != "" {
		v.CallURL = callURL(k.Call)
		if all, err := core.ReadToolRequests(r.Context(), p.o.Store, k.Call); err == nil {
			for _, o := range all {
				if o.Same == k.Same && k.Same != "" {
					v.Same++
					if o.ID == k.ID {
						v.Nth = v.Same
					} else {
						v.Others = append(v.Others, newToolView(o.ToolRequest, o.ID, e))
					}
				}
			}
		}
	}
	p.render(w, r, "request", v)
}

// seenAs is what is shown when a request is: its call, where it has one.
func seenAs(k core.KeptRequest) string {
	if k.Call != "" {
		return string(k.Call)
	}
	return "request " + k.ID
}
