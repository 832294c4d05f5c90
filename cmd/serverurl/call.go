package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/simulate"
)

type callCommand struct {
	Scenarios []string `arg:"" optional:"" help:"Names of built-in scenarios, or paths of .yaml files."`

	To          string  `help:"The server URL's root." placeholder:"URL"`
	Secret      string  `help:"What the sender proves itself with." env:"SERVERURL_SECRET" placeholder:"SECRET"`
	Calls       int     `help:"How many calls of each scenario." default:"1" placeholder:"N"`
	Parallel    int     `help:"How many calls at the same time." default:"1" placeholder:"N"`
	Fast        bool    `help:"Without the pauses of a real call."`
	Speed       float64 `help:"Faster than a real call by this factor." default:"1" placeholder:"X"`
	Fault       string  `help:"What goes wrong on the way: duplicate,reorder,drop,late,wrong-secret,legacy,vapi; or never arrives: no-report,silent." placeholder:"LIST"`
	Seed        uint64  `help:"Play the same made-up callers and faults again." placeholder:"N"`
	WithCallID  bool    `help:"Add ?call=ID to the URLs of tools."`
	Data        string  `help:"The backend's data folder, to check what it knows in the end." placeholder:"DIR" type:"path"`
	DatabaseURL string  `help:"The backend's Postgres URL, to check the same." placeholder:"URL"`
	JSON        bool    `help:"The results as JSON."`
	List        bool    `help:"List the built-in scenarios."`
}

func (*callCommand) Help() string {
	return `Exits 1 when something was not as a scenario expects. What a backend knows in the
end is checked where its data can be read: --data or --database-url.

Examples:
  serverurl call --list
  serverurl call booking --to http://127.0.0.1:8080
  serverurl call booking barge-in no-report --to http://127.0.0.1:8080 --fast --fault duplicate,reorder
  serverurl call mine.yaml --to https://desk.example.com --secret "$SECRET" --calls 100 --parallel 10 --fast`
}

func (c *callCommand) Run(ctx context.Context, t *terminal) error {
	if c.List {
		for _, s := range simulate.List() {
			fmt.Fprintf(t.out, "%-14s %s\n", s.Name, s.About)
		}
		return nil
	}
	if len(c.Scenarios) == 0 || c.To == "" {
		return usageError{fmt.Errorf("a scenario and --to are needed, such as: serverurl call booking --to http://127.0.0.1:8080")}
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
		return usageError{fmt.Errorf("--calls, --parallel and --speed must be more than 0")}
	}
	o := simulate.Options{URL: c.To, Secret: c.Secret, NoDelay: c.Fast, Speed: c.Speed, Faults: faults, Seed: c.Seed, CallIDInURL: c.WithCallID}
	if c.Data != "" || c.DatabaseURL != "" {
		db, err := databaseFlags{Data: c.Data, DatabaseURL: c.DatabaseURL}.open(ctx)
		if err != nil {
			return err
		}
		defer db.Close()
		o.State = stateOf(db.Store())
	}
	return c.play(ctx, t, o, scenarios)
}

func (c *callCommand) play(ctx context.Context, t *terminal, o simulate.Options, scenarios []simulate.Scenario) error {
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
		summarize(t, results, failed, time.Since(start))
	}
	if failed > 0 {
		return errFailed
	}
	return nil
}

// progress is a line for each call, or on a screen one line that changes.
func progress(t *terminal, r simulate.Result, n, total, failed int) {
	switch {
	case t.live && r.OK():
		fmt.Fprintf(t.out, "\r\x1b[K%d of %d calls, %d failed", n, total, failed)
		if n == total {
			fmt.Fprintln(t.out)
		}
		return
	case t.live:
		fmt.Fprint(t.out, "\r\x1b[K")
	}
	fmt.Fprintf(t.out, "%s %-14s %s\n", t.mark(r.OK()), r.Scenario, r.Call)
	failures(t, r)
	if !r.OK() {
		fmt.Fprintf(t.out, "     to play it again: --seed %d --calls 1\n", r.Seed)
	}
}

// failures prints the first of them; the others are mostly the same.
func failures(t *terminal, r simulate.Result) {
	const most = 8
	for i, f := range r.Failures {
		if i == most {
			fmt.Fprintf(t.out, "     and %d more; --json has them all\n", len(r.Failures)-most)
			return
		}
		fmt.Fprintf(t.out, "     %s\n", f)
	}
}

func summarize(t *terminal, results []simulate.Result, failed int, took time.Duration) {
	var events, tools []time.Duration
	unchecked := map[string]int{}
	for _, r := range results {
		events, tools = append(events, r.EventTimes...), append(tools, r.ToolTimes...)
		for _, u := range r.Unchecked {
			unchecked[u]++
		}
	}
	if len(results) == 1 {
		failures(t, results[0])
	}
	fmt.Fprintf(t.out, "%s %d of %d calls as expected, in %.1fs\n", t.mark(failed == 0), len(results)-failed, len(results), took.Seconds())
	fmt.Fprintf(t.out, "     %s\n     %s\n", times("events answered", events), times("tools answered", tools))
	for u, n := range unchecked {
		hint := ""
		if strings.HasSuffix(u, "Options.State is not set") {
			hint = " (give --data or --database-url)"
		}
		fmt.Fprintf(t.out, "     NOT CHECKED in %d calls: %s%s\n", n, u, hint)
	}
}

func times(what string, ds []time.Duration) string {
	if len(ds) == 0 {
		return what + ": none"
	}
	slices.Sort(ds)
	at := func(q float64) float64 { return float64(ds[int(q*float64(len(ds)-1))].Microseconds()) / 1000 }
	return fmt.Sprintf("%s: %d, median %.1f ms, 99%% %.1f ms, longest %.1f ms", what, len(ds), at(0.5), at(0.99), at(1))
}

// mark is how a line says that all is well, or not.
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
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// show prints a call as it goes on.
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
			line("90", "unsaid", h.Text)
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
