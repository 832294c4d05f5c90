package core

import (
	"sync"

	"github.com/serverurl/serverurl/internal/callstate"
)

// singleflight joins the same requests within this instance, so that a storm of
// duplicates asks the store once.
type singleflight struct {
	mu  sync.Mutex
	now map[string]*flight
}

type flight struct {
	landed chan struct{} // closed when answer is set
	answer toolAnswer
}

func (fs *singleflight) join(key string) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.now[key]; f != nil {
		return f, false
	}
	if fs.now == nil {
		fs.now = map[string]*flight{}
	}
	f = &flight{landed: make(chan struct{})}
	fs.now[key] = f
	return f, true
}

// run does the work that the others wait for, and tells them.
func (fs *singleflight) run(key string, f *flight, work func() toolAnswer) toolAnswer {
	f.answer = toolAnswer{result: sayUncertain, state: string(callstate.ToolIndeterminate)} // should it panic
	defer func() {
		fs.mu.Lock()
		delete(fs.now, key)
		fs.mu.Unlock()
		close(f.landed)
	}()
	f.answer = work()
	return f.answer
}
