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
)

// Why an invocation fails. The runtime's client logs the text of what Invoke
// returns, so these are constant: none of them quotes an event.
var (
	// ErrShape reports an invocation whose event is none of those that [New]
	// lists. Nothing was executed.
	ErrShape = errors.New("aws: event is of no shape that is served here")

	errPanic = errors.New("aws: panic")
	errSweep = errors.New("aws: sweep is not complete; the next one looks again")
)

// A Receiver opens the messages of a queue. [Inbox] is one.
type Receiver interface {
	// Receive returns the envelopes in the body of a message, fetching what of
	// them is kept elsewhere.
	Receive(ctx context.Context, body string) ([]core.Envelope, error)
}

// A Delayer is a [Receiver] that says when a message that failed comes again.
// Without it that is when the queue's visibility timeout is over, which is
// long, because it has to be longer than a worker can take.
type Delayer interface {
	// Delay puts off a message that came for the attempt-th time, from 1 on.
	Delay(ctx context.Context, receipt string, attempt int) error
}

// Options change what [New] returns. The zero value of each field means its
// default; nil is all defaults.
type Options struct {
	// BasePath is what a custom domain's mapping puts before every path, such
	// as "/voice": API Gateway leaves it there. Default: nothing.
	BasePath string

	// Logger gets states and codes, never an event. Default: slog.Default().
	Logger *slog.Logger
}

// New returns the handler that Lambda's loop runs: lambda.Start(aws.New(p, inbox, nil)).
// It tells what it is invoked with by its shape:
//
//   - a Function URL's request, or an HTTP API's (payload 2.0 or 1.0)
//   - a REST API's request (proxy integration)
//   - an Application Load Balancer's request, with or without multi-value headers
//   - a batch of SQS messages, answered with the failed ones
//     (FunctionResponseTypes: ReportBatchItemFailures)
//   - an EventBridge schedule, which runs [core.Processor.Sweep]
//
// and refuses everything else with [ErrShape]. A request is answered in the
// shape that it came in. The handler is safe for concurrent use, keeps nothing
// between invocations, and outlives a panic.
func New(p *core.Processor, in Receiver, o *Options) lambda.Handler {
	a := &adapter{p: p, in: in, log: slog.Default()}
	if o != nil {
		a.base = strings.TrimRight(o.BasePath, "/")
		if o.Logger != nil {
			a.log = o.Logger
		}
	}
	return a
}

type adapter struct {
	p    *core.Processor
	in   Receiver
	base string
	log  *slog.Logger
}

var _ lambda.Handler = (*adapter)(nil)

// Invoke does one invocation.
func (a *adapter) Invoke(ctx context.Context, payload []byte) (out []byte, err error) {
	defer func() {
		if recover() != nil { // a panic would end the process; its text may quote the event
			a.log.Error("invocation", "state", "panic")
			out, err = nil, errPanic
		}
	}()
	e, s := parse(payload)
	switch s {
	case shapeQueue:
		return a.batch(ctx, e.Records)
	case shapeSchedule:
		if err := a.p.Sweep(ctx); err != nil {
			a.log.Error("sweep", "reason", code(err))
			return nil, errSweep
		}
		return []byte("{}"), nil
	case shapeUnknown:
		a.log.Error("invocation refused", "reason", "unknown shape", "bytes", len(payload))
		return nil, ErrShape
	case shapeURL, shapeREST, shapeALB, shapeALBMulti: // requests
	}
	return a.answer(ctx, e, s), nil
}

// answer hands an HTTP request to the core.
func (a *adapter) answer(ctx context.Context, e *ev, s shape) []byte {
	r, err := e.request(s, a.base)
	if err != nil {
		return encode(s, refused, maxReplyOf(s))
	}
	if isHealthCheck(s, r) {
		return encode(s, healthy, maxReplyOf(s))
	}
	out := encode(s, a.p.Handle(ctx, r), maxReplyOf(s))
	if out == nil {
		a.log.Error("reply", "reason", "too large")
		out = encode(s, tooLong(r), maxReplyOf(s))
	}
	return out
}

