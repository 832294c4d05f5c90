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
	Gate      bool          `help:"What has to hold before main moves."`
	Release   bool          `help:"What has to hold before a release: the kills, until --cycles or --for is over."`
	Quick     bool          `help:"The gate in less than a minute, with small numbers and no judgement of times."`
	Store     []string      `help:"sqlite, postgres, dynamodb. Default: sqlite." placeholder:"STORE"`
	Only      []string      `help:"Only these experiments: kills, book, zombie, stops, replies, rate, synced." placeholder:"NAME"`
	For       time.Duration `help:"The longest that --release takes." placeholder:"DURATION"`
	Cycles    int           `help:"Kills, in place of 500, or of a release's 10000." placeholder:"N"`
	Processes int           `help:"Processes on one store in the kills, 1 to 4." default:"2"`
	Seed      uint64        `help:"Plays the load and the faults of an earlier run." placeholder:"N"`
	NoTimes   bool          `help:"Times are measured and not judged: for a busy machine."`
	Keep      bool          `help:"Leaves databases, logs and effects where they are."`
	Dir       string        `help:"Where databases and logs are. Default: a temporary folder, left only after a failure." type:"path"`
	Write     string        `help:"Writes the figures into this document, between its marks." placeholder:"FILE" type:"path"`

	commit string // that was built
}

// An experiment does something bad to the program and looks at what came of it.
type experiment struct {
	name string
	run  func(*runner, context.Context, plan) (Result, error)
	in   func(plan) bool // is it part of the plan?
}

// experiments in the order in which they are run.
var experiments = []experiment{
	{"synced", (*runner).synced, func(p plan) bool { return p.synced > 0 }},
	{"kills", (*runner).kills, func(p plan) bool { return p.cycles > 0 }},
	{"stops", (*runner).stops, func(p plan) bool { return p.stops > 0 }},
	{"book", (*runner).book, func(p plan) bool { return p.keys > 0 }},
	{"zombie", (*runner).zombie, func(p plan) bool { return p.zombie }},
	{"replies", (*runner).answers, func(p plan) bool { return p.replies > 0 }},
	{"rate", (*runner).steady, func(p plan) bool { return p.rate > 0 }},
}

// run is the program: 0 when every promise held, 1 when one did not, 2 when
// that could not be found out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c command
	parser, err := kong.New(&c, kong.Name("chaos"), kong.Description("Measures the promises of docs/reliability.md."), kong.Writers(stdout, stderr))
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
		return nil, errors.New("one of --gate and --release is needed: try go run ./chaos --gate --quick")
	case c.Processes < 1 || c.Processes > 4:
		return nil, errors.New("--processes is 1 to 4")
	}
	for _, name := range c.Only {
		if !slices.ContainsFunc(experiments, func(e experiment) bool { return e.name == name }) {
			return nil, fmt.Errorf("no experiment is called %q", name)
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
		r := &runner{store: store, processes: c.Processes, programs: built, dir: dir, keep: c.Keep, seed: c.Seed, say: stderr}
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

// buildPrograms builds what is deployed, with the chaos's backend in it.
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

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

// commit names the source that was measured.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
