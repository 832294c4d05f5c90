package core

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A Call is what is known of the call for which a tool or a handler runs: see
// [CallFrom]. It holds patients' data.
type Call struct {
	// ID is the call's id here: with named secrets the name of the secret and what
	// the sender has sent, "north/WC-1", so that two tenants' calls are two calls.
	// It is the id in events and in package calls. It is "" if the request does not
	// name its call.
	ID event.CallID

	// SentID is the id as it was sent, which Interactly's API knows.
	SentID event.CallID

	// Tenant is the name of the secret that the sender knows, "" if secrets have no
	// names.
	Tenant string

	// Matched says which secret that was: "secret 1 of 2", "anyone". It is "" in
	// handlers of events, which may run long after the request.
	Matched string

	AssistantID     string
	Assistant       string         // its name
	Direction       string         // "inbound", "outbound"
	UserNumber      string         // see [event.CallInfo]
	AssistantNumber string         // see [event.CallInfo]
	Metadata        jsontext.Value // as given when the call was created, an object; nil if it is larger than 1 KiB
	Variables       jsontext.Value // the assistant's dynamic variables, an object; nil if they are larger than 1 KiB
	Status          event.Status

	// Source is where that is from.
	Source CallSource

	// Missing says, for the operator, why nothing is known of the call, and what to
	// do; "" if anything is, which need not be the number.
	Missing string

	// Dialect is how a tool was called; "" in handlers of events.
	Dialect Dialect

	from *request
	tool *tool
}

// A CallSource is where what is known of a call is from.
type CallSource string

// The sources.
const (
	CallUnknown     CallSource = ""        // nothing is known: see Missing
	CallFromStore   CallSource = "store"   // events that were delivered
	CallFromInbox   CallSource = "inbox"   // events that were accepted and not delivered yet
	CallFromEvent   CallSource = "event"   // the event that is being handled, and those before
	CallFromRequest CallSource = "request" // the tool's request itself
)

// A Dialect is a form in which tools are called (docs/tools.md#dialects).
type Dialect string

// The dialects.
const (
	DialectArguments Dialect = "arguments" // Interactly's: the bare arguments, at the tool's own URL
	DialectEnvelope  Dialect = "envelope"  // Vapi's: a message with a list of calls
)

// Header returns the value of a field of the request's header, which must be in
// [Tool.Headers]; "" otherwise, and in handlers of events.
func (c Call) Header(name string) string {
	listed := func(n string) bool { return strings.EqualFold(n, name) }
	if c.from == nil || c.tool == nil || !slices.ContainsFunc(c.tool.Headers, listed) {
		return ""
	}
	return c.from.header.Get(name)
}

// Query returns the value of a parameter of the request's query, which must be in
// [Tool.Query]; "" otherwise, in handlers of events, and if it is there twice.
func (c Call) Query(name string) string {
	if c.from == nil || c.tool == nil || !slices.Contains(c.tool.Query, name) {
		return ""
	}
	return c.from.query.Get(name)
}

// CallFrom returns what is known of the call for which ctx runs a tool or a
// handler:
//
//	func book(ctx context.Context, in Booking) (string, error) {
//		call := core.CallFrom(ctx)
//		if call.UserNumber == "" {
//			slog.Warn("no number", "why", call.Missing)
//			return "", core.Say("I cannot see who is calling. What is your number?")
//		}
//		...
//	}
//
// In a tool the first call of CallFrom reads the store, and if no event of the call
// has been delivered yet, what the inbox holds of it; that takes a second at most.
// In a handler it reads nothing.
func CallFrom(ctx context.Context) Call {
	k, _ := ctx.Value(callKey{}).(*callContext)
	if k == nil {
		return Call{Missing: "the context is not that of a tool or a handler"}
	}
	k.once.Do(func() { k.look(ctx) })
	return k.call
}

type callKey struct{}

// A callContext is what CallFrom finds in a context.
type callContext struct {
	p    *Processor
	call Call
	two  bool // the request names two calls
	once sync.Once
}

