package simulate

import (
	"context"
	"net/http"
)

// A heldEvent is an event on its way. Others may overtake it.
type heldEvent struct {
	line     int
	kind     string
	body     []byte
	stranger []byte // what somebody without the secret sends before; nil for nothing
	messages int    // that it tells of
	after    int    // events to let pass first; negative: all of them
}

// event sends an event, or does to it what the faults say.
func (p *player) event(ctx context.Context, line int, kind string, e object) {
	p.c.know(p.o.API, e)
	h := heldEvent{line: line, kind: kind, messages: said(e)}
	if p.o.has(WrongSecret) {
		h.stranger = encode(p.shape(forged(e)))
	}
	h.body = encode(p.shape(e))
	switch {
	case p.o.has(Silent) || p.o.has(NoReport) && kind == "end-of-call-report":
		p.tell(Happening{Line: line, Kind: "note", Text: kind + " is never sent"})
	case p.o.has(Drop) && !last(kind, p.c.status) && p.rand.IntN(3) == 0:
		p.tell(Happening{Line: line, Kind: "note", Text: kind + " is lost on the way"})
	case p.o.has(Late) && p.rand.IntN(5) == 0:
		h.after = -1
		p.held = append(p.held, h)
	case p.o.has(Reorder) && p.rand.IntN(2) == 0:
		h.after = 1 + p.rand.IntN(3)
		p.held = append(p.held, h)
	default:
		p.post(ctx, h)
		p.release(ctx)
	}
}

// last reports whether no later event would repair the loss of this one.
func last(kind, status string) bool {
	return kind == "end-of-call-report" || (kind == "status-update" && (status == "finished" || status == "failed"))
}

func (p *player) shape(e object) object {
	if p.o.has(Legacy) {
		return legacy(e)
	}
	return e
}

// release sends held events that enough others have overtaken.
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

// flush sends what is still held, in no order.
func (p *player) flush(ctx context.Context) {
	p.rand.Shuffle(len(p.held), func(i, j int) { p.held[i], p.held[j] = p.held[j], p.held[i] })
	for _, h := range p.held {
		p.post(ctx, h)
	}
	p.held = nil
}

// post sends an event: once, as Interactly does, unless a fault says twice.
func (p *player) post(ctx context.Context, h heldEvent) {
	if h.stranger != nil {
		p.refused(ctx, h.line, h.kind, http.MethodPost, p.o.EventPath, h.stranger)
	}
	once := func() {
		a := p.send(ctx, http.MethodPost, p.o.EventPath, h.body, p.o.Secret)
		p.note(a, h.line, h.kind, false)
		switch {
		case ctx.Err() != nil:
		case a.err != nil:
			p.fail("line %d: %s: no answer: %v", h.line, h.kind, a.err)
		case a.status < 200 || a.status > 299:
			p.fail("line %d: %s: status %d, want 2xx: it is sent once, so it is lost", h.line, h.kind, a.status)
		}
	}
	p.told = max(p.told, h.messages)
	if p.o.has(Duplicate) {
		p.running.Go(once)
	}
	once()
}

// said is how many messages an event of the current shape carries.
func said(e object) int {
	ms, _ := e["message"].(object)["messages"].([]object)
	return len(ms)
}

// forged is e as a stranger would have it: the call has failed, and somebody
// said more. A backend that lets it in has another state in the end.
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
		m["messages"] = append(ms[:len(ms):len(ms)], object{"messageId": "stranger-1", "role": "user", "text": "A stranger said this.", "timestamp": m["timestamp"]})
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
