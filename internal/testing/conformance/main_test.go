package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTableReportsFailures(t *testing.T) {
	output := strings.ReplaceAll(`{"Action":"pass","Package":"MODsqldb","Test":"TestStore/SQLite/a_case"}
{"Action":"output","Package":"MODaws","Test":"TestStoreOnMoto/a_case","Output":"    x.go:1: NOT TESTED: a; because\n"}
{"Action":"skip","Package":"MODaws","Test":"TestStoreOnMoto/a_case"}
{"Action":"fail","Package":"MODgcp","Test":"TestStoreOnEmulator/a_case"}
a line that is not JSON
`, "MOD", module)
	results, err := read(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	page, bad := table(results)
	for _, want := range []string{"| SQLite | 1 |", "| DynamoDB (moto) | 0 | `a_case`: NOT TESTED: a; because |", "| Firestore (emulator) | 0, **1 failed** |", "- a case\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	all := strings.Join(bad, "\n")
	if !strings.Contains(all, "Firestore (emulator) a_case") || !strings.Contains(all, "D1 (miniflare)") || strings.Contains(all, "moto") && strings.Contains(all, "DynamoDB (moto) a_case") {
		t.Errorf("%q", bad)
	}
}

// A run writes the page: after adding a case, run the command again.
func TestPageHasEveryAdapterCase(t *testing.T) {
	page, err := os.ReadFile("../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../../core/coretest/testdata/adapter/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, f := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(f), ".txtar"), "_", " ")
		if !strings.Contains(string(page), "- "+name+"\n") {
			t.Errorf("%s is not in docs/conformance.md: go run ./internal/testing/conformance", name)
		}
	}
	if strings.Contains(string(page), "failed**") {
		t.Error("docs/conformance.md says that something failed")
	}
}
