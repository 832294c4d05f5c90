package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Stub stands for a system behind the backend, such as the API of an insurance:
// an HTTP server on this machine that is up, slow, failing or down as a step of a
// scenario or a test says. No test of a failing system has to sleep. Its methods
// may be called concurrently.
type Stub struct {
	handler http.Handler
	addr    string
	holds   [2]net.Conn // a connection of the address to itself, so that nobody takes its port while it is down

	changing sync.Mutex // held while the state changes

	mu       sync.Mutex
	state    StubState
	changed  chan struct{} // closed when state changes
	server   *http.Server  // nil while it is down
	served   chan struct{} // closed when the server has ended
	requests []StubRequest
}

// A StubState is how a Stub treats requests.
type StubState string

// The states of a Stub.
const (
	StubUp      StubState = "up"      // its handler answers
	StubSlow    StubState = "slow"    // requests wait until its state changes, then they are treated as that says
	StubFailing StubState = "failing" // it answers 500
	StubDown    StubState = "down"    // connections are refused, and those that were open are closed
)

// A StubRequest is a request that a Stub received, in any state but down.
type StubRequest struct {
	Method, URL string // the URL has path and query
	Header      http.Header
	Body        []byte
}

// maxStubBody bounds what is kept of a request.
const maxStubBody = 1 << 20

// NewStub starts a stub that is up and answers with h. End it with Close; in a Go
// test, simulatetest.NewStub does.
func NewStub(h http.Handler) (*Stub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("simulate: stub: %w", err)
	}
	s := &Stub{handler: h, addr: l.Addr().String(), state: StubUp, changed: make(chan struct{})}
	if err := s.hold(l); err != nil {
		return nil, fmt.Errorf("simulate: stub: %w", errors.Join(err, l.Close()))
	}
	s.serve(l)
	return s, nil
}

// hold opens a connection from this process to l, whose port stays taken for as
// long as that is open, also while nothing listens there.
func (s *Stub) hold(l net.Listener) (err error) {
	if s.holds[0], err = net.DialTimeout("tcp", s.addr, 10*time.Second); err != nil {
		return err
	}
	if s.holds[1], err = l.Accept(); err != nil {
		return errors.Join(err, s.holds[0].Close())
	}
	return nil
}

// URL returns the root of the stub's URLs, "http://127.0.0.1:PORT", which is the
// same in all states.
func (s *Stub) URL() string { return "http://" + s.addr }

// Requests returns what the stub has received, oldest first.
func (s *Stub) Requests() []StubRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Set changes the state. When it returns, the next request is treated as that says.
func (s *Stub) Set(state StubState) error {
	if !slices.Contains([]StubState{StubUp, StubSlow, StubFailing, StubDown}, state) {
		return fmt.Errorf("simulate: unknown state %q of a stub", state)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
	running := s.server != nil
	s.mu.Unlock()
	switch {
	case state == StubDown:
		return s.shut()
	case running:
		return nil
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("simulate: stub: %w", err)
	}
	s.serve(l)
	return nil
}

// Close ends the stub.
func (s *Stub) Close() error {
	err := s.Set(StubDown)
	return errors.Join(err, s.holds[0].Close(), s.holds[1].Close())
}

func (s *Stub) serve(l net.Listener) {
	server, served := &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // it ends when shut closes it
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.served = server, served
}

// shut closes the listener and all connections.
func (s *Stub) shut() error {
	s.mu.Lock()
	server, served := s.server, s.served
	s.server = nil
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	<-served
	return err
}

// answer records a request, and treats it as the state says.
func (s *Stub) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStubBody))
	if err != nil {
		http.Error(w, "the body is too large, or was cut off", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.requests = append(s.requests, StubRequest{Method: r.Method, URL: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body})
	s.mu.Unlock()
	switch s.settled(r) {
	case StubUp:
		s.handler.ServeHTTP(w, r)
	case StubFailing:
		http.Error(w, "this system fails", http.StatusInternalServerError)
	case StubSlow, StubDown:
		panic(http.ErrAbortHandler) // it went down, or the client has gone
	}
}

// settled waits while the stub is slow, and returns its state.
func (s *Stub) settled(r *http.Request) StubState {
	for {
		s.mu.Lock()
		state, changed := s.state, s.changed
		s.mu.Unlock()
		if state != StubSlow {
			return state
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return StubDown
		}
	}
}

// checkStubs returns an error if a step names a stub that the options do not have.
func (o Options) checkStubs(s Scenario, steps []Step) error {
	for _, step := range steps {
		if step.Stub != "" && o.Stubs[step.Stub] == nil {
			return fmt.Errorf("simulate: %s: no stub %q: play this scenario in a Go test that has it in Options.Stubs", s.where(step.line), strings.TrimSpace(step.Stub))
		}
		if err := o.checkStubs(s, step.Steps); err != nil {
			return err
		}
	}
	return nil
}
