package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/internal/testing/testenv"
)

// The programs under test: as deployed, and with mutations.
var deployed, mutable = sync.OnceValues(func() (programs, error) { return buildFor("deployed") }),
	sync.OnceValues(func() (programs, error) { return buildFor("mutable", "mutations") })

var built string // a folder

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "chaos-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

func buildFor(name string, tags ...string) (programs, error) {
	dir := filepath.Join(built, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return programs{}, err
	}
	return buildPrograms(dir, []string{"sqlite"}, tags...)
}

// small is enough of each experiment to detect a broken rule.
var small = plan{drain: time.Second, cycles: 5, killRate: 200, keys: 12, dups: 20, keyRate: 12, minds: 6, turns: 8, rate: 100, rateFor: time.Second, replies: 40, replyRate: 40, slowest: 2 * time.Second, fsyncs: 20}

func runExperiment(t *testing.T, store string, p programs, name string, env ...string) Result {
	t.Helper()
	r := &runner{store: store, processes: 2, programs: p, dir: t.TempDir(), env: env, seed: 1, log: &testLog{t: t}}
	for _, e := range experiments {
		if e.name == name {
			res, err := e.run(r, t.Context(), small)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
	}
	t.Fatalf("no experiment %q", name)
	return Result{}
}

type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// Each rule that is broken on purpose is detected by the checker as the right
// violation; without mutations it detects none. The schedules in core have the
// rules that take longer to break.
func TestBrokenRulesAreDetected(t *testing.T) {
	for _, c := range []struct {
		rule, experiment string
		broken           func(Counts) int
	}{
		{"ack-before-put", "crash", func(c Counts) int { return c.Lost }},
		{"no-redaction", "crash", func(c Counts) int { return c.Leaked }},
		{"no-dedup", "crash", func(c Counts) int { return c.Duplicated }},
		{"no-claim-condition", "idempotency", func(c Counts) int { return c.Duplicated }},
		{"unconditional-commit", "idempotency", func(c Counts) int { return c.Duplicated }},
		{"replay-stale", "change-of-mind", func(c Counts) int { return c.Inconsistent }},
		{"unsynced-commit", "fsync", func(c Counts) int { return c.Unsynced }},
		{"no-budget", "deadlines", func(c Counts) int { return c.Late }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if c.experiment == "fsync" {
				testenv.Program(t, "strace")
			}
			p, err := mutable()
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; ; n++ { // races and crashes are random
				res := runExperiment(t, "sqlite", p, c.experiment, "SERVERURL_MUTATION="+c.rule)
				if c.broken(res.Counts) > 0 {
					break
				}
				if n == 5 {
					t.Fatalf("not detected: %s: %v", res.Summary, res.Counts)
				}
			}
		})
	}
	for _, name := range []string{"fsync", "crash", "idempotency", "change-of-mind", "deadlines", "throughput"} {
		t.Run("unbroken: "+name, func(t *testing.T) {
			if name == "fsync" {
				testenv.Program(t, "strace")
			}
			p, err := deployed()
			if err != nil {
				t.Fatal(err)
			}
			if res := runExperiment(t, "sqlite", p, name); !res.ok() {
				t.Errorf("%s: %v %v", res.Summary, res.Counts, res.Failed)
			}
		})
	}
}

// The same on Postgres, which is restarted as well.
func TestOnPostgres(t *testing.T) {
	testenv.Program(t, "postgres", "/usr/lib/postgresql/17/bin/postgres", "/usr/lib/postgresql/16/bin/postgres", "/usr/lib/postgresql/15/bin/postgres")
	p, err := deployed()
	if err != nil {
		t.Fatal(err)
	}
	saved := small
	small.stops = 1
	defer func() { small = saved }()
	for _, name := range []string{"crash", "db-restart", "idempotency", "deadlines"} {
		t.Run(name, func(t *testing.T) {
			if res := runExperiment(t, "postgres", p, name); !res.ok() {
				t.Errorf("%s: %v %v", res.Summary, res.Counts, res.Failed)
			}
		})
	}
}

// Errors of the command line say what is wrong.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "one of --gate and --release"},
		{[]string{"--gate", "--release"}, "one of --gate and --release"},
		{[]string{"--gate", "--processes", "5"}, "--processes must be 1 to 4"},
		{[]string{"--gate", "--only", "nothing"}, `unknown experiment "nothing"; there are fsync, crash`},
		{[]string{"--gate", "--quick", "--store", "paper"}, `unknown store "paper"`},
		{[]string{"--color"}, "unknown flag"},
	} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), c.args, &out, &errs); code != 2 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: code %d, %s; want %q", c.args, code, errs.String(), c.want)
		}
	}
}

// Figures are written between their marks only.
func TestWriteFigures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	const before = "# Title\n<!-- figures: gate sqlite -->\nold\n<!-- end of figures -->\ntext\n<!-- figures: gate postgres -->\nkept\n<!-- end of figures -->\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	good := Result{Name: "crash", Store: "sqlite", Summary: "500 kills", Figures: "; fast"}
	bad := Result{Name: "idempotency", Store: "sqlite", Summary: "2000 requests", Counts: Counts{Duplicated: 3}}
	if err := writeFigures(path, "    go run ./chaos --gate\n", []Result{good, bad}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{"# Title\n<!-- figures: gate sqlite -->\n\n    go run", "| crash | 500 kills | 0 | fast |", "duplicated 3", "<!-- end of figures -->\ntext\n", "kept"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Error("the old figures are still there")
	}
	if err := writeFigures(path, "--release", []Result{good}); err == nil || !strings.Contains(err.Error(), "release sqlite") {
		t.Errorf("a document without the mark: %v", err)
	}
}

// Every experiment is part of the gate of a store, and the plan of each store is
// the documented one.
func TestPlans(t *testing.T) {
	for _, e := range experiments {
		found := false
		for _, store := range []string{"sqlite", "postgres", "dynamodb"} {
			found = found || e.in(planOf(store, false))
		}
		if !found {
			t.Errorf("no gate runs %s", e.name)
		}
	}
	for store, want := range map[string]string{
		"sqlite":   "500 2000×20 0 1000/s 2m0s 50ms 5000 8s",
		"postgres": "500 2000×20 30 1000/s 2m0s 50ms 5000 8s",
		"dynamodb": "500 200×20 0 0/s 2m0s 50ms 300 8s",
	} {
		p := planOf(store, false)
		got := fmt.Sprintf("%d %d×%d %d %.0f/s %v %v %d %v", p.cycles, p.keys, p.dups, p.stops, p.rate, p.rateFor, p.p99, p.replies, p.slowest)
		if got != want {
			t.Errorf("%s: the gate is %s, want %s", store, got, want)
		}
	}
}

// The deployed program contains no mutation.
func TestNoMutationIsDeployed(t *testing.T) {
	p, err := deployed()
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"SERVERURL_MUTATION", "ack-before-put", "SERVERURL_FAILPOINT"} {
		if n, err := search(p.server, words); err != nil || n > 0 {
			t.Errorf("%q is in the program: %v", words, err)
		}
	}
	if p, err = mutable(); err != nil {
		t.Fatal(err)
	}
	if n, err := search(p.server, "SERVERURL_MUTATION"); err != nil || n != 1 {
		t.Errorf("the search does not find it where it is: %v", err)
	}
}
