package gcp

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
)

// Errors of a function. The framework logs the text of what Deliver returns, so
// these are constant: none of them quotes an event.
var (
	// ErrUnknownEvent is returned for an event that is not a message of a topic.
	// Nothing was executed.
	ErrUnknownEvent = errors.New("gcp: event is not a Pub/Sub message")

	errDelivery      = errors.New("gcp: delivery is incomplete; the message is redelivered")
	errPanic         = errors.New("gcp: panic")
	errNotConfigured = errors.New("gcp: function is not configured")
)

// Options change what [NewFunctions] returns. The zero value of each field means
// its default; nil is all defaults.
type Options struct {
	// Timeout is how long the platform lets a function run: the --timeout that
	// it is deployed with. Default: 60 s, as Google's own.
	Timeout time.Duration

	// Logger gets states and codes, never an event. Default: slog.Default().
	Logger *slog.Logger
}

// Functions are what is deployed. All are safe for concurrent use, and survive
// a panic.
type Functions struct {
	p       *core.Processor
	decode  func(ctx context.Context, data []byte) ([]core.Envelope, error)
	timeout time.Duration
	log     *slog.Logger // with the platform
	logger  *slog.Logger // as it was given
	http    http.Handler
	init    func() error // before the first request
	outage  errcode.Outage
}

// NewFunctions returns the functions of a Processor that is bound to a platform,
// with the method Decode of its [Inbox]. [Main] also binds it to what the
// environment names.
func NewFunctions(p *core.Processor, decode func(ctx context.Context, data []byte) ([]core.Envelope, error), o *Options) *Functions {
	if o == nil {
		o = new(Options)
	}
	return &Functions{
		p: p, decode: decode, timeout: cmp.Or(o.Timeout, defaultTimeout), log: cmp.Or(o.Logger, slog.Default()).With("platform", "gcp"), logger: cmp.Or(o.Logger, slog.Default()),
		http: corehttp.Handler(p), init: func() error { return nil },
	}
}

// Receive answers one request: an event or a tool call.
func (f *Functions) Receive(w http.ResponseWriter, r *http.Request) {
	defer f.recover(w)
	if f.init() != nil {
		fail(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.timeout)
	defer cancel()
	f.http.ServeHTTP(w, r.WithContext(ctx))
}

// Sweep ends calls whose report is overdue, and deletes what is not retained. It
// is deployed so that only the schedule may call it.
func (f *Functions) Sweep(w http.ResponseWriter, r *http.Request) {
	defer f.recover(w)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed)
		return
	case f.init() != nil:
		fail(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := f.withMargin(r.Context())
	defer cancel()
	if err := f.p.Sweep(ctx); err != nil {
		f.log.Log(ctx, f.outage.Level(time.Now(), err, retried...), "sweep failed", "reason", logCode(err))
		fail(w, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

// published is the data of the event google.cloud.pubsub.topic.v1.messagePublished.
type published struct {
	Message *struct {
		Data []byte `json:"data"`
	} `json:"message"`
	Attempt int `json:"deliveryAttempt"`
}

// Deliver delivers one message of the topic. A message for which it returns an
// error is redelivered, until the subscription moves it to the dead-letter topic.
func (f *Functions) Deliver(ctx context.Context, e event.Event) (err error) {
	defer func() {
		if recover() != nil { // its text may quote the event
			f.log.Error("delivery panicked")
			err = errPanic
		}
	}()
	if err := f.init(); err != nil {
		return errNotConfigured
	}
	var m published
	if json.Unmarshal(e.Data(), &m) != nil || m.Message == nil {
		f.log.Error("event rejected", "reason", "not a Pub/Sub message", "bytes", len(e.Data()))
		return ErrUnknownEvent
	}
	ctx, cancel := f.withMargin(ctx)
	defer cancel()
	if err := f.deliver(ctx, m.Message.Data); err != nil {
		f.logFailure(ctx, err, m.Attempt)
		return errDelivery
	}
	return nil
}

// logFailure logs that a message was not delivered. One that is delivered again wants
// nobody, a dead letter does.
func (f *Functions) logFailure(ctx context.Context, err error, attempt int) {
	level, dead := f.outage.Level(time.Now(), err, retried...), attempt >= maxAttempts
	if dead {
		level = slog.LevelError
	}
	f.log.With(envelope.LogFailure(err, f.p.LogTag)...).Log(ctx, level, "delivery failed", "reason", logCode(err), "attempt", attempt, "dead", dead)
}

// deliver delivers what is in a message. A failure does not keep the other
// envelopes from delivery.
func (f *Functions) deliver(ctx context.Context, data []byte) error {
	es, err := f.decode(ctx, data)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range es {
		errs = append(errs, envelope.Failed(e, f.p.Deliver(ctx, e)))
	}
	return errors.Join(errs...)
}

// margin is reserved before a function's timeout, so that a failure is
// reported.
const margin = 2 * time.Second

func (f *Functions) withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(f.timeout-margin, f.timeout/2))
}

// recover ends a request that panicked. The framework would log the panic's
// text.
func (f *Functions) recover(w http.ResponseWriter) {
	if recover() != nil {
		f.log.Error("request panicked")
		fail(w, http.StatusInternalServerError)
	}
}

func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"error":"not done"}`))
}

// retried are failures that are tried again, and often pass.
var retried = []error{records.ErrStale, core.ErrHandlerFailed}

// logCode returns what of an error may be logged. Its text may quote a payload.
func logCode(err error) string {
	return errcode.Of(err, envelope.ErrInvalid, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound)
}
