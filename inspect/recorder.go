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

// queued is how many observations wait to be written. What comes above it is
// dropped and counted: the backend does not wait for somebody who looks on.
const queued = 4096

// A Recorder writes down what a backend's store does not tell: tool requests
// as they went over the wire, and events that came again.
type Recorder struct {
	queue   chan core.Observation
	dropped atomic.Int64

	mu       sync.Mutex
	listener func(event.CallID)
	stranger time.Time // when the last request of one was written down
}

// NewRecorder returns a recorder. Its Observe is for [core.Platform].
func NewRecorder() *Recorder {
	return &Recorder{queue: make(chan core.Observation, queued)}
}

// Observe takes an observation and returns at once.
func (r *Recorder) Observe(o core.Observation) {
	select {
	case r.queue <- o:
	default:
		r.dropped.Add(1)
	}
}

// Dropped returns how many observations were dropped because they came faster
// than they could be written.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

func (r *Recorder) listen(f func(event.CallID)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = f
}

// Run writes observations to s until ctx ends, then those that are left.
func (r *Recorder) Run(ctx context.Context, s records.Store) error {
	for {
		select {
		case o := <-r.queue:
			r.write(ctx, s, o)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			for {
				select {
				case o := <-r.queue:
					r.write(last, s, o)
				default:
					return nil
				}
			}
		}
	}
}

// write keeps what is to be kept. One that cannot be written counts as
// dropped.
func (r *Recorder) write(ctx context.Context, s records.Store, o core.Observation) {
	var call event.CallID
	var err error
	switch {
	case o.Tool != nil:
		call = o.Tool.Call
		if o.Tool.HTTPStatus == 401 { // anybody can make these: one a second will do
			if o.Tool.ReceivedAt.Sub(r.stranger) < time.Second {
				return
			}
			r.stranger = o.Tool.ReceivedAt
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
