package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say where and how to play. URL is required.
type Options struct {
	// URL is the server URL's root, http or https: events are posted to
	// URL/events, tools called at URL/tools/NAME.
	URL string

	// EventPath and ToolPath are for a backend that has them elsewhere.
	// Default: /events, and /tools/ before the tool's name.
	EventPath, ToolPath string

	// Secret is sent in the header x-interactly-secret, as Interactly does.
	Secret string

	// Fast plays without the pauses of a real call. Speed plays them faster by
	// that factor; 0 is 1.
	Fast  bool
	Speed float64

	// Faults are what goes wrong on the way.
	Faults []Fault

	// Seed makes the made-up callers and the faults the same again, so it is
	// for a backend that has forgotten them: the time is taken otherwise.
	// Default: a new one, which the Result tells.
	Seed uint64

	// CallInURL adds ?call=ID to the URLs of tools, as an account does that
	// fills a variable there.
	CallInURL bool

	// State reads what the backend knows of a call; false when it knows
	// nothing. Without it what a scenario expects of the final state is not
	// checked, and the Result says so. Called for several calls at a time.
	State func(ctx context.Context, call string) (State, bool, error)

	// API, if set, learns of each call what Interactly knows of it, also what a
	// fault keeps from the backend.
	API *API

	// Settle is how long the final state may take to be what is expected.
	// Default 15 s.
	Settle time.Duration

	// OnStep is called as things happen, one at a time for a call, but for
	// several calls at the same time.
	OnStep func(Happening)

	// Client sends the requests. Default: one of its own, which goes through
	// no proxy. Redirects are not followed in any case: Interactly sends an
	// event once, to the URL that it was given.
	Client *http.Client

	close func() // lets the connections of its own client go
}

// A Fault is something that goes wrong between Interactly and the backend.
type Fault string

// The faults that a run can inject.
const (
	Duplicate   Fault = "duplicate"    // every request is sent twice
	Reorder     Fault = "reorder"      // events overtake each other
	Drop        Fault = "drop"         // some events never arrive
	Late        Fault = "late"         // some events arrive after the end of the call
	WrongSecret Fault = "wrong-secret" // a stranger sends the same, and must be refused
	Legacy      Fault = "legacy"       // events have the older shapes
	Vapi        Fault = "vapi"         // tools are called in the other dialect
	NoReport    Fault = "no-report"    // the report never arrives: only the API knows it
	Silent      Fault = "silent"       // no event ever arrives
)

// Faults are those under which what a scenario expects must hold all the same.
var Faults = []Fault{Duplicate, Reorder, Drop, Late, WrongSecret, Legacy, Vapi}

// Losses are the other faults: what is lost, only the API can tell, and the
// backend only later.
var Losses = []Fault{NoReport, Silent}

// ParseFaults reads a list with commas between.
func ParseFaults(list string) ([]Fault, error) {
	var fs []Fault
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if all := slices.Concat(Faults, Losses); !slices.Contains(all, Fault(name)) {
			return nil, fmt.Errorf("simulate: no fault %q; there are %v", name, all)
		}
		fs = append(fs, Fault(name))
	}
	return fs, nil
}

// A Happening is one thing of a call, for whoever looks on.
type Happening struct {
	Call, Scenario string
	Line           int           // of the step in the scenario's file
	Kind           string        // status, assistant, caller, skipped, tool, hang, error, report, note
	Text           string        // what was said, or what came of it
	Tool           string        // the tool's name
	Args           string        // its arguments, as JSON
	Took           time.Duration // of a tool, until its reply
}

// A Result is what came of one call.
type Result struct {
	Scenario string   `json:"scenario"`
	Call     string   `json:"call"`
	Seed     uint64   `json:"seed"`
	Failures []string `json:"failures"`

	// Unchecked is what the scenario expects and nobody could check.
	Unchecked []string `json:"unchecked"`

	Events int `json:"events"` // requests sent, duplicates and all
	Tools  int `json:"tools"`

	Steps []Played `json:"steps"` // in the order in which they were answered

	EventTimes []time.Duration `json:"-"` // until the answer
	ToolTimes  []time.Duration `json:"-"`
}

// A Played is a request that was answered, or not.
type Played struct {
	Line   int     `json:"line"` // of the step
	Kind   string  `json:"kind"` // the event's type, or the tool's name
	Status int     `json:"status"`
	Millis float64 `json:"ms"`
}

// OK reports whether everything was as expected.
func (r Result) OK() bool { return len(r.Failures) == 0 }

// Run plays one call of s. The error is about the options, or ctx's; what the
// backend did wrong is in the Result.
func Run(ctx context.Context, o Options, s Scenario) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	defer o.close()
	return play(ctx, o, s, o.Seed), ctx.Err()
}

// RunMany plays calls of each scenario, parallel of them at the same time, and
// returns their results as they were asked for: the scenarios in turn. done may
// be nil; it is called after each call, one at a time.
func RunMany(ctx context.Context, o Options, scenarios []Scenario, calls, parallel int, done func(Result)) ([]Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer o.close()
	if calls < 0 || len(scenarios) == 0 {
		return nil, errors.New("simulate: there is nothing to play")
	}
	results := make([]Result, len(scenarios)*calls)
	slots := make(chan struct{}, max(1, parallel))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range results {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return nil, ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = play(ctx, o, scenarios[i%len(scenarios)], o.Seed+uint64(i))
			if done != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				done(results[i])
			}
		})
	}
	wg.Wait()
	return results, ctx.Err()
}

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return o, errors.New("simulate: the URL of the server is needed, such as http://127.0.0.1:8080")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return o, errors.New("simulate: the URL of the server is its root, without user, query and fragment")
	case o.has(WrongSecret) && o.Secret == "":
		return o, errors.New("simulate: the fault wrong-secret needs a secret: without one anybody may send")
	case o.Speed < 0 || o.Settle < 0:
		return o, errors.New("simulate: speed and settle cannot be less than 0")
	}
	o.URL = strings.TrimRight(o.URL, "/")
	o.EventPath, o.ToolPath = cmp.Or(o.EventPath, "/events"), cmp.Or(o.ToolPath, "/tools/")
	o.Speed = cmp.Or(o.Speed, 1)
	o.Settle = cmp.Or(o.Settle, 15*time.Second)
	if o.Seed == 0 {
		o.Seed = 1 + rand.Uint64N(1<<53-1) // as much as a JSON number holds
	}
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	o.close = client.CloseIdleConnections
	if o.Client != nil {
		client, o.close = *o.Client, func() {} // its connections are its owner's
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &client
	return o, nil
}

func (o Options) has(f Fault) bool { return slices.Contains(o.Faults, f) }
