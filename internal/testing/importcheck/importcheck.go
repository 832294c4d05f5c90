// Package importcheck checks the import rules of a package, each with its reason.
// Such a test is in the package that it checks, because the test cache does not know
// that a test elsewhere depends on it.
//
//	func TestImports(t *testing.T) {
//		importcheck.Check(t, map[string]string{"net/http": "core stays small in WebAssembly"})
//	}
package importcheck

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Module is the path of this module.
const Module = "github.com/serverurl/serverurl"

// Check fails the test if the package in the current folder depends on one of the
// forbidden packages; the values are the reasons. A pattern that ends in "/..."
// includes all packages below it.
func Check(t *testing.T, forbidden map[string]string) {
	t.Helper()
	for _, dep := range deps(t) {
		for pattern, why := range forbidden {
			if matches(pattern, dep) {
				t.Errorf("imports %s: %s", dep, why)
			}
		}
	}
}

// CheckOnly fails the test if the package in the current folder depends on anything
// outside the standard library except the allowed packages.
func CheckOnly(t *testing.T, why string, allowed ...string) {
	t.Helper()
	self := listed(t, "-f", "{{.ImportPath}}", ".")[0]
next:
	for _, dep := range deps(t) {
		if host, _, _ := strings.Cut(dep, "/"); !strings.Contains(host, ".") || dep == self {
			continue
		}
		for _, pattern := range allowed {
			if matches(pattern, dep) {
				continue next
			}
		}
		t.Errorf("imports %s: %s", dep, why)
	}
}

// CheckBuild fails the test if the package in the current folder does not compile
// for the platform.
func CheckBuild(t *testing.T, goos, goarch string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", os.DevNull, ".")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("does not build for %s/%s: %v\n%s", goos, goarch, err, out)
	}
}

// CheckWASM fails the test if the package in the current folder does not
// compile for one of the two targets of WebAssembly.
func CheckWASM(t *testing.T) {
	t.Helper()
	for _, goos := range []string{"js", "wasip1"} {
		CheckBuild(t, goos, "wasm")
	}
}

// TrackSources makes the test depend on every Go file and module file below dir. A
// test that runs the go command needs it: the test cache does not know which files
// that reads.
func TrackSources(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return cmp.Or(err, fs.SkipDir)
		}
		if ext := filepath.Ext(path); ext == ".go" || ext == ".mod" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func matches(pattern, dep string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dep == below || strings.HasPrefix(dep, below+"/")
	}
	return dep == pattern
}

func deps(t *testing.T) []string { return listed(t, "-deps", ".") }

func listed(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}
