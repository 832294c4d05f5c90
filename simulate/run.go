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
	// URL is the server URL's root: events are posted to URL/events, tools
	// called at URL/tools/NAME.
	URL string

	// Secret is sent in the header x-interactly-secret, as Interactly does.
	Secret string

	// Fast plays without the pauses of a real call. Speed plays them faster by
	// that factor; 0 is 1.
	Fast  bool
	Speed float64

	// Faults are what goes wrong on the way.
	Faults []Fault

	// Seed makes the made-up callers and the faults the same again. Default: a
	// new one, which the Result tells.
	Seed uint64

	// CallInURL adds ?call=ID to the URLs of tools, as an account does that
	// fills a variable there.
	CallInURL bool

	// State reads what the backend knows of a call; false when it knows
	// nothing. Without it what a scenario expects of the final state is not
	// checked, and the Result says so.
	State func(ctx context.Context, call string) (State, bool, error)

	// Settle is how long the final state may take to be what is expected.
	// Default 15 s.
	Settle time.Duration

	// OnStep is called as things happen, one at a time for a call, but for
	// several calls at the same time.
	OnStep func(Happening)

	// Client sends the requests. Default: one of its own.
	Client *http.Client
}

// State is what a backend knows of a call in the end.
type State struct {
	Status   string
	Messages int
	Ended    bool
	Report   bool
}

// A Fault is something that goes wrong between Interactly and the backend.
type Fault string

const (
	Duplicate   Fault = "duplicate"    // every request is sent twice
	Reorder     Fault = "reorder"      // events overtake each other
	Drop        Fault = "drop"         // some events never arrive
	Late        Fault = "late"         // some events arrive after the end of the call
	WrongSecret Fault = "wrong-secret" // a stranger sends the same, and must be refused
	Legacy      Fault = "legacy"       // events have the older shapes
	Vapi        Fault = "vapi"         // tools are called in the other dialect
)

// Faults are all there are.
var Faults = []Fault{Duplicate, Reorder, Drop, Late, WrongSecret, Legacy, Vapi}

// ParseFaults reads a list with commas between.
func ParseFaults(list string) ([]Fault, error) {
	var fs []Fault
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.Contains(Faults, Fault(name)) {
			return nil, fmt.Errorf("simulate: no fault %q; there are %v", name, Faults)
		}
		fs = append(fs, Fault(name))
	}
	return fs, nil
}

// A Happening is one thing of a call, for whoever looks on.
type Happening struct {
	Call, Scenario string
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

	Events int `json:"events"` // sent, duplicates and all
	Tools  int `json:"tools"`

	EventTimes []time.Duration `json:"-"` // until the answer
	ToolTimes  []time.Duration `json:"-"`
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
	return play(ctx, o, s, o.Seed), ctx.Err()
}

// RunMany plays calls of each scenario, some of them at the same time, and
// returns their results as they were asked for. done is called after each.
func RunMany(ctx context.Context, o Options, scenarios []Scenario, calls, parallel int, done func(Result)) ([]Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
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
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return o, errors.New("simulate: the URL of the server is needed, such as http://127.0.0.1:8080")
	}
	o.URL = strings.TrimRight(o.URL, "/")
	o.Speed = cmp.Or(o.Speed, 1)
	o.Settle = cmp.Or(o.Settle, 15*time.Second)
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 53) // as much as a JSON number holds
	}
	if o.Client == nil {
		o.Client = &http.Client{
			// A redirect of an event would lose it: Interactly sends it once.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: eventTimeout},
		}
	}
	return o, nil
}

func (o Options) has(f Fault) bool { return slices.Contains(o.Faults, f) }
