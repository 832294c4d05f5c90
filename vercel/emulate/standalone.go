package emulate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/serverurl/serverurl/internal/proc"
)

// serverOptions describe the instances of a server.
type serverOptions struct {
	program   string // listens on PORT; or Vercel's proxy, with IPC
	ipc       bool
	env       []string
	instances int
	freeze    bool
	recycle   int // 0: never
	duration  time.Duration
	log       io.Writer
}

// A server is a program in several instances, each with many requests at a
// time. An instance without a request is frozen.
type server struct {
	o     serverOptions
	slots []*slot
	mu    sync.Mutex
	next  int
}

// A slot is where an instance is, or will be.
type slot struct {
	mu       sync.Mutex // held while the instance starts, freezes and wakes
	in       *instance
	requests int // that it works on
	uses     int // all that it has had
	closed   bool
}

func newServer(o serverOptions) *server {
	s := &server{o: o}
	for range o.instances {
		s.slots = append(s.slots, new(slot))
	}
	return s
}

// answer hands a request to the next instance in turn.
func (s *server) answer(ctx context.Context, r *http.Request, body []byte) (*answer, error) {
	s.mu.Lock()
	sl := s.slots[s.next%len(s.slots)]
	s.next++
	s.mu.Unlock()
	in, err := s.enter(ctx, sl)
	if err != nil {
		return nil, err
	}
	defer s.leave(sl, in)
	// A client that goes away does not stop it: the platform lets it end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.duration)
	defer cancel()
	a, err := in.answer(ctx, r, body)
	if err != nil && ctx.Err() != nil {
		in.end()
		return nil, errTimeout
	}
	return a, err
}

// enter starts or wakes the instance of a slot for one request more.
func (s *server) enter(ctx context.Context, sl *slot) (*instance, error) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	switch {
	case sl.closed:
		return nil, errors.New("emulate: closed")
	case sl.in == nil || sl.in.ended():
		if sl.in != nil {
			sl.in.end() // and what it leaves behind
		}
		in, err := startInstance(ctx, s.o)
		if err != nil {
			return nil, err
		}
		sl.in, sl.requests, sl.uses = in, 0, 0
	case sl.requests == 0 && s.o.freeze:
		if err := proc.Send(sl.in.cmd.Process, proc.Resume); err != nil {
			return nil, err
		}
	}
	sl.requests++
	sl.uses++
	return sl.in, nil
}

// leave freezes the instance after its last request.
func (s *server) leave(sl *slot, in *instance) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.in != in {
		return
	}
	if sl.requests--; sl.requests > 0 || in.ended() {
		return
	}
	if s.o.freeze {
		_ = proc.Send(in.cmd.Process, proc.Suspend)
	}
	if s.o.recycle > 0 && sl.uses >= s.o.recycle {
		in.end()
	}
}

func (s *server) close() error {
	for _, sl := range s.slots {
		sl.mu.Lock()
		sl.closed = true
		if sl.in != nil {
			sl.in.end()
		}
		sl.mu.Unlock()
	}
	return nil
}
