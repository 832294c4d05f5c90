package cloudflare

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

// The JavaScript is tested, linted and typed by its own tools, and what
// wrangler would upload is made by wrangler: without an account.
func TestTools(t *testing.T) {
	testenv.Program(t, "node")
	testenv.Program(t, "npm")
	if err := emulate.Install(t.Context(), "..", io.Discard); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	for _, c := range []struct {
		name, dir string
		args      []string
		says      string
	}{
		{"unit tests", ".", []string{"npm", "test"}, "# fail 0"},
		{"lint", ".", []string{modules + "/eslint", "."}, ""},
		{"types", ".", []string{modules + "/tsc"}, ""},
		{"migrations", "..", []string{modules + "/wrangler", "d1", "migrations", "apply", "serverurl", "--local", "--persist-to", out}, "0001_records.sql"},
		{"deploy", "..", []string{modules + "/wrangler", "deploy", "--dry-run", "--outdir", out}, "env.EVENTS (serverurl-events)"},
		{"startup", "..", []string{modules + "/wrangler", "check", "startup", "--outfile", filepath.Join(out, "startup.cpuprofile")}, "Startup phase"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), c.args[0], c.args[1:]...)
			cmd.Dir = c.dir
			cmd.Env = append(os.Environ(), "CI=1", "WRANGLER_SEND_METRICS=false", "CLOUDFLARE_CF_FETCH_ENABLED=false", "NO_COLOR=1")
			said, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(said), c.says) {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		t.Fatal(err)
	}
	wasm := 0
	for _, f := range files {
		switch filepath.Ext(f) {
		case ".go", ".mod", ".sum":
			t.Errorf("%s would be uploaded", f)
		case ".wasm":
			wasm++
		}
	}
	if wasm != 1 {
		t.Errorf("%d WASMs would be uploaded, want 1: %v", wasm, files)
	}
}
