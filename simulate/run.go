package simulate

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options say where and how to play. Only URL is required.
type Options struct {
	// URL is the root of the server URL, http or https: events are posted to
	// URL/events, tools are called at URL/tools/NAME.
	URL string

	// Secret is sent in the header x-interactly-secret, as Interactly does.
	Secret string

	// NoDelay plays without the pauses of a real call. Speed shortens them by
	// that factor; 0 means 1.
	NoDelay bool
	Speed   float64

	// Faults are injected on the way to the backend.
	Faults []Fault

	// Seed determines the caller, and which requests the faults affect. To replay
	// a call, use a backend that has no state of the first time: the caller wants
	// the same appointment. Default: random; the Result reports it.
	Seed uint64

	// CallIDInURL adds ?call=ID to the URLs of tools, as an account does that has
	// a variable there.
	CallIDInURL bool

	// State returns the backend's state of a call, and false if it has none. It is
	// called concurrently for several calls. If it is nil, the final state cannot be
	// checked, which is a failure of a scenario that expects one.
	State func(ctx context.Context, call string) (State, bool, error)

	// AllowUnchecked accepts that an expected final state cannot be checked: State is
	// nil, or a fault of LossFaults withholds it. The Result still has it in Unchecked.
	AllowUnchecked bool

	// Stubs are the systems behind the backend whose state the steps of a scenario
	// change, by the names that it has for them.
	Stubs map[string]*Stub

	// API, if not nil, receives each call as Interactly's API would know it,
	// including what a fault withholds from the backend.
	API *API

	// SettleTimeout is how long the final state may take to be the expected one.
	// Default 15 s.
	SettleTimeout time.Duration

	// OnStep, if not nil, is called as the call proceeds: one at a time for a call,
	// concurrently for several calls.
	OnStep func(Progress)

	// Client sends the requests. Default: a client without a proxy. Redirects are
	// never followed: Interactly sends an event once, to the configured URL.
	Client *http.Client

	close func() // closes the idle connections of the default client
}

// A Progress reports one thing that happened in a call, for display.
type Progress struct {
	Call, Scenario string
	Line           int           // of the step in the scenario's file
	Kind           string        // status, assistant, caller, skipped, tool, hang, error, report, note
	Text           string        // the message, the tool's result, or a description
	Tool           string        // the tool's name
	Args           string        // its arguments, as JSON
	Latency        time.Duration // of the tool's reply
}

// A Result is the outcome of one call.
type Result struct {
	Scenario string   `json:"scenario"`
	Call     string   `json:"call"`
	Seed     uint64   `json:"seed"`
	Failures []string `json:"failures"` // each begins with FILE:LINE of the scenario

	// Unchecked lists expectations of the scenario that could not be checked.
	Unchecked []string `json:"unchecked"`

	Events int `json:"events"` // requests sent, including duplicates
	Tools  int `json:"tools"`

	Steps []StepResult `json:"steps"` // in the order of the replies

	EventTimes []time.Duration `json:"-"` // until the reply, of requests that had one
	ToolTimes  []time.Duration `json:"-"`
}

// A StepResult is a request that was sent.
type StepResult struct {
	Line   int     `json:"line"`   // of the step in the file
	Kind   string  `json:"kind"`   // type of the event or name of the tool
	Status int     `json:"status"` // 0 without a reply
	Millis float64 `json:"ms"`
}

// OK reports whether all expectations that were checked hold.
func (r Result) OK() bool { return len(r.Failures) == 0 }

// Run plays one call of s. It returns an error if the options are invalid or ctx
// ends; what the backend did wrong is in the Result.
func Run(ctx context.Context, o Options, s Scenario) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	defer o.close()
	if err := o.checkStubs(s, s.Steps); err != nil {
		return Result{}, err
	}
	return play(ctx, o, s, o.Seed), ctx.Err()
}

// RunMany plays each scenario calls times, at most parallel calls at a time, and
// returns the results with the scenarios in turn. done, if not nil, is called
// after each call, one at a time.
func RunMany(ctx context.Context, o Options, scenarios []Scenario, calls, parallel int, done func(Result)) ([]Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer o.close()
	if calls < 0 || len(scenarios) == 0 {
		return nil, errors.New("simulate: no calls to play")
	}
	for _, s := range scenarios {
		if err := o.checkStubs(s, s.Steps); err != nil {
			return nil, err
		}
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
		return o, errors.New("simulate: the URL of the server is required, such as http://127.0.0.1:8080")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return o, errors.New("simulate: the URL of the server must be its root, without user, query and fragment")
	case o.has(FaultWrongSecret) && o.Secret == "":
		return o, errors.New("simulate: the fault wrong-secret needs a secret: without one every client is accepted")
	case o.Speed < 0 || o.SettleTimeout < 0:
		return o, errors.New("simulate: Speed and SettleTimeout cannot be negative")
	}
	o.URL = strings.TrimRight(o.URL, "/")
	o.Speed = cmp.Or(o.Speed, 1)
	o.SettleTimeout = cmp.Or(o.SettleTimeout, 15*time.Second)
	if o.Seed == 0 {
		o.Seed = 1 + rand.Uint64N(1<<53-1) // the integers that a JSON number holds exactly
	}
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	o.close = client.CloseIdleConnections
	if o.Client != nil {
		client, o.close = *o.Client, func() {} // the caller owns its connections
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &client
	return o, nil
}
