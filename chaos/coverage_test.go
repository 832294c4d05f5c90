package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each scenario has one row in docs/reliability.md, and what the row names exists.
func TestCoverage(t *testing.T) {
	doc, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| ([TESPHKO]\d+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(string(doc), -1)
	seen := map[string]bool{}
	named := regexp.MustCompile("`([^`]+)`")
	for _, row := range rows {
		id, by := row[1], row[3]
		if seen[id] {
			t.Errorf("%s has two rows", id)
		}
		seen[id] = true
		names := named.FindAllStringSubmatch(by, -1)
		if len(names) == 0 && !strings.HasPrefix(by, "Not covered") && !strings.HasPrefix(by, "Measured") {
			t.Errorf("%s names no test and no reason: %s", id, by)
		}
		for _, name := range names {
			if err := exists(name[1]); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	for kind, n := range map[string]int{"T": 35, "E": 19, "S": 31, "P": 17, "H": 21, "K": 18, "O": 8} {
		for i := range n {
			if id := fmt.Sprintf("%s%d", kind, i+1); !seen[id] {
				t.Errorf("%s has no row", id)
			}
		}
	}
	if len(seen) != 149 {
		t.Errorf("%d rows, want 149", len(seen))
	}
}

// exists finds what a row names: `core.TestNext` is a test or fuzz target of a
// package, `adapter:paths` a case of every adapter, `store:SingleWinner` and
// `inbox:RoundTrip` one of every store and inbox, `chaos:crash` an experiment.
func exists(name string) error {
	kind, what, isCase := strings.Cut(name, ":")
	switch {
	case isCase && kind == "adapter":
		if _, err := os.Stat("../core/coretest/testdata/adapter/" + what + ".txtar"); err == nil {
			return nil
		}
		return contains("../core/coretest/adapter_generated.go", regexp.QuoteMeta(`{"`+what+`"`))
	case isCase && (kind == "store" || kind == "inbox"):
		return contains("../core/coretest/"+kind+".go", regexp.QuoteMeta(`{name: "`+what+`"`))
	case isCase && kind == "chaos":
		if !slices.ContainsFunc(experiments, func(e experiment) bool { return e.name == what }) {
			return fmt.Errorf("no experiment %q", what)
		}
		return nil
	}
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return fmt.Errorf("%q is not the name of a test", name)
	}
	return contains("../"+name[:i]+"/*_test.go", `(?m)^func `+name[i+1:]+`\(`)
}

func contains(pattern, expr string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if regexp.MustCompile(expr).Match(b) {
			return nil
		}
	}
	return fmt.Errorf("no %s in %s", expr, pattern)
}
