package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/simulate"
)

// playCommand plays scenarios at any server: a backend of this module or not.
type playCommand struct {
	Scenarios []string `arg:"" optional:"" help:"Names of built-in scenarios, or paths of .yaml files."`

	targetFlags
	Calls       int     `help:"How many calls of each scenario." default:"1" placeholder:"N"`
	Parallel    int     `help:"How many calls at the same time." default:"1" placeholder:"N"`
	NoDelay     bool    `help:"Without the pauses of a real call."`
	Speed       float64 `help:"Faster than a real call by this factor." default:"1" placeholder:"X"`
	Fault       string  `help:"What goes wrong: ${faults}; or never arrives: ${lossfaults}." placeholder:"LIST"`
	Seed        uint64  `help:"Repeat the same synthetic callers and faults." placeholder:"N"`
	CallIDInURL bool    `name:"call-id-in-url" help:"Add ?call=ID to the URLs of tools."`
	Store       string  `help:"The backend's store, to check the final state: sqlite:DIR, postgres://…, aws://… or gcp://…. Default: the variable SERVERURL_DATABASE_URL, or the folder SERVERURL_DATA." placeholder:"URL"`

	AllowUnchecked bool `help:"Succeed although the final state cannot be checked: without a store, or with a fault that withholds it."`

	JSON bool `help:"As JSON, for other programs."`
	List bool `help:"List the built-in scenarios."`
}

func (*playCommand) Help() string {
	return `Plays scenarios as Interactly does, and exits 1 if a reply or the final state
differs from what a scenario expects. The final state is read from --store. That
it cannot be checked is a failure too, unless --allow-unchecked is given.

Examples:
  serverurl play --list
  serverurl play booking --url http://127.0.0.1:8080 --store .serverurl
  serverurl play booking barge-in no-report --url http://127.0.0.1:8080 --store .serverurl --no-delay --fault duplicate,reorder
  serverurl play mine.yaml --url https://desk.example.com --allow-unchecked --secret-file secret.txt --calls 100 --parallel 10 --no-delay`
}

func (c *playCommand) Run(ctx context.Context, t *terminal) error {
	if c.List {
		return c.list(t)
	}
	if len(c.Scenarios) == 0 || c.URL == "" {
		return usageError{errors.New("a scenario and --url are needed, such as: serverurl play booking --url http://127.0.0.1:8080 --store .serverurl")}
	}
	faults, err := simulate.ParseFaults(c.Fault)
	if err != nil {
		return usageError{err}
	}
	var scenarios []simulate.Scenario
	for _, name := range c.Scenarios {
		s, err := simulate.Load(name)
		if err != nil {
			return usageError{err}
		}
		scenarios = append(scenarios, s)
	}
	if c.Calls < 1 || c.Parallel < 1 || c.Speed <= 0 {
		return usageError{errors.New("--calls, --parallel and --speed must be more than 0")}
	}
	to, err := c.root()
	if err != nil {
		return err
	}
	o := simulate.Options{URL: to.url, Secret: to.secret, NoDelay: c.NoDelay, Speed: c.Speed, Faults: faults, Seed: c.Seed, CallIDInURL: c.CallIDInURL, AllowUnchecked: c.AllowUnchecked}
	// No folder by default: the calls of a server elsewhere are not in this one.
	if store := cmp.Or(c.Store, os.Getenv("SERVERURL_DATABASE_URL"), os.Getenv("SERVERURL_DATA")); store != "" {
		r, err := storeFlags{c.Store}.openUnchecked(ctx)
		if err != nil {
			return err
		}
		defer r.close()
		o.State = finalstate.In(r.store, to.tenant)
	}
	if err := listens(ctx, o.URL); err != nil {
		return err
	}
	return c.play(ctx, t, o, scenarios)
}

// listens returns an error if nobody takes connections at a URL, which would fail
// each step of each call.
func listens(ctx context.Context, root string) error {
	u, err := url.Parse(root)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil // which is said where it is used
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), u.Scheme)))
	if err != nil {
		return fmt.Errorf("no answer from %s: is the server running? (%w)", root, err)
	}
	return conn.Close()
}

func (c *playCommand) list(t *terminal) error {
	type scenario struct {
		Name  string `json:"name"`
		About string `json:"about"`
	}
	var all struct {
		Scenarios []scenario `json:"scenarios"`
	}
	for _, s := range simulate.List() {
		all.Scenarios = append(all.Scenarios, scenario{s.Name, s.About})
		if !c.JSON {
			fmt.Fprintf(t.out, "%-14s %s\n", s.Name, s.About)
		}
	}
	if c.JSON {
		return writeJSON(t, all)
	}
	return nil
}

// play runs the calls and prints each as it ends, so that a long run can be followed.
func (c *playCommand) play(ctx context.Context, t *terminal, o simulate.Options, scenarios []simulate.Scenario) error {
	start, total := time.Now(), c.Calls*len(scenarios)
	if total == 1 && !c.JSON {
		o.OnStep = show(t)
	}
	n, failed := 0, 0
	results, err := simulate.RunMany(ctx, o, scenarios, c.Calls, c.Parallel, func(r simulate.Result) {
		n++
		if !r.OK() {
			failed++
		}
		if !c.JSON && total > 1 {
			progress(t, r, n, total, failed)
		}
	})
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped after %d of %d calls", n, total)
		}
		return usageError{err}
	}
	if c.JSON {
		if err := writeJSON(t, map[string]any{"calls": total, "failed": failed, "results": results}); err != nil {
			return err
		}
	} else {
		summarize(t, results, failed, time.Since(start), o.State != nil)
	}
	if failed > 0 {
		return errFailed
	}
	return nil
}

