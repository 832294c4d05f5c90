package core

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A Backfiller recovers missed events: a [Backfill], or nil to disable recovery.
// It is an interface so that the linker leaves the code out of programs without
// one, such as a Worker, which starts faster the smaller it is.
type Backfiller interface {
	start(p *Processor) backfiller
}

// A backfiller is the backfill of one sweep.
type backfiller interface {
	// overdue fetches a call whose end or report is overdue. If wait is true the
	// sweep must not end the call yet.
	overdue(ctx context.Context, s *callstate.State, recs []records.Record, now time.Time) (wait bool, err error)

	// listDue compares the list of recent calls with the stored ones, if it is
	// time to do so.
	listDue(ctx context.Context) error

	// log logs what was done.
	log()
}

// A Backfill configures how [Processor.Sweep] fetches events that never arrived
// from Interactly's API. A zero field has its default; without API nothing is
// fetched.
type Backfill struct {
	API CallsAPI

	// Assistants are the ids of those whose calls belong to this backend, or "*"
	// for all of the account. If secrets have the names of several tenants, each id
	// has the name of its tenant before it, "north:68a1", and no other call is
	// fetched: the account's list does not say whose a call is, and a sender who knows an
	// id can send it. A call without any event is taken over only if it
	// is of one of them, or of one with a stored call in the same list.
	Assistants []string

	// MaxRequests is how many calls one sweep fetches. Default 200.
	MaxRequests int

	// Timeout is how long one sweep may fetch. Default 45 s.
	Timeout time.Duration

	// GiveUpAfter is how long an overdue call is fetched until it is ended
	// without a report. Default 15 minutes.
	GiveUpAfter time.Duration

	// Interval is how often the list of the last day's calls is compared with
	// the stored ones. Default 1 hour.
	Interval time.Duration
}

func (r Backfill) withDefaults() Backfill {
	r.MaxRequests = cmp.Or(r.MaxRequests, 200)
	r.Timeout = cmp.Or(r.Timeout, 45*time.Second)
	r.GiveUpAfter = cmp.Or(r.GiveUpAfter, 15*time.Minute)
	r.Interval = cmp.Or(r.Interval, time.Hour)
	return r
}

// BackfillStats counts what one backfill did.
type BackfillStats struct {
	Listed     int `json:"listed"`     // calls in the API's list
	Queried    int `json:"queried"`    // calls fetched one by one
	Recovered  int `json:"recovered"`  // calls over, put into the inbox as if their report had been sent
	NotFound   int `json:"notFound"`   // calls that the API does not know
	InProgress int `json:"inProgress"` // calls that are not over
	Failed     int `json:"failed"`     // requests without a usable response
}

// Errors of a backfill.
var (
	// ErrBackfillNotConfigured is returned by [Processor.Backfill] if the platform
	// has no API to fetch calls from.
	ErrBackfillNotConfigured = errors.New("core: the platform has no Backfill.API to fetch calls from")

	errBadAnswer = errors.New("core: the API's response is not a call")

	// errNotAll is returned if a list is longer than what one sweep may fetch.
	errNotAll = errors.New("core: calls are left for the next sweep")
)

// Backfill fetches all calls that started in a span of time and have no stored
// event or no stored report. What it fetches is put into the inbox as if it had
// been sent, marked as [Envelope.Backfilled], and delivered from there. It may
// run concurrently with Sweep and on any instance: a call that is backfilled
// twice changes nothing. It returns [ErrBackfillNotConfigured] without an API.
func (p *Processor) Backfill(ctx context.Context, from, to time.Time) (BackfillStats, error) {
	if !p.bound {
		return BackfillStats{}, ErrNotBound
	}
	by, ok := p.on.Backfill.(Backfill)
	if !ok || by.API == nil {
		return BackfillStats{}, ErrBackfillNotConfigured
	}
	r := &backfillRun{Backfill: by.withDefaults(), p: p, manual: true, used: map[string]*quota{}}
	err := r.list(ctx, from, to)
	return r.BackfillStats, err
}

const (
	// firstFetchPause is the pause after a call was fetched; it doubles up to
	// lastFetchPause. It is a little less than the minute between two sweeps, so
	// that an early sweep does not miss it.
	firstFetchPause, lastFetchPause = 50 * time.Second, 8 * time.Minute

	// maxFetches is how often one call is fetched: a call that the API reports as
	// in progress forever is ended anyway.
	maxFetches = 40

	// maxFetchFailures is how many requests may fail in a row until the sweep
	// stops fetching: the API is down.
	maxFetchFailures = 3
)

// A backfillStep is what to do about an overdue call.
type backfillStep int

const (
	backfillEnd   backfillStep = iota // end it: there is no API, or it did not help for long enough
	backfillQuery                     // fetch it now
	backfillWait                      // it was fetched a while ago: wait
)

// next decides about an overdue call.
func (r *Backfill) next(s *callstate.State, now time.Time) backfillStep {
	switch {
	case r.API == nil || s.BackfillAttempts >= maxFetches || !s.OverdueSince.IsZero() && now.Sub(s.OverdueSince) >= r.GiveUpAfter:
		return backfillEnd
	case !mayQuery(s, now):
		return backfillWait
	}
	return backfillQuery
}

// mayQuery reports whether the pause after the last fetch is over.
func mayQuery(s *callstate.State, now time.Time) bool {
	pause := lastFetchPause
	if s.BackfillAttempts < 5 {
		pause = min(lastFetchPause, firstFetchPause<<max(0, s.BackfillAttempts-1))
	}
	return s.BackfillAttempts < maxFetches && (s.BackfillAttempts == 0 || now.Sub(s.LastBackfill) >= pause)
}

// owner returns whose the calls of an assistant are: of the only tenant, or of the one
// that Assistants names.
func (r *Backfill) owner(assistant string, tenants []string) (tenant string, ok bool) {
	switch len(tenants) {
	case 0:
		return "", true
	case 1:
		return tenants[0], true
	}
	for _, a := range r.Assistants {
		if name, id, named := strings.Cut(a, ":"); named && id == assistant && assistant != "" {
			return name, slices.Contains(tenants, name)
		}
	}
	return "", false
}

// claimable returns those of the listed calls without a stored event that this
// backend may take over. known reports whether a call has one.
func (r *Backfill) claimable(listed []knownCall, known func(event.CallID) bool) []knownCall {
	assistants := map[string]bool{}
	for _, a := range r.Assistants {
		assistants[a] = true
		if _, id, ok := strings.Cut(a, ":"); ok {
			assistants[id] = true
		}
	}
	for _, k := range listed {
		if k.assistant != "" && known(k.id) {
			assistants[k.assistant] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(listed), func(k knownCall) bool {
		return known(k.id) || !assistants["*"] && !assistants[k.assistant]
	})
}
