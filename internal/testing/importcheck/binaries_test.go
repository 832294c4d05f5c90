package importcheck_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

const root = "../../.."

// testPrograms are programs that exist only to test.
var testPrograms = map[string]string{
	"chaos":            "the fault tests themselves",
	"gcp/emulate/fake": "Google's fake of Pub/Sub, which imports testing",
}

// No program and no public package links package testing, which registers flags and
// makes it larger, or a package that exists for tests.
func TestNoTestCodeInBinaries(t *testing.T) {
	importcheck.TrackSources(t, root)
	checked, excused := 0, map[string]bool{}
	for _, build := range []struct {
		env      []string
		packages string
	}{
		{nil, "./..."},
		{[]string{"GOOS=wasip1", "GOARCH=wasm"}, "./cmd/cloudflare"},
		{[]string{"GOOS=js", "GOARCH=wasm"}, "./core/..."},
	} {
		cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, build.packages)
		cmd.Dir, cmd.Env = root, append(os.Environ(), build.env...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", build.packages, err)
		}
		for line := range strings.Lines(string(out)) {
			pkg, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
			name := strings.TrimPrefix(pkg, importcheck.Module+"/")
			if _, ok := testPrograms[name]; ok || forTests(pkg) {
				excused[name] = true
				continue
			}
			checked++
			for _, dep := range strings.Fields(deps) {
				if forTests(dep) {
					t.Errorf("%s depends on %s", pkg, dep)
				}
			}
		}
	}
	for name := range testPrograms {
		if !excused[name] {
			t.Errorf("testPrograms has %s, which does not exist", name)
		}
	}
	if checked < 20 {
		t.Errorf("only %d packages were checked", checked)
	}
}

// forTests reports whether a package exists for tests. In other modules it only
// checks for the standard library's testing, which all of their helpers import.
func forTests(pkg string) bool {
	if pkg == "testing" || strings.HasPrefix(pkg, "testing/") {
		return true
	}
	name, ours := strings.CutPrefix(pkg, importcheck.Module+"/")
	return ours && (strings.HasSuffix(name, "test") || strings.HasPrefix(name, "internal/testing/"))
}
