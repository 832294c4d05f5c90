// Command conformance runs the shared suites of core/coretest on every store,
// inbox and adapter of this repository and writes what passes where:
//
//	go run ./internal/testing/conformance [-o docs/conformance.md]
//
// It exits with 1 if a case fails or a tool is missing, and writes the table
// anyway.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"

	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A part is where a suite runs: a test, or a subtest of one.
type part struct{ title, pkg, test string }

// A suite is one of core/coretest's, with all that has to pass it.
type suite struct {
	name, what string
	parts      []part
}

var suites = []suite{
	{"Stores", "what `core` needs of a database (`coretest.Store`)", []part{
		{"SQLite", "sqlstore", "TestStore/SQLite"},
		{"SQLite, shared commits", "sqlinbox", "TestStore"},
		{"PostgreSQL", "sqlstore", "TestStore/Postgres"},
		{"PostgreSQL, for a pooler", "sqlstore", "TestStoreExecMode"},
		{"DynamoDB (moto)", "aws", "TestStoreOnMoto"},
		{"Firestore (emulator)", "gcp", "TestStoreOnEmulator"},
		{"Firestore (our stand-in)", "gcp/emulate/standin", "TestStoreOnStandin"},
		{"D1 (miniflare)", "cloudflare", "TestStoreOnD1"},
	}},
	{"Inboxes", "what is acknowledged is delivered (`coretest.Inbox`)", []part{
		{"SQLite", "sqlinbox", "TestInbox/SQLite"},
		{"PostgreSQL", "sqlinbox", "TestInbox/Postgres"},
		{"PostgreSQL, through PgBouncer", "sqlinbox", "TestThroughPooler"},
		{"PostgreSQL, drained in requests", "sqlinbox", "TestDrainedInbox"},
		{"SQS (moto)", "aws", "TestInboxOnMoto"},
		{"Pub/Sub (emulator)", "gcp", "TestInboxOnEmulator"},
		{"Pub/Sub (pstest)", "gcp", "TestInboxOnPstest"},
		{"Queues (miniflare)", "cloudflare", "TestInboxOnQueues"},
	}},
	{"Adapters", "the same requests, the same bytes in reply (`coretest.Adapter`)", []part{
		{"server, SQLite", "server", "TestAdapter/SQLite"},
		{"server, PostgreSQL", "server", "TestAdapter/Postgres"},
		{"Lambda, function URL", "aws/emulate", "TestAdapterBehindEveryFront/function-url"},
		{"Lambda, HTTP API", "aws/emulate", "TestAdapterBehindEveryFront/http-api"},
		{"Lambda, REST API", "aws/emulate", "TestAdapterBehindEveryFront/rest-api"},
		{"Lambda, ALB", "aws/emulate", "TestAdapterBehindEveryFront/alb"},
		{"Lambda, ALB, multi-value headers", "aws/emulate", "TestAdapterBehindEveryFront/alb-multi"},
		{"Cloud Functions, Google's emulators", "gcp/emulate", "TestAdapter/emulators"},
		{"Cloud Functions, our stand-ins", "gcp/emulate", "TestAdapter/embedded"},
		{"Vercel, standalone", "vercel/emulate", "TestAdapter/standalone"},
		{"Vercel, function", "vercel/emulate", "TestAdapter/function"},
		{"Workers (workerd)", "cloudflare/emulate", "TestAdapterInWorkerd"},
	}},
}

const module = "github.com/serverurl/serverurl/"

// An outcome is what came of a case: "pass", "fail", "skip" and why.
type outcome struct{ action, why string }

func main() {
	out := flag.String("o", "docs/conformance.md", "the file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string) error {
	results, err := test(ctx)
	if err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	page, bad := table(results)
	head := fmt.Sprintf(`# What passes where

    go run ./internal/testing/conformance

One suite for all stores, one for all inboxes, one for all adapters: a rule that holds on one platform holds on each. This page is written by that command.
%s, %s on %s/%s, commit %s. An emulator shows what our side does, not what the cloud does.
`, time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.TrimSpace(string(version)))
	if err := os.WriteFile(out, []byte(head+page), 0o644); err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("did not pass: %s", strings.Join(bad, ", "))
	}
	return nil
}