// A request is what a tool may know of the HTTP request in which it was called.
type request struct {
	sender   auth.Sender
	method   string
	header   auth.Header
	query    arguments.Query
	envelope []byte // nil for bare arguments
	received time.Time
	named    bool // the URL names the call, so that the envelope cannot
}

// request returns what tools may know of an admitted request.
func (a *Admission) request(query arguments.Query, envelope []byte) *request {
	return &request{sender: a.sender, method: a.head.Method, header: a.head.Header, query: query, envelope: envelope, received: a.received}
}

func (r *request) tenant() string { return r.sender.Tenant }

// serves reports whether something for the tenants of a list is for tenant.
func serves(tenants []string, tenant string) bool {
	return len(tenants) == 0 || slices.Contains(tenants, tenant)
}

// tenants returns the names of the tenants, or "" for the only one.
func (p *Processor) tenants() []string {
	if names := p.on.Verifier.Tenants(); len(names) > 0 {
		return names
	}
	return []string{""}
}

// withCall returns the context of a tool in which CallFrom finds its call.
func (p *Processor) withCall(ctx context.Context, q toolRequest) context.Context {
	c := Call{
		ID: q.call, SentID: callstate.SentID(q.from.tenant(), q.call), Tenant: q.from.tenant(), Matched: q.from.sender.Matched,
		Dialect: DialectArguments, from: q.from, tool: p.tools[q.name],
	}
	if q.from.envelope != nil {
		c.Dialect = DialectEnvelope
	}
	if q.twoCalls {
		c.ID, c.SentID = "", ""
	}
	return context.WithValue(ctx, callKey{}, &callContext{p: p, call: c, two: q.twoCalls})
}

// withEventCall returns the context of a handler in which CallFrom finds the call of
// its event, given the state of that.
func (p *Processor) withEventCall(ctx context.Context, s *callstate.State) context.Context {
	k := &callContext{p: p, call: Call{ID: s.ID, SentID: callstate.SentID(s.Tenant, s.ID), Tenant: s.Tenant}}
	k.once.Do(func() { k.call.add(CallFromEvent, s.About, s.Status) })
	return context.WithValue(ctx, callKey{}, k)
}

// add adds what is known from a source.
func (c *Call) add(from CallSource, about callstate.About, status event.Status) {
	c.AssistantID, c.Assistant, c.Direction = about.AssistantID, about.Assistant, about.Direction
	c.UserNumber, c.AssistantNumber = about.UserNumber, about.AssistantNumber
	c.Metadata, c.Variables = about.Metadata, about.Variables
	c.Source, c.Status = from, status
}

const (
	// lookTimeout bounds the search for a call: a caller waits for the tool.
	lookTimeout = time.Second

	// maxPending is how many envelopes of the inbox are read: the first events say
	// what a call is.
	maxPending = 8
)

const (
	missingID = "the request does not name its call: fill ?call= in the tool's URL, or the header X-Call-Id, " +
		"from a variable of the assistant (docs/tools.md#which-call)"
	missingTwo    = "the request names two calls, in its header, its query or its envelope"
	missingEvents = "no event of this call was received: is this server URL set for the assistant, as it is for the tool?"
	missingFacts  = "the events of this call say nothing of its assistant and its numbers"
	missingStore  = "the store could not be read"
	missingGone   = "the call was deleted"
)

// look finds out what is known of a tool's call.
func (k *callContext) look(ctx context.Context) {
	c := &k.call
	if c.ID == "" {
		if c.Missing = missingID; k.two {
			c.Missing = missingTwo
		}
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		c.Missing = k.lookUp(ctx)
	}
	if c.Missing != "" && c.Missing != missingGone {
		k.lookInRequest()
	}
}

// lookUp looks for the call in the store, in the inbox, and, because it may have
// been delivered in between, in the store again. It returns what is missing.
func (k *callContext) lookUp(ctx context.Context) (missing string) {
	found, missing := k.inStore(ctx)
	if found || missing == missingGone {
		return missing
	}
	in, ok := k.p.on.Inbox.(PendingReader)
	if !ok {
		return missing
	}
	if k.inInbox(ctx, in) {
		return ""
	}
	_, missing = k.inStore(ctx)
	return missing
}

