package cloudflare

import (
	"context"
	"errors"
	"log/slog"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/records"
)

// A demand is the meta of a frame that JavaScript begins a run with.
type demand struct {
	Kind string `json:"kind"` // "fetch", "message", "scheduled"

	Method string      `json:"method"` // of a fetch; its body is the frame's
	Path   string      `json:"path"`
	Query  string      `json:"query"`
	Header [][2]string `json:"header"`
	Remote string      `json:"remote"`

	Attempts int `json:"attempts"` // of a message, from 1; its body is the frame's
}

// A reply is the meta of the frame that answers it.
type reply struct {
	Status int         `json:"status,omitempty"` // of a fetch
	Header [][2]string `json:"header,omitempty"`

	Done  bool `json:"done,omitempty"`  // a message or a schedule needs no more
	Delay int  `json:"delay,omitempty"` // of a message that is not done: seconds until it comes again
}

// A worker does what the handlers of a Worker are called for.
type worker struct {
	p     *core.Processor
	inbox *Inbox
	store *Store
	log   *slog.Logger
}

// do does one demand and answers it. It returns false when work goes on that
// could not be waited for. It outlives a panic.
func (w worker) do(ctx context.Context, frame []byte, answer func([]byte)) (idle bool) {
	said := false
	say := func(r reply, body []byte) {
		b, err := encodeFrame(r, body)
		if err != nil { // a header that is not UTF-8: ours are constant
			w.log.Error("reply", "reason", "cannot be encoded")
			b, _ = encodeFrame(reply{Status: 500})
		}
		said = true
		answer(b)
	}
	defer func() {
		if recover() != nil { // its text may quote what came
			w.log.Error("request", "state", "panic")
			idle = false
			if !said {
				say(unavailable, unavailableBody)
			}
		}
	}()
	var d demand
	body, err := decodeFrame(frame, &d)
	if err != nil {
		w.log.Error("request", "reason", "bad frame")
		say(unavailable, unavailableBody)
		return true
	}
	switch d.Kind {
	case "fetch":
		resp := w.p.Handle(ctx, request(d, body))
		say(reply{Status: resp.Status, Header: fields(resp.Header)}, resp.Body)
	case "message":
		say(w.deliver(ctx, d.Attempts, body), nil)
	case "scheduled":
		say(reply{Done: w.sweep(ctx)}, nil)
	default:
		w.log.Error("request", "reason", "unknown kind")
		say(unavailable, unavailableBody)
	}
	ctx, cancel := context.WithTimeout(ctx, afters)
	defer cancel()
	return w.p.Drain(ctx) == nil
}

// unavailable is what the core says where it cannot answer; for a message or a
// schedule it is not done.
var (
	unavailable     = reply{Status: 503, Header: [][2]string{{"Content-Type", "application/json"}, {"Retry-After", "1"}}}
	unavailableBody = []byte(`{"error":"try again"}`)
)

func request(d demand, body []byte) core.Request {
	h := make(auth.Header, len(d.Header))
	for _, f := range d.Header {
		h[f[0]] = append(h[f[0]], f[1])
	}
	return core.Request{Method: d.Method, Path: d.Path, Query: d.Query, Header: h, Body: body, Remote: d.Remote}
}

func fields(h []core.HeaderField) [][2]string {
	all := make([][2]string, len(h))
	for i, f := range h {
		all[i] = [2]string{f.Name, f.Value}
	}
	return all
}

// deliver hands the envelopes of a message to the core.
func (w worker) deliver(ctx context.Context, attempts int, message []byte) reply {
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	err := w.inbox.Deliver(ctx, message, w.p.Deliver)
	if err == nil {
		return reply{Done: true}
	}
	w.log.Error("delivery", "reason", code(err), "attempt", attempts)
	return reply{Delay: delay(attempts)}
}

// sweep does what the schedule is for: calls without an end, records that have
// expired, bodies that nobody will ask for.
func (w worker) sweep(ctx context.Context) bool {
	errs := w.p.Sweep(ctx)
	for {
		n, err := w.store.Sweep(ctx, sweepAtOnce)
		errs = errors.Join(errs, err)
		if err != nil || n < sweepAtOnce {
			break
		}
	}
	if err := errors.Join(errs, w.inbox.Sweep(ctx)); err != nil {
		w.log.Error("sweep", "reason", code(err))
		return false
	}
	return true
}

// sweepAtOnce is how many records one statement deletes.
const sweepAtOnce = 500

// code returns what of an error may be logged.
func code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Op + " " + e.Code
	}
	for _, known := range []error{errMessage, errAside, errPanic, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
