package cloudflare

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
)

// An invocation is the meta of a frame with which JavaScript starts a run.
type invocation struct {
	Kind string `json:"kind"` // "fetch", "message", "scheduled"

	Method string      `json:"method"` // of a fetch; its body is the frame's
	Path   string      `json:"path"`
	Query  string      `json:"query"`
	Header [][2]string `json:"header"`
	Remote string      `json:"remote"`
	Large  bool        `json:"large"` // the body is larger than core takes, and left out

	Attempts int `json:"attempts"` // of a message, from 1; its body is the frame's
}

// A reply is the meta of the frame that answers it.
type reply struct {
	Status int         `json:"status,omitempty"` // of a fetch
	Header [][2]string `json:"header,omitempty"`

	Done  bool `json:"done,omitempty"`  // a message or a schedule needs no more
	Delay int  `json:"delay,omitempty"` // of a message that is not done: seconds until it is redelivered
}

// A worker implements the handlers of a Worker.
type worker struct {
	p     *core.Processor
	inbox *Inbox
	store *Store
	log   *slog.Logger
	start func(context.Context) error // before each invocation; may be nil

	outage *errcode.Outage
}

// run handles one invocation and answers it. It returns false if work goes on
// that could not be waited for. It survives a panic.
func (w worker) run(ctx context.Context, frame []byte, answer func([]byte)) (idle bool) {
	answered := false
	send := func(r reply, body []byte) {
		b, err := encodeFrame(r, body)
		if err != nil { // a header that is not UTF-8: core's are constant
			w.log.Error("reply encoding failed")
			b, _ = encodeFrame(reply{Status: 500})
		}
		answered = true
		answer(b)
	}
	defer func() {
		if recover() != nil { // its text may quote the payload
			w.log.Error("invocation panicked")
			idle = false
			if !answered {
				send(unavailable, unavailableBody)
			}
		}
	}()
	var d invocation
	body, err := decodeFrame(frame, &d)
	if err != nil {
		w.log.Error("invocation rejected", "reason", "invalid frame")
		send(unavailable, unavailableBody)
		return true
	}
	if w.start != nil && w.start(ctx) != nil {
		send(unavailable, unavailableBody)
		return false
	}
	switch d.Kind {
	case "fetch":
		admission := w.p.Admit(request(d))
		resp := core.Response{}
		if d.Large {
			resp = admission.HandleTooLarge(ctx)
		} else {
			resp = admission.Handle(ctx, body)
		}
		send(reply{Status: resp.Status, Header: fields(resp.Header)}, resp.Body)
	case "message":
		send(w.deliver(ctx, d.Attempts, body), nil)
	case "scheduled":
		send(reply{Done: w.sweep(ctx)}, nil)
	default:
		w.log.Error("invocation rejected", "reason", "unknown kind")
		send(unavailable, unavailableBody)
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	return w.p.Drain(ctx) == nil
}

// unavailable is core's reply if it cannot answer; a message or a schedule is not
// done.
var (
	unavailable     = reply{Status: 503, Header: [][2]string{{"Content-Type", "application/json"}, {"Retry-After", "1"}}}
	unavailableBody = []byte(`{"error":"try again"}`)
)

func request(d invocation) core.Request {
	h := make(auth.Header, len(d.Header))
	for _, f := range d.Header {
		h[f[0]] = append(h[f[0]], f[1])
	}
	return core.Request{Method: d.Method, Path: d.Path, Query: d.Query, Header: h, Remote: d.Remote}
}

func fields(h []core.HeaderField) [][2]string {
	all := make([][2]string, len(h))
	for i, f := range h {
		all[i] = [2]string{f.Name, f.Value}
	}
	return all
}

// deliver delivers the envelopes of a message.
func (w worker) deliver(ctx context.Context, attempts int, message []byte) reply {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	err := w.inbox.Deliver(ctx, message, w.p.Deliver)
	if err == nil {
		return reply{Done: true}
	}
	level, dead := w.level(err), attempts >= maxAttempts
	if dead { // a message that is delivered again wants nobody, a dead letter does
		level = slog.LevelError
	}
	w.log.With(envelope.LogFailure(err, w.p.LogTag)...).Log(ctx, level, "delivery failed", "reason", logCode(err), "attempt", attempts, "dead", dead)
	return reply{Delay: max(1, int(envelope.RetryDelay(attempts, firstDelay, lastDelay)/time.Second))}
}

// sweep ends calls whose report is overdue, and deletes expired records and
// offloaded messages.
func (w worker) sweep(ctx context.Context) bool {
	errs := w.p.Sweep(ctx)
	for {
		n, err := w.store.Sweep(ctx, sweepBatch)
		errs = errors.Join(errs, err)
		if err != nil || n < sweepBatch {
			break
		}
	}
	if err := errors.Join(errs, w.inbox.Sweep(ctx)); err != nil {
		w.log.Log(ctx, w.level(err), "sweep failed", "reason", logCode(err))
		return false
	}
	return true
}

// level returns at which level a failure is logged.
func (w worker) level(err error) slog.Level {
	return w.outage.Level(time.Now(), err, records.ErrStale, core.ErrHandlerFailed)
}

// sweepBatch is how many records one statement deletes.
const sweepBatch = 500

// logCode returns what of an error may be logged.
func logCode(err error) string {
	return errcode.Of(err, envelope.ErrInvalid, errMissing, errPanic, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound)
}
