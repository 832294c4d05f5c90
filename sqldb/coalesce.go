package sqldb

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/event"
)

// An update is a conversation-update. A later one may be stored instead of
// earlier ones of its call, because each repeats the conversation.
type update struct {
	call     event.CallID
	received time.Time
	body     []byte
	compared bool // not subsumed by a later one, so it is not compared again
}

// prioritize orders the waiting puts by priority, and lets the newest update of
// a call be stored instead of those that it subsumes.
func (b *batcher) prioritize() {
	newest := map[event.CallID]*put{}
	for _, p := range b.waiting {
		if p.update == nil || !p.hasWaiter() {
			continue
		}
		if n := newest[p.update.call]; n == nil || p.update.received.After(n.update.received) && len(p.update.body) >= len(n.update.body) {
			newest[p.update.call] = p
		}
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(p *put) bool {
		if p.update == nil || p.update.compared {
			return false
		}
		n := newest[p.update.call]
		if n == nil || n == p {
			return false
		}
		if !n.update.subsumes(p.update) {
			p.update.compared = true // comparing takes time
			return false
		}
		n.coalesced = append(n.coalesced, p)
		b.bytes -= p.size
		p.jobs = nil // it is not stored, so its memory can be freed
		b.coalesced++
		return true
	})
	slices.SortStableFunc(b.waiting, func(p, q *put) int { return cmp.Compare(max(1, p.priority), max(1, q.priority)) })
}

// subsumes reports whether u says everything that o says: it is later and
// contains o, with more messages at the end and another timestamp.
func (u *update) subsumes(o *update) bool {
	return u.call == o.call && u.received.After(o.received) && len(u.body) >= len(o.body) && contains(u.body, o.body, 0)
}

// maxSubsumeDepth is how deep contains looks; below, values must be equal.
const maxSubsumeDepth = 4

// contains reports whether u has every member that o has and begins with the
// elements of its arrays.
func contains(u, o jsontext.Value, depth int) bool {
	if bytes.Equal(u, o) {
		return true
	}
	if depth == maxSubsumeDepth || u.Kind() != o.Kind() {
		return false
	}
	switch o.Kind() {
	case '{':
		var us, os map[string]jsontext.Value
		if json.Unmarshal(u, &us) != nil || json.Unmarshal(o, &os) != nil || len(us) < len(os) {
			return false
		}
		for name, v := range os {
			w, ok := us[name]
			if !ok || name != "timestamp" && !contains(w, v, depth+1) {
				return false
			}
		}
		return true
	case '[':
		var us, os []jsontext.Value
		if json.Unmarshal(u, &us) != nil || json.Unmarshal(o, &os) != nil || len(us) < len(os) {
			return false
		}
		for i, v := range os {
			if !bytes.Equal(us[i], v) {
				return false
			}
		}
		return true
	}
	return false
}
