package core

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/errcode"
)

// timeSinceEnd is how long ago the call ended, by its record; 0 while it goes on,
// and if its end was only assumed: the request shows that it does.
func (p *Processor) timeSinceEnd(state []byte) time.Duration {
	s, err := callstate.DecodeState(records.Record{Value: state, Version: 1})
	if err != nil || s.Ended == nil || s.Ended.Assumed() {
		return 0
	}
	return p.on.Now().Sub(s.Ended.At)
}

// LogTag returns what stands for a call in logs, for the log of a platform: 12
// hexadecimal digits, made of the call's id here and the first secret, or "" for "".
// [calls.LogTag] makes the same. It is used after Bind.
func (p *Processor) LogTag(id event.CallID) string { return p.tag(id) }

// tag stands for a call in logs.
func (p *Processor) tag(id event.CallID) string {
	if id == "" {
		return ""
	}
	return calls.LogTag(p.key, id)
}

// Defaults of a [Platform]'s durations.
const (
	// DefaultBudget is how long a tool may take before the caller hears that
	// it is still working: Interactly reports a hang after 5 s of silence (docs/events.md#hang).
	DefaultBudget = 4 * time.Second

	// replyMargin is kept free before a deadline, for the transport of the reply.
	replyMargin = 250 * time.Millisecond

	// DefaultReportTimeout is how long a finished call waits for its report. The
	// report was seen 2.2 s after the end; its analysis steps may take 30 s
	// each (docs/events.md#end-of-call-report).
	DefaultReportTimeout = 2 * time.Minute

	// DefaultCallIdleTimeout is when a call without further events counts as
	// over: twice Interactly's default longest call of 900 s
	// (docs/events.md#assistant).
	DefaultCallIdleTimeout = 30 * time.Minute
)

// ErrNotBound is returned by a Processor that is used before [Processor.Bind].
var ErrNotBound = errors.New("core: processor is not bound to a platform")

// A Processor is a backend: tools, handlers of events, and the rules between
// them and the wire. Make one with [New], add to it, then Bind it to a
// platform; it is safe for concurrent use from then on.
type Processor struct {
	tools    map[string]*tool
	order    []string // names of tools as added
	handlers []handler
	onStart  []func(context.Context, Operation) (context.Context, func(outcome string))
	observe  []func(Observation)

	onFailure []func(context.Context, Failure)

	sentences     map[string]*Sentences // by the tag of their language
	speakLanguage func(context.Context) string

	on    Platform
	bound bool
	log   *slog.Logger
	key   [sha256.Size]byte // for tags of ids in logs

	work     sync.WaitGroup // tools that outlive their reply
	alive    signs          // of calls, by their tools
	early    signs          // of calls, by their first events
	inflight singleflight   // the same requests at the same time
	reads    reads          // those that have outlived their reply

	outage errcode.Outage // of the inbox and the store
	clock  errcode.Outage // ours: requests have timestamps of another time

	usedIDs    usedIDs
	lastEffect lastEffect

	placeholderOnce sync.Once
	languageOnce    sync.Once
}

// New returns a Processor without tools or handlers.
func New() *Processor {
	english, spanish := English(), Spanish()
	return &Processor{tools: map[string]*tool{}, sentences: map[string]*Sentences{"en": &english, "es": &spanish}}
}

// A Platform is what the package of a platform supplies. Fields without a default
// are required.
type Platform struct {
	Name     string // for logs: "server", "aws"
	Store    records.Store
	Inbox    Inbox
	Verifier auth.Verifier // authenticates the sender
	Limits   Limits        // how large and deep a body may be; zero is the defaults

	// ReplyTimeout is the longest that a reply may take on this platform, and
	// BackgroundGrace how long work may continue after it: zero if the platform
	// freezes or ends the process. A zero ReplyTimeout sets no limit of its own.
	ReplyTimeout, BackgroundGrace time.Duration

	// ReportTimeout and CallIdleTimeout are for Sweep; see their defaults.
	ReportTimeout, CallIdleTimeout time.Duration

	// Backfill recovers events that were never received. Default: disabled.
	Backfill Backfiller

	// Retention is how long data is stored: Sweep deletes what is older.
	Retention calls.Retention

	// HTTP makes the requests of tools and handlers: see [HTTP]. Default: none.
	HTTP HTTPTransport

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Logger receives allowlisted fields only. Default: slog.Default().
	Logger *slog.Logger
}

