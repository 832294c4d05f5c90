// Command conformance runs the suites of core/coretest on every store, inbox and
// adapter of this repository and writes the results to docs/conformance.md. It
// deploys nothing and uses no cloud: the engines are databases and emulators on
// this machine.
//
//	go run ./internal/testing/conformance [-o docs/conformance.md]
//
// It exits with 1 if a case fails or a tool is missing, and writes the tables
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

// A suite is one of core/coretest, with everything that has to pass it.
type suite struct {
	name, what string
	parts      []part
}

var suites = []suite{
	{"Stores", "what `core` needs of a database (`coretest.Store`)", []part{
		{"SQLite", "sqldb", "TestStore/SQLite"},
		{"SQLite, shared commits", "sqldb", "TestGroupCommitStore"},
		{"PostgreSQL", "sqldb", "TestStore/Postgres"},
		{"PostgreSQL, for a pooler", "sqldb", "TestStoreExecMode"},
		{"DynamoDB (moto)", "aws", "TestStoreOnMoto"},
		{"Firestore (emulator)", "gcp", "TestStoreOnEmulator"},
		{"Firestore (our stand-in)", "gcp/emulate/fake", "TestStoreOnStandin"},
		{"D1 (miniflare)", "cloudflare", "TestStoreOnD1"},
	}},
	{"Inboxes", "what is acknowledged is delivered (`coretest.Inbox`)", []part{
		{"SQLite", "sqldb", "TestInbox/SQLite"},
		{"PostgreSQL", "sqldb", "TestInbox/Postgres"},
		{"PostgreSQL, through PgBouncer", "sqldb", "TestThroughPooler"},
		{"PostgreSQL, drained in requests", "sqldb", "TestDrainedInbox"},
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

// An outcome is the result of a case: "pass", "fail" or "skip", and the reason.
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
	head := fmt.Sprintf(`# Conformance

    go run ./internal/testing/conformance

One suite for all stores, one for all inboxes and one for all adapters, so every platform keeps the same rules. The command above writes this page.
%s, %s on %s/%s, commit %s. An emulator shows what this code does, not what the cloud does.
`, time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.TrimSpace(string(version)))
	if err := os.WriteFile(out, []byte(head+page), 0o644); err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("not passed: %s", strings.Join(bad, ", "))
	}
	return nil
}

// test runs the suites and returns the outcomes by package and name of the test.
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
	cmd.Env = append(os.Environ(), "CI=true") // a missing tool is a failure
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results, err := read(stdout)
	if err != nil {
		return nil, err
	}
	_ = cmd.Wait() // the results say what failed
	return results, ctx.Err()
}

// read reads the output of go test -json.
func read(r io.Reader) (map[string]outcome, error) {
	results, output := map[string]outcome{}, map[string]string{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(bytes.TrimSpace(line), &e) == nil {
			key := strings.TrimPrefix(e.Package, module) + " " + e.Test
			switch e.Action {
			case "output":
				output[key] += e.Output
			case "pass", "fail", "skip":
				if e.Test == "" && e.Action != "skip" {
					fmt.Fprintf(os.Stderr, "%s %s\n", e.Action, e.Package)
				}
				results[key] = outcome{e.Action, reason(output[key])}
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

// reason finds in the output of a case why it was skipped.
func reason(output string) string {
	for _, mark := range []string{"NOT TESTED: ", "NOT RUN: "} {
		if _, after, ok := strings.Cut(output, mark); ok {
			why, _, _ := strings.Cut(after, "\n")
			return mark + why
		}
	}
	return ""
}

// table returns the tables and the cases that did not pass.
func table(results map[string]outcome) (page string, bad []string) {
	var b strings.Builder
	for _, s := range suites {
		rows := map[string]bool{}
		for _, p := range s.parts {
			for _, name := range cases(results, p) {
				rows[name] = true
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s: %d cases.\n\n| | passed | skipped |\n| --- | --- | --- |\n", s.name, strings.ToUpper(s.what[:1])+s.what[1:], len(rows))
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