// test runs the suites and returns what came of each test, by package and name.
func test(ctx context.Context) (map[string]outcome, error) {
	var packages, tests []string
	for _, s := range suites {
		for _, p := range s.parts {
			packages = append(packages, "./"+p.pkg)
			name, _, _ := strings.Cut(p.test, "/")
			tests = append(tests, name)
		}
	}
	slices.Sort(packages)
	slices.Sort(tests)
	args := append([]string{"test", "-json", "-count=1", "-run", "^(" + strings.Join(slices.Compact(tests), "|") + ")$"}, slices.Compact(packages)...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CI=true") // a tool that is missing is a failure
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results, err := read(said)
	if err != nil {
		return nil, err
	}
	_ = cmd.Wait() // what failed is in the results
	return results, ctx.Err()
}

// read reads what go test -json says.
func read(r io.Reader) (map[string]outcome, error) {
	results, said := map[string]outcome{}, map[string]string{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(bytes.TrimSpace(line), &e) == nil {
			key := strings.TrimPrefix(e.Package, module) + " " + e.Test
			switch e.Action {
			case "output":
				said[key] += e.Output
			case "pass", "fail", "skip":
				if e.Test == "" && e.Action != "skip" {
					fmt.Fprintf(os.Stderr, "%s %s\n", e.Action, e.Package)
				}
				results[key] = outcome{e.Action, reason(said[key])}
			}
		}
		if err == io.EOF {
			return results, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// reason finds why a case was skipped in what it said.
func reason(said string) string {
	for _, mark := range []string{"NOT PROMISED: ", "NOT TESTED: ", "NOT RUN: "} {
		if _, after, ok := strings.Cut(said, mark); ok {
			why, _, _ := strings.Cut(after, "\n")
			return mark + why
		}
	}
	return ""
}

// table returns the tables, and what did not pass.
func table(results map[string]outcome) (page string, bad []string) {
	var b strings.Builder
	for _, s := range suites {
		rows := map[string]bool{}
		for _, p := range s.parts {
			for _, name := range cases(results, p) {
				rows[name] = true
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s: %d cases.\n\n| | passed | not asked |\n| --- | --- | --- |\n", s.name, strings.ToUpper(s.what[:1])+s.what[1:], len(rows))
		for _, p := range s.parts {
			passed := 0
			var skipped []string
			for _, name := range slices.Sorted(maps.Keys(rows)) {
				switch o := results[p.pkg+" "+p.test+"/"+name]; o.action {
				case "pass":
					passed++
				case "skip":
					skipped = append(skipped, fmt.Sprintf("`%s`: %s", name, cmp.Or(o.why, "no reason given")))
				default:
					bad = append(bad, p.title+" "+name)
				}
			}
			if len(cases(results, p)) == 0 {
				bad = append(bad, p.title)
			}
			failed := ""
			if n := len(rows) - passed - len(skipped); n > 0 {
				failed = fmt.Sprintf(", **%d failed**", n)
			}
			fmt.Fprintf(&b, "| %s | %d%s | %s |\n", p.title, passed, failed, strings.Join(skipped, "; "))
		}
		fmt.Fprintf(&b, "\n<details><summary>The cases</summary>\n\n")
		for _, name := range slices.Sorted(maps.Keys(rows)) {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(name, "_", " "))
		}
		b.WriteString("\n</details>\n")
	}
	return b.String(), bad
}

// cases returns the names of a part's cases.
func cases(results map[string]outcome, p part) (names []string) {
	under := p.pkg + " " + p.test + "/"
	for key := range results {
		if name, ok := strings.CutPrefix(key, under); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names
}
