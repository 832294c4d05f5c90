package core

import (
	"context"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

const (
	// aliveInterval is how often the tool calls of a call are noted as its signs of
	// life: often enough for any CallIdleTimeout that makes sense, and seldom
	// enough to cost nothing.
	aliveInterval = time.Minute

	// noteTimeout bounds a note: a caller may wait for it.
	noteTimeout = 500 * time.Millisecond

	// maxSigns is how many calls an instance remembers to have noted.
	maxSigns = 4096
)

// signs remembers when a sign of life of a call was noted last.
type signs struct {
	mu sync.Mutex
	at map[event.CallID]time.Time
}

// due reports whether a sign is to be noted, and that it is being noted.
func (s *signs) due(id event.CallID, now time.Time, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, noted := s.at[id]; noted && now.Sub(last) < every {
		return false
	}
	if s.at == nil || len(s.at) >= maxSigns {
		s.at = map[event.CallID]time.Time{}
	}
	s.at[id] = now
	return true
}

// forget lets the next sign of life of a call be noted.
func (s *signs) forget(id event.CallID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, id)
}

// noteAlive notes that a tool was called in a call, so that [Processor.Sweep] does
// not take the call for over, or finds that it was wrong. It does so while the
// tool runs; where nothing runs after a reply, wait waits for it for a moment. A call
// that is not stored stays so, and one whose end was stated too.
func (p *Processor) noteAlive(ctx context.Context, id event.CallID) (wait func()) {
	now := p.on.Now().UTC()
	every := min(aliveInterval, p.on.CallIdleTimeout/4)
	if id == "" || !p.alive.due(id, now, every) {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	p.work.Go(func() {
		defer cancel()
		defer func() { _ = recover() }() // of a store: the tool has nothing to do with it
		err := p.changeCall(ctx, id, func(s *callstate.State) bool {
			over := s.Status.Terminal() || s.Ended != nil && !s.Ended.Assumed()
			return !over && (s.Ended != nil || now.Sub(s.LastSeen) >= every) && s.Alive(now)
		})
		if err != nil {
			p.log.Warn("a tool call was not noted as a sign of life", "call", p.tag(id), "reason", err)
		}
	})
	if p.on.BackgroundGrace > 0 {
		return func() {}
	}
	return func() { <-ctx.Done() }
}
