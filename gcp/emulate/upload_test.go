package emulate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/gcp/emulate"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

const root = "../.."

// What lies at the root decides whether Google's builder can build it.
func TestRoot(t *testing.T) {
	if err := emulate.ValidateRoot(root); err != nil {
		t.Error(err)
	}
}

func TestRootRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a package main":                      {"other.go", "package main", "package main"},
		"an external test package":            {"function_test.go", "package serverurl_test", "one package"},
		"another package for another system":  {"other_windows.go", "package other", "one package"},
		"a workspace":                         {"go.work", "go 1.26.0", "go.work"},
		"a file that is no Go":                {"other.go", "func", "cannot be parsed"},
		"vendored modules that may be behind": {"vendor", "", "vendor"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"function.go": "package serverurl", c.file: c.text} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := emulate.ValidateRoot(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if err := emulate.ValidateRoot(t.TempDir()); err == nil {
		t.Error("a root without Go files was taken")
	}
}

// gcloud itself reads .gcloudignore as we do.
func TestUploadAsGcloudListsIt(t *testing.T) {
	gcloud := testenv.Program(t, "gcloud")
	cmd := exec.CommandContext(t.Context(), gcloud, "meta", "list-files-for-upload", root)
	cmd.Env = append(os.Environ(), "CLOUDSDK_CONFIG="+t.TempDir(), "CLOUDSDK_CORE_DISABLE_PROMPTS=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(string(out))
	ours, err := emulate.UploadFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(theirs)
	slices.Sort(ours)
	for _, f := range theirs {
		if !slices.Contains(ours, f) {
			t.Errorf("gcloud uploads %s, and we do not see it", f)
		}
	}
	for _, f := range ours {
		if !slices.Contains(theirs, f) {
			t.Errorf("gcloud does not upload %s", f)
		}
	}
}

// Cloud Run builds the plain server from the same upload.
func TestUploadHoldsTheServer(t *testing.T) {
	dir := t.TempDir()
	if err := emulate.CopyUpload(root, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./cmd/server")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUploadRefusesRulesItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".gcloudignore"), []byte("*.md\n#!include:.gitignore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := emulate.UploadFiles(dir); err == nil || !strings.Contains(err.Error(), "#!include") {
		t.Errorf("got %v", err)
	}
}