// The replies that do not come from the core.
var (
	jsonType = []core.HeaderField{{Name: "Content-Type", Value: "application/json"}}
	refused  = core.Response{Status: 400, Header: jsonType, Body: []byte(`{"error":"bad request"}`)}
	healthy  = core.Response{Status: 200, Header: jsonType, Body: []byte(`{}`)}
)

// tooLong is what is sent instead of a reply that the platform would drop. A
// caller is waiting for a tool, so that one is a sentence.
func tooLong(r core.Request) core.Response {
	if strings.HasPrefix(r.Path, "/tools/") {
		return core.Response{Status: 200, Header: jsonType,
			Body: []byte(`{"result":"The answer is too long to say. Ask for less at a time."}`)}
	}
	return core.Response{Status: 500, Header: jsonType, Body: []byte(`{"error":"reply too large"}`)}
}

// isHealthCheck tells a load balancer's own question from a sender's: it is
// not a request for the backend, and 405 would make the target unhealthy.
func isHealthCheck(s shape, r core.Request) bool {
	return (s == shapeALB || s == shapeALBMulti) && r.Method == "GET" &&
		strings.HasPrefix(r.Header.Get("User-Agent"), "ELB-HealthChecker/") && !strings.HasPrefix(r.Path, "/tools/")
}

const (
	// batchMargin is kept free before the deadline of an invocation, so that
	// what was done is reported: a batch whose invocation times out comes back
	// as a whole.
	batchMargin = 2 * time.Second

	// batchWide is how many messages of a batch are delivered side by side.
	batchWide = 10
)

// batch delivers the messages of a queue and reports those that have to come
// again. Events of one call go one after the other: they change the same
// record.
func (a *adapter) batch(ctx context.Context, records []record) ([]byte, error) {
	if a.in == nil {
		return nil, ErrShape
	}
	working := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		working, cancel = context.WithDeadline(ctx, deadline.Add(-batchMargin))
		defer cancel()
	}
	var (
		failed  = make([]bool, len(records))
		places  = make(chan struct{}, batchWide)
		perCall keyed
		all     sync.WaitGroup
	)
	for i := range records {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := a.deliver(working, records[i], &perCall); err != nil {
				failed[i] = true
				a.log.Error("delivery", "reason", code(err), "attempt", records[i].Attributes.Receives)
				a.delay(ctx, records[i])
			}
		})
	}
	all.Wait()
	return encodeFailures(records, failed), nil
}

// deliver delivers one message. It fails rather than panics: a bad message
// must not take the others of its batch with it.
func (a *adapter) deliver(ctx context.Context, r record, perCall *keyed) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	if err := ctx.Err(); err != nil {
		return err // no time left: it comes again
	}
	es, err := a.in.Receive(ctx, r.Body)
	if err != nil {
		return err
	}
	var errs []error // the others of a message that fails are delivered all the same
	for _, e := range es {
		errs = append(errs, a.deliverOne(ctx, e, perCall))
	}
	return errors.Join(errs...)
}

func (a *adapter) deliverOne(ctx context.Context, e core.Envelope, perCall *keyed) error {
	defer perCall.lock(string(e.Call))()
	return a.p.Deliver(ctx, e)
}

// delay lets a failed message come again after a pause that grows. Where that
// cannot be arranged it comes again all the same, later.
func (a *adapter) delay(ctx context.Context, r record) {
	d, ok := a.in.(Delayer)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, batchMargin/2)
	defer cancel()
	if err := d.Delay(ctx, r.Receipt, r.Attributes.Receives); err != nil {
		a.log.Warn("delay", "reason", code(err))
	}
}

// keyed is a mutex for each key.
type keyed struct{ m sync.Map }

func (k *keyed) lock(key string) (unlock func()) {
	v, _ := k.m.LoadOrStore(key, new(sync.Mutex))
	mu := v.(*sync.Mutex)
	mu.Lock()
	return mu.Unlock
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
	for _, known := range []error{errPanic, records.ErrStale, core.ErrHandlerFailed, core.ErrNotBound, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
