package inspect

import (
	"sync"

	"github.com/serverurl/serverurl/core/event"
)

// A subscriber collects the calls that changed, until it takes them.
type subscriber struct {
	wake chan struct{} // receives when there is something to take

	mu  sync.Mutex
	ids map[event.CallID]bool
}

func (x *index) subscribe() *subscriber {
	s := &subscriber{wake: make(chan struct{}, 1), ids: map[event.CallID]bool{}}
	x.subscribersMu.Lock()
	defer x.subscribersMu.Unlock()
	x.subscribers[s] = true
	return s
}

func (x *index) unsubscribe(s *subscriber) {
	x.subscribersMu.Lock()
	defer x.subscribersMu.Unlock()
	delete(x.subscribers, s)
}

// publish reports to the subscribers that a call has changed; "" is a change without
// a call.
func (x *index) publish(id event.CallID) {
	x.subscribersMu.Lock()
	defer x.subscribersMu.Unlock()
	for s := range x.subscribers {
		s.mu.Lock()
		s.ids[id] = true
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what has changed since the last take.
func (s *subscriber) take() map[event.CallID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.ids
	s.ids = map[event.CallID]bool{}
	return ids
}
