package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/ignorefile"
	"github.com/serverurl/serverurl/internal/testing/importcheck"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

const root = "../../.."

// secrets are files that may be in a checkout and must never be uploaded.
var secrets = []string{
	"serverurl.db", "serverurl.db-wal", "serverurl.db-shm", "spool.db", "spool.db-journal", "other.sqlite",
	".env", ".env.local", ".env.production", "sam.json", "export.jsonl", "id_rsa", "key.pem", "sam_test.go",
}

func TestListsAreUpToDate(t *testing.T) {
	importcheck.TrackSources(t, root)
	for _, u := range uploads {
		want, err := u.rules(absolute(t, root))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(root, u.file)); got != want {
			t.Errorf("%s is not what go list says; run: go run ./internal/testing/uploadlist -w", u.file)
		}
	}
}

// Every file that a program is built from is uploaded, and only Go files, files
// that they embed, and those that are named here.
func TestUploadIsWhatIsBuilt(t *testing.T) {
	importcheck.TrackSources(t, root)
	for _, u := range uploads {
		t.Run(u.file, func(t *testing.T) {
			uploaded := files(t, u, root)
			dirs, needed, err := u.needs(absolute(t, root))
			if err != nil {
				t.Fatal(err)
			}
			for _, program := range u.programs {
				module, pattern, _ := strings.Cut(program, " ")
				packages, err := listPackages(filepath.Join(root, module), pattern)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range packages {
					dir, err := filepath.Rel(absolute(t, root), p.Dir)
					if err != nil || strings.HasPrefix(dir, "..") {
						continue
					}
					for _, f := range p.GoFiles {
						needed = append(needed, path.Join(filepath.ToSlash(dir), f))
					}
				}
			}
			for _, f := range needed {
				if !slices.Contains(uploaded, f) {
					t.Errorf("%s is needed and not uploaded", f)
				}
			}
			for _, f := range uploaded {
				isGo := strings.HasSuffix(f, ".go") && !strings.HasSuffix(f, "_test.go") && slices.Contains(dirs, path.Dir(f))
				if !isGo && !slices.Contains(needed, f) {
					t.Errorf("%s is uploaded and not needed", f)
				}
			}
		})
	}
}

// Neither this implementation nor git, which defines the syntax, reads a list so that
// it includes other files among the sources.
func TestNothingElseIsUploaded(t *testing.T) {
	git := testenv.Program(t, "git")
	for _, u := range uploads {
		t.Run(u.file, func(t *testing.T) {
			want := files(t, u, root)
			dir := t.TempDir()
			folders := []string{".", "data", "node_modules", "core/testdata"}
			for _, f := range want {
				touch(t, filepath.Join(dir, f))
				folders = append(folders, path.Dir(f))
			}
			for _, folder := range folders {
				for _, s := range secrets {
					touch(t, filepath.Join(dir, folder, s))
				}
			}
			rules := filepath.Join(absolute(t, root), u.file)
			if got := files(t, u, dir); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			command(t, dir, git, "init", "-q")
			theirs := strings.Fields(command(t, dir, git, "ls-files", "--others", "--exclude-from="+rules))
			slices.Sort(theirs)
			slices.Sort(want)
			if !slices.Equal(theirs, want) {
				t.Errorf("git reads %q\nwant %q", theirs, want)
			}
		})
	}
}

// What must not be uploaded must not be committed either.
func TestSecretsAreIgnoredByGit(t *testing.T) {
	git := testenv.Program(t, "git")
	dir := t.TempDir()
	command(t, dir, git, "init", "-q")
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(read(t, filepath.Join(root, ".gitignore"))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if strings.HasSuffix(s, ".go") {
			continue
		}
		if out, err := exec.Command(git, "-C", dir, "check-ignore", "--no-index", s).CombinedOutput(); err != nil {
			t.Errorf("%s is not ignored: %v %s", s, err, out)
		}
	}
	// Nothing that is committed is ignored. Sources without git pass.
	if out, err := exec.Command(git, "-C", root, "ls-files", "--cached", "--ignored", "--exclude-from="+filepath.Join(absolute(t, root), ".gitignore")).Output(); err == nil && len(out) > 0 {
		t.Errorf("committed and ignored: %s", out)
	}
}

func files(t *testing.T, u upload, dir string) []string {
	t.Helper()
	rules, err := ignorefile.Parse(read(t, filepath.Join(root, u.file)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := rules.Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func touch(t *testing.T, file string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func absolute(t *testing.T, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func command(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, args[0], err, out)
	}
	return string(out)
}
