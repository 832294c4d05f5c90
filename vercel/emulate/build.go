package emulate

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/ignorefile"
)

//go:embed cli/package.json
var cliPackage []byte

// FindCLI returns the path of the pinned Vercel CLI, which it installs with npm
// into the user's cache folder where it is not there yet: 350 MB. It fails with
// [ErrNoCLI] where there is no npm, or no Node.js 20.
func FindCLI(ctx context.Context, log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	sum := sha256.Sum256(cliPackage)
	dir := filepath.Join(cache, "serverurl", "vercel-cli-"+hex.EncodeToString(sum[:6]))
	program := filepath.Join(dir, "node_modules", ".bin", "vercel")
	if _, err := os.Stat(program); err == nil && nodeIsNew(ctx) {
		return program, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil || !nodeIsNew(ctx) {
		return "", ErrNoCLI
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	// Next to it first, so that what is there is always complete.
	temp, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	defer os.RemoveAll(temp)
	if err := os.WriteFile(filepath.Join(temp, "package.json"), cliPackage, 0o644); err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	fmt.Fprintln(log, "installing Vercel's CLI into", dir)
	cmd := exec.CommandContext(ctx, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = temp
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("emulate: npm install of Vercel's CLI: %w\n%s", err, tail(said))
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, there := os.Stat(program); there != nil { // else another process was quicker
			return "", fmt.Errorf("emulate: %w", err)
		}
	}
	return program, nil
}

// nodeIsNew reports whether the CLI runs here: it wants Node.js 20.
func nodeIsNew(ctx context.Context) bool {
	said, err := exec.CommandContext(ctx, "node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(said)), "v"), ".")
	n, bad := strconv.Atoi(major)
	return err == nil && bad == nil && n >= 20
}

// A Build is what is built, and how.
type Build struct {
	CLI     string // of [FindCLI]
	Dir     string // the root of the backend's module
	Project string // the folder with vercel.json in it, below Dir
	Env     []string

	// Wrapper stands before the CLI's command line, such as "unshare -n".
	Wrapper []string
}

// Run builds a copy of the sources with `vercel build --standalone` into the
// folder to, and returns the folder of the output. No login and no network is
// needed except for modules. What a deployment would not upload
// (.vercelignore) is not there; neither are the environment's secrets.
func (b Build) Run(ctx context.Context, to string) (output string, err error) {
	if err := copySources(b.Dir, to); err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	linked := filepath.Join(to, ".vercel")
	if err := os.MkdirAll(linked, 0o755); err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	settings := map[string]any{"framework": nil, "outputDirectory": nil, "nodeVersion": "22.x", "rootDirectory": nil}
	if b.Project != "" && b.Project != "." {
		settings["rootDirectory"] = filepath.ToSlash(b.Project)
	}
	project, err := json.Marshal(map[string]any{"projectId": "prj_local", "orgId": "team_local", "settings": settings})
	if err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	if err := os.WriteFile(filepath.Join(linked, "project.json"), project, 0o644); err != nil {
		return "", fmt.Errorf("emulate: %w", err)
	}
	output = filepath.Join(linked, "output")
	args := append(slices.Clone(b.Wrapper), b.CLI, "build", "--standalone", "--yes", "--output", output, "--global-config", filepath.Join(linked, "config"))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = to
	cmd.Env = append(buildEnv(), b.Env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("emulate: vercel build: %w\n%s", err, tail(said))
	}
	return output, nil
}

// buildEnv is the environment without what a build must not see. Paths are left
// out of the program, so that Go's cache serves another copy of the sources.
func buildEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return Forwarded(name) || strings.HasPrefix(name, "VERCEL_")
	})
	return append(env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"), "CI=1", "VERCEL_TELEMETRY_DISABLED=1", "NO_UPDATE_NOTIFIER=1", "CGO_ENABLED=0")
}

// neverUploaded is what Vercel leaves out by itself. A .vercelignore may take
// back what of it the build needs.
const neverUploaded = ".*\nnode_modules\n"

// copySources copies what a deployment uploads: all but what .vercelignore
// ignores.
func copySources(from, to string) error {
	text, err := os.ReadFile(filepath.Join(from, ".vercelignore"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	rules, err := ignorefile.Parse(neverUploaded + string(text))
	if err != nil {
		return fmt.Errorf(".vercelignore: %w", err)
	}
	files, err := rules.Files(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(from, f))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(f)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func tail(b []byte) []byte { return b[max(0, len(b)-3000):] }
