package inspect

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// queueLength is how many observations wait to be written. Further ones are
// dropped and counted: the backend never waits for an observer.
const queueLength = 4096

// A Recorder writes to a store what the backend itself does not: tool requests
// as they were sent and answered, and duplicates of events. It reports both to
// the server in this process.
type Recorder struct {
	queue   chan core.Observation
	dropped atomic.Int64

	mu               sync.Mutex
	listener         func(event.CallID)
	lastUnauthorized time.Time // when the last unauthenticated request was recorded
}

// NewRecorder returns a recorder whose Observe is for [core.Processor.Observe].
func NewRecorder() *Recorder {
	return &Recorder{queue: make(chan core.Observation, queueLength)}
}

// Observe takes an observation and returns at once.
func (r *Recorder) Observe(o core.Observation) {
	select {
	case r.queue <- o:
	default:
		r.dropped.Add(1)
	}
}

// Dropped returns how many observations were not recorded: they came faster
// than they could be written, or the store failed.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

func (r *Recorder) listen(f func(event.CallID)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = f
}

// Run writes observations to s until ctx ends, and then those in the queue.
func (r *Recorder) Run(ctx context.Context, s records.Store) error {
	for {
		select {
		case o := <-r.queue:
			if ctx.Err() != nil {
				return r.drain(ctx, s, o)
			}
			r.write(ctx, s, o)
		case <-ctx.Done():
			return r.drain(ctx, s)
		}
	}
}

// drain writes what is left when the backend stops.
func (r *Recorder) drain(ctx context.Context, s records.Store, left ...core.Observation) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for _, o := range left {
		r.write(ctx, s, o)
	}
	for {
		select {
		case o := <-r.queue:
			r.write(ctx, s, o)
		default:
			return nil
		}
	}
}

func (r *Recorder) write(ctx context.Context, s records.Store, o core.Observation) {
	var call event.CallID
	var err error
	switch {
	case o.Tool != nil:
		call = o.Tool.Call
		if o.Tool.HTTPStatus == 401 { // anyone can send these: one a second is enough
			if o.Tool.ReceivedAt.Sub(r.lastUnauthorized) < time.Second {
				return
			}
			r.lastUnauthorized = o.Tool.ReceivedAt
		}
		err = calls.RecordToolRequest(ctx, s, *o.Tool)
	case o.Event != nil:
		if call = o.Event.Call; o.Event.Duplicate {
			err = calls.RecordDuplicate(ctx, s, *o.Event)
		}
	}
	if err != nil {
		r.dropped.Add(1)
	}
	r.mu.Lock()
	listener := r.listener
	r.mu.Unlock()
	if listener != nil {
		listener(call)
	}
}
