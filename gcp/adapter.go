// Package gcp runs a backend as Google Cloud Functions, with calls in
// Firestore and accepted events in Pub/Sub.
//
//	var functions = gcp.Start(app.New())
//
//	func Receive(w http.ResponseWriter, r *http.Request)   { functions.Receive(w, r) }
//	func Deliver(ctx context.Context, e event.Event) error { return functions.Deliver(ctx, e) }
//	func Sweep(w http.ResponseWriter, r *http.Request)     { functions.Sweep(w, r) }
//
// is function.go, at the root of the module, because Google's builder takes
// the package at the root of what is uploaded. Three functions are deployed
// from it: Receive answers requests, Deliver takes the messages of the topic,
// Sweep is called by a schedule. docs/gcp.md has the commands.
//
// Nothing is begun that outlives a reply: the processor has no CPU then. It
// opens nothing that a request does not need.
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
)

// Why a function fails. The framework writes the text of what Deliver returns
// into the log, so these are constant: none of them quotes an event.
var (
	// ErrShape reports an event that is no message of a topic. Nothing was
	// executed.
	ErrShape = errors.New("gcp: event is no Pub/Sub message")

	errDelivery = errors.New("gcp: delivery is not complete; the message comes again")
	errPanic    = errors.New("gcp: panic")
	errNotReady = errors.New("gcp: function is not configured")
)

// A Receiver opens the messages of a topic. [Inbox] is one.
type Receiver interface {
	// Receive returns the envelopes in the data of a message, fetching what of
	// them is kept elsewhere.
	Receive(ctx context.Context, data []byte) ([]core.Envelope, error)
}

// Options change what [New] returns. The zero value of each field means its
// default; nil is all defaults.
type Options struct {
	// Timeout is how long the platform lets a function run: the --timeout that
	// it is deployed with. Default: 60 s, as Google's own.
	Timeout time.Duration

	// Logger gets states and codes, never an event. Default: slog.Default().
	Logger *slog.Logger
}

// Functions are what is deployed. All are safe for concurrent use, and outlive
// a panic.
type Functions struct {
	p       *core.Processor
	in      Receiver
	timeout time.Duration
	log     *slog.Logger
	http    http.Handler
	ready   func() error // before the first request
}

// New returns the functions of a Processor that is bound to a platform.
// [Start] also binds it to what the environment names.
func New(p *core.Processor, in Receiver, o *Options) *Functions {
	if o == nil {
		o = new(Options)
	}
	return &Functions{
		p: p, in: in, timeout: cmp.Or(o.Timeout, defaultTimeout), log: cmp.Or(o.Logger, slog.Default()),
		http: corehttp.Handler(p), ready: func() error { return nil },
	}
}

// Receive answers one request: an event or a tool call.
func (f *Functions) Receive(w http.ResponseWriter, r *http.Request) {
	defer f.recover(w)
	if f.ready() != nil {
		fail(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.timeout)
	defer cancel()
	f.http.ServeHTTP(w, r.WithContext(ctx))
}

// Sweep finds the calls that are over without a report. It is deployed so that
// only the schedule may call it.
func (f *Functions) Sweep(w http.ResponseWriter, r *http.Request) {
	defer f.recover(w)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed)
		return
	case f.ready() != nil:
		fail(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := f.working(r.Context())
	defer cancel()
	if err := f.p.Sweep(ctx); err != nil {
		f.log.Error("sweep", "reason", code(err))
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

// Deliver delivers one message of the topic. What it returns an error for
// comes again, until the subscription gives it to the dead-letter topic.
func (f *Functions) Deliver(ctx context.Context, e event.Event) (err error) {
	defer func() {
		if recover() != nil { // its text may quote the event
			f.log.Error("delivery", "reason", errPanic.Error())
			err = errPanic
		}
	}()
	if err := f.ready(); err != nil {
		return errNotReady
	}
	var m published
	if json.Unmarshal(e.Data(), &m) != nil || m.Message == nil {
		f.log.Error("event refused", "reason", "no Pub/Sub message", "bytes", len(e.Data()))
		return ErrShape
	}
	ctx, cancel := f.working(ctx)
	defer cancel()
	if err := f.deliver(ctx, m.Message.Data); err != nil {
		f.log.Error("delivery", "reason", code(err), "attempt", m.Attempt)
		return errDelivery
	}
	return nil
}

// deliver delivers what is in a message. Where one envelope fails the others
// are delivered all the same.
func (f *Functions) deliver(ctx context.Context, data []byte) error {
	es, err := f.in.Receive(ctx, data)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range es {
		errs = append(errs, f.p.Deliver(ctx, e))
	}
	return errors.Join(errs...)
}

// margin is kept free before a function's time is over, so that what went
// wrong is said.
const margin = 2 * time.Second

func (f *Functions) working(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(f.timeout-margin, f.timeout/2))
}

// recover ends a request that panicked. The framework would write what the
// panic says into the log.
func (f *Functions) recover(w http.ResponseWriter) {
	if recover() != nil {
		f.log.Error("request", "reason", errPanic.Error())
		fail(w, http.StatusInternalServerError)
	}
}

func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"error":"not done"}`))
}

// code returns what of an error may be logged: the code that the platform
// gives it. Its text may quote a payload.
func code(err error) string {
	if e, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return e.ErrorCode()
	}
	for _, known := range []error{errMessage, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
