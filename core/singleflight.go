package core

import (
	"sync"

	"github.com/serverurl/serverurl/internal/callstate"
)

// A singleflight joins the same requests within this instance, so that a burst of
// duplicates reads the store once. It differs from x/sync's: a duplicate stops
// waiting at its own reply deadline, and runs by itself if the answer was only
// about the leader's time (toolAnswer.shared).
type singleflight struct {
	mu      sync.Mutex
	flights map[string]*flight
}

// A flight is one request that is being answered.
type flight struct {
	landed chan struct{} // closed when answer is set
	answer toolAnswer
}

// join returns the flight of a request. If leads is true it is a new one, and the
// caller must call run.
func (fs *singleflight) join(key string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.flights[key]; f != nil {
		return f, false
	}
	if fs.flights == nil {
		fs.flights = map[string]*flight{}
	}
	f = &flight{landed: make(chan struct{})}
	fs.flights[key] = f
	return f, true
}

// run does the work and publishes its answer to those who joined. If work panics,
// they are answered too.
func (fs *singleflight) run(key string, f *flight, say func() *Sentences, work func() toolAnswer) toolAnswer {
	panicked := true
	defer func() {
		if panicked {
			f.answer = toolAnswer{result: say().Uncertain, state: string(callstate.ToolIndeterminate)}
		}
		fs.mu.Lock()
		delete(fs.flights, key)
		fs.mu.Unlock()
		close(f.landed)
	}()
	f.answer = work()
	panicked = false
	return f.answer
}