// progress prints a line for each call, or on a screen one line that changes, so
// that thousands of calls do not scroll the failures away.
func progress(t *terminal, r simulate.Result, n, total, failed int) {
	switch {
	case t.live && r.OK():
		fmt.Fprintf(t.out, "%s%d of %d calls, %d failed", eraseLine(), n, total, failed)
		if n == total {
			fmt.Fprintln(t.out)
		}
		return
	case t.live:
		fmt.Fprint(t.out, eraseLine())
	}
	fmt.Fprintf(t.out, "%s %-14s %s\n", t.mark(r.OK()), r.Scenario, r.Call)
	failures(t, r)
	if !r.OK() {
		fmt.Fprintf(t.out, "     to repeat it: --seed %d --calls 1\n", r.Seed)
	}
}

// failures prints the first failures of a call. The others mostly have the same cause.
func failures(t *terminal, r simulate.Result) {
	const limit = 8
	for i, f := range r.Failures {
		if i == limit {
			fmt.Fprintf(t.out, "     and %d more; --json has them all\n", len(r.Failures)-limit)
			return
		}
		fmt.Fprintf(t.out, "     %s\n", f)
	}
}

// summarize prints how many calls went as expected, the response times, and what
// could not be checked: a check that did not run must not look like one that
// passed. stored is whether the backend's store could be read.
func summarize(t *terminal, results []simulate.Result, failed int, took time.Duration, stored bool) {
	var events, tools latencies
	unchecked := map[string]int{}
	for _, r := range results {
		events.add(r.Events, r.EventTimes)
		tools.add(r.Tools, r.ToolTimes)
		for _, u := range r.Unchecked {
			unchecked[u]++
		}
	}
	if len(results) == 1 {
		failures(t, results[0])
	}
	fmt.Fprintf(t.out, "%s %d of %d calls as expected, in %.1fs\n", t.mark(failed == 0), len(results)-failed, len(results), took.Seconds())
	fmt.Fprintf(t.out, "     %s\n     %s\n", events.line("events answered"), tools.line("tools answered"))
	for u, n := range unchecked {
		hint := ""
		if !stored {
			hint = " (give --store, or --allow-unchecked)"
		}
		fmt.Fprintf(t.out, "     NOT CHECKED in %d calls: %s%s\n", n, u, hint)
	}
}

// latencies are the response times of requests. One that was refused has none.
type latencies struct {
	sent  int
	times []time.Duration
}

func (l *latencies) add(sent int, times []time.Duration) {
	l.sent, l.times = l.sent+sent, append(l.times, times...)
}

// line describes them in one line. The 99th percentile is the figure that counts: a
// caller hears silence in the slow one.
func (l *latencies) line(what string) string {
	n, ds := "none", l.times
	if len(ds) > 0 {
		n = fmt.Sprint(len(ds))
	}
	if l.sent > len(ds) {
		n += fmt.Sprintf(" of %d", l.sent)
	}
	if len(ds) == 0 {
		return what + ": " + n
	}
	slices.Sort(ds)
	at := func(q float64) float64 { return float64(ds[int(q*float64(len(ds)-1))].Microseconds()) / 1000 }
	return fmt.Sprintf("%s: %s, median %.1f ms, 99%% %.1f ms, longest %.1f ms", what, n, at(0.5), at(0.99), at(1))
}

// mark returns how a line begins: with success or failure.
func (t *terminal) mark(ok bool) string {
	if ok {
		return t.color("32", "ok  ")
	}
	return t.color("31", "FAIL")
}

func (t *terminal) color(code, text string) string {
	if !t.live {
		return text
	}
	return screen.Sequence(code+"m") + text + screen.Sequence("0m")
}

// eraseLine goes back to the beginning of an empty line.
func eraseLine() string { return screen.Sequence("G") + screen.Sequence("K") }

// show returns a function that prints a call as it is played.
func show(t *terminal) func(simulate.Progress) {
	line := func(color, who, text string) {
		fmt.Fprintf(t.out, "%s  %s\n", t.color(color, fmt.Sprintf("%10s", who)), text)
	}
	return func(h simulate.Progress) {
		switch h.Kind {
		case "assistant":
			line("36", "assistant", h.Text)
		case "caller":
			line("33", "caller", h.Text)
		case "skipped":
			line("90", "not spoken", h.Text)
		case "tool":
			line("35", "tool", fmt.Sprintf("%s %s", h.Tool, h.Args))
			line("35", fmt.Sprintf("%.0f ms", float64(h.Latency.Microseconds())/1000), h.Text)
		case "status":
			line("90", "call", strings.ToLower(h.Text))
		default:
			line("90", h.Kind, h.Text)
		}
	}
}
