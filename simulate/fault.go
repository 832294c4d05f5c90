package simulate

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Fault is something that goes wrong between Interactly and the backend.
type Fault string

// The faults that a run can inject.
const (
	FaultDuplicate   Fault = "duplicate"    // every request is sent twice
	FaultReorder     Fault = "reorder"      // events arrive out of order
	FaultDrop        Fault = "drop"         // some events never arrive
	FaultLate        Fault = "late"         // some events arrive after the end of the call
	FaultWrongSecret Fault = "wrong-secret" // an unauthenticated client sends first, and must be rejected
	FaultLegacy      Fault = "legacy"       // events have the legacy layout
	FaultVapi        Fault = "vapi"         // tools are called in Vapi's envelopes
	FaultNoReport    Fault = "no-report"    // the report never arrives: only the API has it
	FaultSilent      Fault = "silent"       // no event ever arrives
)

// Faults are those under which the expectations of a scenario must hold.
var Faults = []Fault{FaultDuplicate, FaultReorder, FaultDrop, FaultLate, FaultWrongSecret, FaultLegacy, FaultVapi}

// LossFaults are the others: what they withhold, the backend can only recover
// later, from the API.
var LossFaults = []Fault{FaultNoReport, FaultSilent}

// ParseFaults parses a comma-separated list.
func ParseFaults(list string) ([]Fault, error) {
	var fs []Fault
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if all := slices.Concat(Faults, LossFaults); !slices.Contains(all, Fault(name)) {
			return nil, fmt.Errorf("simulate: unknown fault %q; there are %v", name, all)
		}
		fs = append(fs, Fault(name))
	}
	return fs, nil
}

func (o Options) has(f Fault) bool { return slices.Contains(o.Faults, f) }

// A heldEvent is an event on its way. Later events may arrive before it.
type heldEvent struct {
	line     int
	kind     string
	body     []byte
	forged   []byte // what an unauthenticated client sends first; nil for nothing
	messages int    // that it carries
	after    int    // how many events are sent before it; negative: all
}

// event sends an event, subject to the faults.
func (p *player) event(ctx context.Context, line int, kind string, e object) {
	p.c.updateAPI(p.o.API, e)
	h := heldEvent{line: line, kind: kind, messages: messageCount(e)}
	if p.o.has(FaultWrongSecret) {
		h.forged = encode(p.shape(forged(e)))
	}
	h.body = encode(p.shape(e))
	switch {
	case p.o.has(FaultSilent) || p.o.has(FaultNoReport) && kind == "end-of-call-report":
		p.notify(Progress{Line: line, Kind: "note", Text: kind + " is never sent"})
	case p.o.has(FaultDrop) && !isFinal(kind, p.c.status) && p.rand.IntN(3) == 0:
		p.notify(Progress{Line: line, Kind: "note", Text: kind + " is lost"})
	case p.o.has(FaultLate) && p.rand.IntN(5) == 0:
		h.after = -1
		p.held = append(p.held, h)
	case p.o.has(FaultReorder) && p.rand.IntN(2) == 0:
		h.after = 1 + p.rand.IntN(3)
		p.held = append(p.held, h)
	default:
		p.post(ctx, h)
		p.release(ctx)
	}
}

// isFinal reports whether no later event makes up for the loss of this one.
func isFinal(kind, status string) bool {
	return kind == "end-of-call-report" || (kind == "status-update" && (status == "finished" || status == "failed"))
}

// shape returns e in the layout that the faults select.
func (p *player) shape(e object) object {
	if p.o.has(FaultLegacy) {
		return legacy(e)
	}
	return e
}

// release sends the held events that enough others have passed.
func (p *player) release(ctx context.Context) {
	var still []heldEvent
	for _, h := range p.held {
		if h.after--; h.after == 0 {
			p.post(ctx, h)
			continue
		}
		still = append(still, h)
	}
	p.held = still
}

// flush sends all held events in random order.
func (p *player) flush(ctx context.Context) {
	p.rand.Shuffle(len(p.held), func(i, j int) { p.held[i], p.held[j] = p.held[j], p.held[i] })
	for _, h := range p.held {
		p.post(ctx, h)
	}
	p.held = nil
}

// post sends an event once, as Interactly does, or twice with FaultDuplicate.
func (p *player) post(ctx context.Context, h heldEvent) {
	if h.forged != nil {
		p.sendForged(ctx, h.line, h.kind, http.MethodPost, "/events", nil, h.forged)
	}
	once := func() {
		a := p.send(ctx, http.MethodPost, "/events", nil, h.body, p.o.Secret)
		p.record(a, h.line, h.kind, false)
		switch {
		case ctx.Err() != nil:
		case a.err != nil:
			p.fail(h.line, "%s: no reply: %v", h.kind, a.err)
		case a.status < 200 || a.status > 299:
			p.fail(h.line, "%s: status %d, want 2xx: Interactly sends it once, so it is lost", h.kind, a.status)
		default:
			p.accepted.Add(1)
		}
	}
	p.sentMessages = max(p.sentMessages, h.messages)
	if p.o.has(FaultDuplicate) {
		p.running.Go(once)
	}
	once()
}

// messageCount returns how many messages an event of the current layout carries.
func messageCount(e object) int {
	ms, _ := e["message"].(object)["messages"].([]object)
	return len(ms)
}

// forged returns e with another status and one more message. A backend that
// accepts it has another final state.
func forged(e object) object {
	m := cloned(e["message"].(object))
	if c, ok := m["call"].(object); ok {
		c = cloned(c)
		if m["type"] == "status-update" {
			c["status"] = "failed"
		}
		m["call"] = c
	}
	if ms, ok := m["messages"].([]object); ok {
		m["messages"] = append(ms[:len(ms):len(ms)], object{"messageId": "forged-1", "role": "user", "text": "This message is forged.", "timestamp": m["timestamp"]})
	}
	return object{"message": m}
}

func cloned(o object) object {
	out := make(object, len(o)+1)
	for k, v := range o {
		out[k] = v
	}
	return out
}