// Bind gives p the platform that it runs on. It is called once, before the
// first request, after all tools and handlers are added. It returns
// [auth.ErrNoSecret] if no credential is configured and unauthenticated senders
// are not explicitly allowed, and an error if a tool undoes one that there is not,
// or if a tool or a handler is for a tenant that no secret names.
func (p *Processor) Bind(on Platform) error {
	switch {
	case p.bound:
		return errors.New("core: processor is bound already")
	case on.Store == nil || on.Inbox == nil:
		return errors.New("core: a platform needs a store and an inbox")
	}
	if err := on.Verifier.Validate(); err != nil {
		return err
	}
	on.Limits = on.Limits.withDefaults()
	on.ReportTimeout = cmp.Or(on.ReportTimeout, DefaultReportTimeout)
	on.CallIdleTimeout = cmp.Or(on.CallIdleTimeout, DefaultCallIdleTimeout)
	if on.Now == nil {
		on.Now = time.Now
	}
	p.on, p.bound = on, true
	p.log = slog.New(allowlist(cmp.Or(on.Logger, slog.Default()).Handler())).With("platform", on.Name)
	p.key = on.Verifier.LogKey()
	for _, h := range p.handlers {
		if err := p.checkTenants("handler "+h.function, h.tenants); err != nil {
			return err
		}
	}
	return p.checkTools()
}

// checkTenants returns an error if something is for a tenant that no secret names.
func (p *Processor) checkTenants(what string, tenants []string) error {
	known := p.on.Verifier.Tenants()
	for _, name := range tenants {
		if !slices.Contains(known, name) {
			return fmt.Errorf("core: %s is for the tenant %q, which is not the name of a secret: name one, as in SERVERURL_SECRET=%s:…", what, name, name)
		}
	}
	return nil
}

// MaxBodyBytes is the most bytes of a body that the Processor takes. An adapter
// stops reading one byte after it.
func (p *Processor) MaxBodyBytes() int { return p.on.Limits.withDefaults().MaxBodyBytes }

// Now is the time by the platform's clock.
func (p *Processor) Now() time.Time {
	if p.on.Now == nil {
		return time.Now()
	}
	return p.on.Now()
}

// Drain waits for tools that are still running after their reply was due,
// until ctx ends. A server calls it when it stops; where nothing runs after
// the reply there is nothing to wait for.
func (p *Processor) Drain(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { p.work.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// AppStore returns the part of the platform's store that belongs to the app
// under the name given: tables of the backend's own, on every platform, with
// the same promises (see [records.Store]). It may be called before Bind, used only
// after.
func (p *Processor) AppStore(name string) records.Store {
	if _, _, err := records.SplitKey(callstate.AppDir + "/" + name); err != nil || strings.Contains(name, "/") {
		panic(fmt.Sprintf("core: AppStore(%q): not a name", name))
	}
	return &appStore{p: p, prefix: callstate.AppDir + "/" + name + "/"}
}

// appStore is the store below one directory.
type appStore struct {
	p      *Processor
	prefix string
}

func (a *appStore) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	full := make([]string, len(keys))
	for i, k := range keys {
		full[i] = a.prefix + k
	}
	return a.bare(a.p.store().Get(ctx, full...))
}

func (a *appStore) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	return a.bare(a.p.store().Range(ctx, a.prefix+dir, after, limit))
}

func (a *appStore) Commit(ctx context.Context, rs ...records.Record) error {
	full := make([]records.Record, len(rs))
	for i, r := range rs {
		full[i] = r
		full[i].Key = a.prefix + r.Key
	}
	return a.p.store().Commit(ctx, full...)
}

func (a *appStore) bare(rs []records.Record, err error) ([]records.Record, error) {
	for i := range rs {
		rs[i].Key = strings.TrimPrefix(rs[i].Key, a.prefix)
	}
	return rs, err
}

// store returns the bound store, or one that says that there is none.
func (p *Processor) store() records.Store {
	if !p.bound {
		return unbound{}
	}
	return p.on.Store
}

type unbound struct{}

func (unbound) Get(context.Context, ...string) ([]records.Record, error) { return nil, ErrNotBound }

func (unbound) Range(context.Context, string, string, int) ([]records.Record, error) {
	return nil, ErrNotBound
}

func (unbound) Commit(context.Context, ...records.Record) error { return ErrNotBound }
