package aws

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/lifecycle"
)

// Errors of an invocation. The runtime's client logs the text of what Invoke
// returns, so these are constant: none of them quotes an event.
var (
	// ErrUnknownEvent is returned for an invocation with an event that is not one
	// of those that [NewHandler] lists. Nothing was executed.
	ErrUnknownEvent = errors.New("aws: unknown kind of event")

	errPanic = errors.New("aws: panic")
	errSweep = errors.New("aws: sweep is incomplete; the next one continues")
)

// A Decoder decodes the messages of a queue. [Inbox] is one. If it has a method
// Delay like Inbox's, that is called for each message that failed.
type Decoder interface {
	// Decode returns the envelopes in the body of a message, fetching what was
	// offloaded.
	Decode(ctx context.Context, body string) ([]core.Envelope, error)
}

// Options change what [NewHandler] returns. The zero value of each field means
// its default; nil is all defaults.
type Options struct {
	// BasePath is what a custom domain's mapping puts before every path, such
	// as "/voice": API Gateway leaves it there. Default: nothing.
	BasePath string

	// Logger gets states and codes, never an event. Default: slog.Default().
	Logger *slog.Logger

	// Ready answers health checks of a load balancer with 503 if it returns an
	// error: see platform.Options. Default: they are answered 200.
	Ready func(ctx context.Context) error
}

// NewHandler returns the handler for lambda.Start. It recognizes what it is
// invoked with by the fields of the event:
//
//   - a request of a Function URL or an HTTP API (payload 2.0 or 1.0)
//   - a request of a REST API (proxy integration)
//   - a request of an Application Load Balancer, with or without multi-value headers
//   - a batch of SQS messages, answered with the failed ones
//     (FunctionResponseTypes: ReportBatchItemFailures)
//   - an EventBridge schedule, which runs [core.Processor.Sweep]
//
// and rejects everything else with [ErrUnknownEvent]. A request is answered in
// the format of its trigger. The handler is safe for concurrent use, keeps
// nothing between invocations, and survives a panic.
func NewHandler(p *core.Processor, in Decoder, o *Options) lambda.Handler {
	a := &adapter{p: p, in: in, log: slog.Default().With("platform", "aws")}
	if o != nil {
		a.base = strings.TrimRight(o.BasePath, "/")
		a.ready = o.Ready
		if o.Logger != nil {
			a.log = o.Logger.With("platform", "aws")
		}
	}
	return a
}

type adapter struct {
	p    *core.Processor
	in   Decoder
	base string
	log  *slog.Logger

	ready  func(context.Context) error // may be nil
	outage errcode.Outage
}

var _ lambda.Handler = (*adapter)(nil)

// Invoke implements lambda.Handler.
func (a *adapter) Invoke(ctx context.Context, payload []byte) (out []byte, err error) {
	defer func() {
		if recover() != nil { // a panic would end the process; its text may quote the event
			a.log.Error("invocation panicked")
			out, err = nil, errPanic
		}
	}()
	e, s := parse(payload)
	switch s {
	case triggerQueue:
		return a.batch(ctx, e.Records)
	case triggerSchedule:
		if err := a.p.Sweep(ctx); err != nil {
			a.log.Log(ctx, a.outage.Level(time.Now(), err, retried...), "sweep failed", "reason", logCode(err))
			return nil, errSweep
		}
		return []byte("{}"), nil
	case triggerUnknown:
		a.log.Error("invocation rejected", "reason", "unknown event", "bytes", len(payload))
		return nil, ErrUnknownEvent
	case triggerURL, triggerREST, triggerALB, triggerALBMulti: // requests
	}
	return a.answer(ctx, e, s), nil
}

// answer handles an HTTP request.
func (a *adapter) answer(ctx context.Context, e *lambdaEvent, s trigger) []byte {
	r, err := e.request(s, a.base)
	if err != nil {
		return encode(s, refused, maxReplyOf(s))
	}
	admission := a.p.Admit(r)
	if isHealthCheck(s, r) && admission.Kind() != core.KindToolCall {
		return encode(s, a.health(ctx), maxReplyOf(s))
	}
	out := encode(s, admission.Handle(ctx, r.Body), maxReplyOf(s))
	if out == nil {
		a.log.Error("reply is too large")
		out = encode(s, tooLong(admission.Kind()), maxReplyOf(s))
	}
	return out
}

// Replies that are not core's.
var (
	jsonType = []core.HeaderField{{Name: "Content-Type", Value: "application/json"}}
	refused  = core.Response{Status: 400, Header: jsonType, Body: []byte(`{"error":"bad request"}`)}
	healthy  = core.Response{Status: 200, Header: jsonType, Body: []byte(`{}`)}
	notReady = core.Response{Status: 503, Header: jsonType, Body: []byte(`{"error":"not ready"}`)}
)