// inStore looks for the call in the store: in its state, and in what was noted of
// the first event.
func (k *callContext) inStore(ctx context.Context) (found bool, missing string) {
	recs, err := k.p.on.Store.Get(ctx, callstate.CallKey(k.call.ID), callstate.EarlyKey(k.call.ID))
	if err != nil {
		return false, missingStore
	}
	s, err := callstate.DecodeState(recs[0])
	switch {
	case err != nil:
		return false, missingStore
	case s.Deleted:
		return false, missingGone
	case recs[0].Version != 0 && s.Tenant != k.call.Tenant: // of a time when secrets had no names
		return false, missingEvents
	case !s.About.IsZero():
		k.call.add(CallFromStore, s.About, s.Status)
		return true, ""
	}
	var early callstate.About
	if recs[1].Version != 0 && json.Unmarshal(recs[1].Value, &early) == nil && !early.IsZero() {
		k.call.add(CallFromInbox, early, s.Status)
		return true, ""
	}
	if recs[0].Version != 0 {
		return false, missingFacts
	}
	return false, missingEvents
}

// inInbox looks for the call in events that were not delivered yet.
func (k *callContext) inInbox(ctx context.Context, in PendingReader) (found bool) {
	es, err := in.PendingOf(ctx, k.call.ID, maxPending)
	if err != nil {
		k.p.log.Warn("inbox could not be asked for a call", "call", k.p.tag(k.call.ID), "reason", err)
		return false
	}
	var about callstate.About
	var status event.Status
	for _, e := range es {
		if ev, err := event.Decode(e.Body, e.Received); err == nil {
			about.Add(ev)
			if ev.Status.Rank() > status.Rank() {
				status = ev.Status
			}
		}
	}
	if about.IsZero() {
		return false
	}
	k.call.add(CallFromInbox, about, status)
	return true
}

// lookInRequest looks for the call in the envelope of the request.
func (k *callContext) lookInRequest() {
	if k.call.from.named { // the arguments may look like an envelope, and the model writes them
		return
	}
	ev, err := event.Decode(k.call.from.envelope, k.call.from.received)
	if err != nil {
		return
	}
	var about callstate.About
	if about.Add(ev); !about.IsZero() {
		k.call.add(CallFromRequest, about, ev.Status)
		k.call.Missing = ""
	}
}

// earlyKeep is how long the note of a call's first event exists: the event is
// delivered within seconds, or is a dead letter after hours.
const earlyKeep = 24 * time.Hour

// noteEarly notes what the first event of a call says of it, for a tool that is
// called before the event is delivered, where the inbox cannot be asked. It costs
// a read and a write for a call on an instance. If it fails, that tool knows less.
func (p *Processor) noteEarly(ctx context.Context, env Envelope) {
	if _, ok := p.on.Inbox.(PendingReader); ok || env.Type == event.TypeReport {
		return
	}
	if !p.early.due(env.Call, p.on.Now(), p.on.CallIdleTimeout) {
		return
	}
	ev, err := event.Decode(env.Body, env.Received)
	if err != nil {
		return
	}
	var about callstate.About
	if about.Add(ev); about.IsZero() {
		p.early.forget(env.Call) // a later event may say more
		return
	}
	value, err := json.Marshal(about)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	recs, err := p.on.Store.Get(ctx, callstate.CallKey(env.Call))
	if err == nil {
		if s, bad := callstate.DecodeState(recs[0]); bad == nil && (s.Deleted || !s.About.IsZero()) {
			return // the call knows it already, or must not
		}
		// It outlives its use by far, and no deletion: an event may never be delivered.
		err = p.on.Store.Commit(ctx, records.Record{Key: callstate.EarlyKey(env.Call), Value: value, Expires: p.on.Now().Add(earlyKeep)})
	}
	if err != nil && !errors.Is(err, records.ErrStale) {
		p.early.forget(env.Call)
		p.log.Warn("first event of a call was not noted for its tools", "call", p.tag(env.Call), "reason", err)
	}
}
