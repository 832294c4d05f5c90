package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A command is the command line.
type command struct {
	Gate      bool          `help:"Run what has to pass before a merge."`
	Release   bool          `help:"Run what has to pass before a release: the crash experiment, until --cycles or --for is reached."`
	Quick     bool          `help:"Run the gate in less than a minute, with small numbers and without latency limits."`
	Store     []string      `help:"Stores: sqlite, postgres, dynamodb. Default: sqlite." placeholder:"STORE"`
	Only      []string      `help:"Run only these experiments: crash, idempotency, change-of-mind, stale-owner, db-restart, deadlines, throughput, fsync." placeholder:"NAME"`
	For       time.Duration `help:"Limit the duration of --release." placeholder:"DURATION"`
	Cycles    int           `help:"How many kills. Default: 500, or 10000 for a release." placeholder:"N"`
	Processes int           `help:"How many processes share the store in the crash experiment, 1 to 4." default:"2"`
	Seed      uint64        `help:"Repeat the load and the faults of an earlier run." placeholder:"N"`
	NoTimes   bool          `help:"Measure latencies without limits, for a busy machine."`
	Keep      bool          `help:"Keep databases, logs and effects."`
	Dir       string        `help:"Folder of databases and logs. Default: a temporary one, kept only after a failure." type:"path"`
	Write     string        `help:"Write the figures into this document, between its marks." placeholder:"FILE" type:"path"`

	commit string // of the source that was built
}

// An experiment injects faults and checks the outcome.
type experiment struct {
	name string
	run  func(*runner, context.Context, plan) (Result, error)
	in   func(plan) bool // reports whether it is part of the plan
}

// experiments are run in this order.
var experiments = []experiment{
	{"fsync", (*runner).fsync, func(p plan) bool { return p.fsyncs > 0 }},
	{"crash", (*runner).crash, func(p plan) bool { return p.cycles > 0 }},
	{"db-restart", (*runner).dbRestart, func(p plan) bool { return p.stops > 0 }},
	{"idempotency", (*runner).idempotency, func(p plan) bool { return p.keys > 0 }},
	{"change-of-mind", (*runner).changeOfMind, func(p plan) bool { return p.minds > 0 }},
	{"stale-owner", (*runner).staleOwner, func(p plan) bool { return p.staleOwner }},
	{"deadlines", (*runner).deadlines, func(p plan) bool { return p.replies > 0 }},
	{"throughput", (*runner).throughput, func(p plan) bool { return p.rate > 0 }},
}

// run is the program. It returns 0 if every promise was kept, 1 if one was broken,
// and 2 if that could not be determined.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c command
	parser, err := kong.New(&c, kong.Name("chaos"), kong.Description("Test the promises of docs/reliability.md."), kong.Writers(stdout, stderr))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if _, err := parser.Parse(args); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	results, err := c.run(ctx, stdout, stderr)
	code := 0
	for _, r := range results {
		if !r.ok() {
			code = 1
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return max(2, code)
	}
	if c.Write != "" {
		if err := writeFigures(c.Write, c.title(args), results); err != nil {
			fmt.Fprintln(stderr, "chaos:", err)
			return 2
		}
	}
	return code
}

func (c *command) run(ctx context.Context, stdout, stderr io.Writer) (results []Result, err error) {
	switch {
	case c.Gate == c.Release:
		return nil, errors.New("one of --gate and --release is required: try go run ./chaos --gate --quick")
	case c.Processes < 1 || c.Processes > 4:
		return nil, errors.New("--processes must be 1 to 4")
	}
	for _, name := range c.Only {
		if !slices.ContainsFunc(experiments, func(e experiment) bool { return e.name == name }) {
			return nil, fmt.Errorf("unknown experiment %q; there are %s", name, experimentNames())
		}
	}
	if len(c.Store) == 0 {
		c.Store = []string{"sqlite"}
	}
	c.Seed = cmp.Or(c.Seed, rand.Uint64()>>32)
	c.commit = commit()
	fmt.Fprintf(stdout, "seed %d, commit %s, %s\n", c.Seed, c.commit, time.Now().UTC().Format("2006-01-02 15:04"))
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "chaos-"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if c.Dir == "" && !c.Keep && err == nil && !slices.ContainsFunc(results, func(r Result) bool { return !r.ok() }) {
			_ = os.RemoveAll(dir)
		} else if err != nil || c.Dir == "" {
			fmt.Fprintf(stderr, "files are in %s\n", dir)
		}
	}()
	built, err := buildPrograms(dir, c.Store)
	if err != nil {
		return nil, err
	}
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	for _, store := range c.Store {
		r := &runner{store: store, processes: c.Processes, programs: built, dir: dir, keep: c.Keep, seed: c.Seed, log: stderr}
		p := planOf(store, c.Quick)
		if c.Release {
			p = plan{cycles: 10_000, killRate: p.killRate, drain: p.drain}
		}
		p.cycles = cmp.Or(c.Cycles, p.cycles)
		if c.NoTimes {
			p.p99 = 0
		}
		for _, e := range experiments {
			if !e.in(p) || len(c.Only) > 0 && !slices.Contains(c.Only, e.name) {
				continue
			}
			res, err := e.run(r, ctx, p)
			if err != nil {
				return results, fmt.Errorf("%s on %s: %w", e.name, store, err)
			}
			results = append(results, res)
			res.print(stdout)
			if ctx.Err() != nil {
				return results, nil
			}
		}
	}
	return results, nil
}

// buildPrograms builds the deployed programs with package backend.
func buildPrograms(dir string, stores []string, tags ...string) (p programs, err error) {
	root, err := moduleRoot()
	if err != nil {
		return p, err
	}
	p = programs{server: filepath.Join(dir, "server"), lambda: filepath.Join(dir, "bootstrap")}
	if slices.ContainsFunc(stores, func(s string) bool { return s != "dynamodb" }) {
		err = build(root, "./chaos/cmd/server", p.server, tags...)
	}
	if slices.Contains(stores, "dynamodb") {
		err = errors.Join(err, build(root, "./chaos/cmd/lambda", p.lambda, append(tags, "lambda.norpc")...))
	}
	return p, err
}

func experimentNames() string {
	var names []string
	for _, e := range experiments {
		names = append(names, e.name)
	}
	return strings.Join(names, ", ")
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// commit describes the source that is tested.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
