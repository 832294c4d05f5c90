package inspect

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
)

// toolStats are the statistics of a tool over the newest requests.
type toolStats struct {
	Name          string
	Count         int
	Errors        int // failed, unknown, or the store was unavailable
	Refused       int
	Late          int
	Ignored       int
	P50, P95, P99 time.Duration
	Tool          *core.Tool // nil if the processor does not have it
	Budget        time.Duration
	Effect        string
	Scale         time.Duration // of the latency bars of all tools
}

// toolStats returns the statistics of all tools that were called.
func (x *index) toolStats() map[string]*toolStats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := map[string]*toolStats{}
	latencies := map[string][]time.Duration{}
	for _, r := range x.requests {
		if r.tool == "" {
			continue
		}
		s := all[r.tool]
		if s == nil {
			s = &toolStats{Name: r.tool}
			all[r.tool] = s
		}
		s.Count++
		switch r.state {
		case "failed", "unknown", "store down":
			s.Errors++
		case "refused", "unreadable":
			s.Refused++
		case "late":
			s.Late++
		}
		if r.ignored {
			s.Ignored++
		}
		latencies[r.tool] = append(latencies[r.tool], r.took)
	}
	for name, ds := range latencies {
		slices.Sort(ds)
		s := all[name]
		s.P50, s.P95, s.P99 = quantile(ds, 0.5), quantile(ds, 0.95), quantile(ds, 0.99)
	}
	return all
}

// quantile returns the value at the nearest rank: with few values the 99th
// percentile is the largest.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// effects are the words for core's effects.
var effects = [...]string{core.ReadOnly: "read-only", core.Idempotent: "safe to retry", core.SideEffect: "has a side effect"}

// toolStats returns the processor's tools in their order, then others that were
// called, by name.
func (p *Server) toolStats() []toolStats {
	called := p.index.toolStats()
	var all []toolStats
	if p.o.Processor != nil {
		for _, t := range p.o.Processor.Tools() {
			s := called[t.Name]
			if s == nil {
				s = &toolStats{Name: t.Name}
			}
			s.Tool, s.Budget, s.Effect = &t, t.Budget, effects[t.Effect]
			all = append(all, *s)
			delete(called, t.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(called)) {
		all = append(all, *called[name])
	}
	scale := barScale
	for _, s := range all {
		scale = max(scale, s.P99*10/9)
	}
	for i := range all {
		all[i].Budget, all[i].Scale = cmp.Or(all[i].Budget, core.DefaultBudget), scale
	}
	return all
}

func (p *Server) tools(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, "tools", struct {
		frame
		Stats          []toolStats
		HasDefinitions bool
	}{p.frame(r, "Tools", "tools"), p.toolStats(), p.o.Processor != nil})
}

// recentRequests is how many requests the page of a tool lists.
const recentRequests = 20

// tool serves the page of a tool.
func (p *Server) tool(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	all := p.toolStats()
	i := slices.IndexFunc(all, func(s toolStats) bool { return s.Name == name })
	if i < 0 {
		p.message(w, r, http.StatusNotFound, "There is no such tool here.", "")
		return
	}
	v := struct {
		frame
		Stats      toolStats
		Definition string
		Fields     []field
		Confirm    bool
		Recent     []toolView
	}{frame: p.frame(r, name, "tools"), Stats: all[i], Confirm: p.hasEffect(name)}
	if d, ok := p.definition(name); ok {
		v.Fields = fields(d.Function.Parameters)
		if b, err := json.Marshal(d, jsontext.WithIndent("  ")); err == nil {
			v.Definition = string(b)
		}
	}
	for _, id := range p.index.recent(name, recentRequests) {
		if req, ok, err := calls.ReadToolRequest(r.Context(), p.store, id); err == nil && ok {
			v.Recent = append(v.Recent, newToolView(req.ToolRequest, req.ID, obscurer{open: p.o.Synthetic}))
		}
	}
	p.render(w, r, "tool", v)
}

// recent returns the ids of the newest requests of a tool.
func (x *index) recent(tool string, limit int) (ids []string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, r := range x.requests {
		if r.tool == tool && len(ids) < limit {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// definition returns a tool's definition with the backend's URL in it.
func (p *Server) definition(name string) (core.ToolDefinition, bool) {
	if p.o.Processor == nil {
		return core.ToolDefinition{}, false
	}
	ds, err := p.o.Processor.ToolDefinitions(p.o.BackendURL, core.DefinitionOptions{})
	if err != nil {
		return core.ToolDefinition{}, false
	}
	for _, d := range ds {
		if d.Function.Name == name {
			return d, true
		}
	}
	return core.ToolDefinition{}, false
}