// health answers a load balancer's health check.
func (a *adapter) health(ctx context.Context) core.Response {
	if err := lifecycle.Ready(ctx, a.ready); err != nil {
		lifecycle.LogNotReady(a.log, err)
		return notReady
	}
	return healthy
}

// tooLong replaces a reply that the platform would drop. A caller is waiting
// for a tool, so that one gets a sentence.
func tooLong(k core.Kind) core.Response {
	if k == core.KindToolCall {
		return core.Response{Status: 200, Header: jsonType,
			Body: []byte(`{"result":"The answer is too long to say. Ask for less at a time."}`)}
	}
	return core.Response{Status: 500, Header: jsonType, Body: []byte(`{"error":"reply too large"}`)}
}

// isHealthCheck reports whether a request is a load balancer's own: it is not
// for the backend, and 405 would make the target unhealthy.
func isHealthCheck(s trigger, r core.Request) bool {
	return (s == triggerALB || s == triggerALBMulti) && r.Method == "GET" &&
		strings.HasPrefix(r.Header.Get("User-Agent"), "ELB-HealthChecker/")
}

const (
	// batchMargin is reserved before the deadline of an invocation, so that what
	// was done is reported: a batch whose invocation times out is redelivered as a
	// whole.
	batchMargin = 2 * time.Second

	// batchConcurrency is how many messages of a batch are delivered at a time.
	batchConcurrency = 10
)

// batch delivers the messages of a queue and reports those to redeliver. Events
// of one call are delivered one after the other: they change the same record.
func (a *adapter) batch(ctx context.Context, records []sqsMessage) ([]byte, error) {
	if a.in == nil {
		return nil, ErrUnknownEvent
	}
	delivering := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		delivering, cancel = context.WithDeadline(ctx, deadline.Add(-batchMargin))
		defer cancel()
	}
	var (
		failed  = make([]bool, len(records))
		slots   = make(chan struct{}, batchConcurrency)
		perCall keyedMutex
		all     sync.WaitGroup
	)
	for i := range records {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := a.deliver(delivering, records[i], &perCall); err != nil {
				failed[i] = true
				a.logFailure(ctx, err, records[i].Attributes.Receives)
				a.delay(ctx, records[i])
			}
		})
	}
	all.Wait()
	return encodeFailures(records, failed), nil
}

// deliver delivers one message. It fails rather than panics: a bad message
// must not take the others of its batch with it.
func (a *adapter) deliver(ctx context.Context, r sqsMessage, perCall *keyedMutex) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	if err := ctx.Err(); err != nil {
		return err // no time left: it is redelivered
	}
	es, err := a.in.Decode(ctx, r.Body)
	if err != nil {
		return err
	}
	var errs []error // a failure does not keep the others of a message from delivery
	for _, e := range es {
		errs = append(errs, a.deliverOne(ctx, e, perCall))
	}
	return errors.Join(errs...)
}

func (a *adapter) deliverOne(ctx context.Context, e core.Envelope, perCall *keyedMutex) error {
	defer perCall.lock(string(e.Call))()
	return envelope.Failed(e, a.p.Deliver(ctx, e))
}

// logFailure logs that a message was not delivered. One that is delivered again wants
// nobody, a dead letter does.
func (a *adapter) logFailure(ctx context.Context, err error, attempt int) {
	level, dead := a.outage.Level(time.Now(), err, retried...), attempt >= maxAttempts
	if dead {
		level = slog.LevelError
	}
	a.log.With(envelope.LogFailure(err, a.p.LogTag)...).Log(ctx, level, "delivery failed", "reason", logCode(err), "attempt", attempt, "dead", dead)
}

// delay lets a failed message be redelivered after a pause that grows. If that
// fails it is redelivered anyway, later.
func (a *adapter) delay(ctx context.Context, r sqsMessage) {
	d, ok := a.in.(interface {
		Delay(ctx context.Context, receipt string, attempt int) error
	})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, batchMargin/2)
	defer cancel()
	if err := d.Delay(ctx, r.Receipt, r.Attributes.Receives); err != nil {
		a.log.Warn("visibility change failed", "reason", logCode(err))
	}
}

// A keyedMutex is a mutex for each key.
type keyedMutex struct{ m sync.Map }

func (k *keyedMutex) lock(key string) (unlock func()) {
	v, _ := k.m.LoadOrStore(key, new(sync.Mutex))
	mu := v.(*sync.Mutex)
	mu.Lock()
	return mu.Unlock
}

// retried are failures that are tried again, and often pass.
var retried = []error{records.ErrStale, core.ErrHandlerFailed}

// logCode returns what of an error may be logged. Its text may quote a payload.
func logCode(err error) string {
	return errcode.Of(err, errPanic, envelope.ErrInvalid, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound)
}
