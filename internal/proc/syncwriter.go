package proc

import (
	"io"
	"sync"
)

// Shared returns w for several processes to write to at the same time.
func Shared(w io.Writer) io.Writer {
	if s, ok := w.(*shared); ok {
		return s
	}
	return &shared{w: w}
}

type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
