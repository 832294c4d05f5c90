package ignorefile_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/ignorefile"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

// The syntax is git's, so git is asked about the same rules and the same tree.
func TestFilesAsGitListsThem(t *testing.T) {
	git := testenv.Program(t, "git")
	for name, rules := range map[string]string{
		"nothing":                       "",
		"names":                         "# fine\n\n*.md\n.env*\nnode_modules\n",
		"folders only":                  "notes/\na.go/\n/core/deep/\n",
		"from the root":                 "/notes\n/core/*.db\n/a.go\n",
		"a path from the root":          "/core/deep\n/core/*.db\n",
		"re-included":                   "*.go\n!a.go\n!/core/b.go\n",
		"the last rule decides":         "!a.go\n*.go\n!*.go\n/core/b.go\n",
		"nothing below an ignored one":  "core\n!/core/b.go\n!b.go\n",
		"an allow-list":                 "/*\n!/core\n/core/*\n!/core/*.go\n!/notes\n*_test.go\n",
		"an allow-list of folders only": "/*\n!/core/\n/core/*\n!/core/*.go\n!/core/deep\n/core/deep/*\n!/core/deep/x.json\n",
		"a class of characters":         "[ab].go\n?.md\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{
				"a.go", "b.md", "a_test.go", ".env", ".env.local", "serverurl.db", "notes/a.go", "notes/b.md",
				"core/b.go", "core/b_test.go", "core/x.db", "core/deep/a.go", "core/deep/x.json", "core/deep/node_modules/a.go",
			} {
				at := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := ignorefile.Parse(rules)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Files(dir)
			if err != nil {
				t.Fatal(err)
			}
			exclude := filepath.Join(t.TempDir(), "rules")
			if err := os.WriteFile(exclude, []byte(rules), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, dir, git, "init", "-q")
			want := strings.Fields(run(t, dir, git, "ls-files", "--others", "--exclude-from="+exclude))
			got = slices.DeleteFunc(got, func(f string) bool { return strings.HasPrefix(f, ".git/") })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, args[0], err, out)
	}
	return string(out)
}

func TestParseRejectsWhatItDoesNotKnow(t *testing.T) {
	for _, rule := range []string{"#!include:.gitignore", "a/**", "**/a", `\#`, "[a", "/", "!", "*", "core/deep"} {
		if _, err := ignorefile.Parse("# fine\n*.md\n" + rule + "\n"); err == nil || !strings.Contains(err.Error(), "not supported") {
			t.Errorf("%q: %v", rule, err)
		}
	}
}
