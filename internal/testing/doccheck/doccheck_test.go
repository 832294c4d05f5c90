// Package doccheck checks the documents: that links and references lead
// somewhere, and that prose uses the words of CONTRIBUTING.md.
package doccheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// A reference is docs/NAME.md with or without #anchor, as comments write it;
// a link is what Markdown writes, relative to its own file.
var (
	reference = regexp.MustCompile(`docs/[a-z0-9-]+\.md(#[a-z0-9-]*[a-z0-9])?`)
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`^#+\s+(.*)$`)
	anchorTag = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func TestReferencesLeadSomewhere(t *testing.T) {
	pages := map[string]map[string]bool{} // by path from the root: the anchors
	anchors := func(path string) (map[string]bool, bool) {
		if a, ok := pages[path]; ok {
			return a, a != nil
		}
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			pages[path] = nil
			return nil, false
		}
		pages[path] = anchorsOf(string(b))
		return pages[path], true
	}
	checked := 0
	check := func(from, path, anchor string) {
		checked++
		if filepath.Ext(path) != ".md" {
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s points at %s, which is not there", from, path)
			}
			return
		}
		a, ok := anchors(path)
		switch {
		case !ok:
			t.Errorf("%s points at %s, which is not there", from, path)
		case anchor != "" && !a[anchor]:
			t.Errorf("%s points at %s#%s: the page has no such heading", from, path, anchor)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == "node_modules" || n == "testdata" || n == "bin" || strings.HasPrefix(n, ".") && path != root {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".yaml", ".js", ".jsonc", ".html":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, to := range reference.FindAllString(string(b), -1) {
				page, anchor, _ := strings.Cut(to, "#")
				check(name, page, anchor)
			}
		case ".md":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range link.FindAllStringSubmatch(string(b), -1) {
				to := m[1]
				if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
					continue
				}
				page, anchor, _ := strings.Cut(to, "#")
				if page == "" {
					page = name
				} else {
					page = filepath.Join(filepath.Dir(name), page)
				}
				check(name, page, anchor)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 100 {
		t.Errorf("only %d references were found", checked)
	}
}

// anchorsOf are the names that a page's headings have on GitHub, and those of
// its own tags.
func anchorsOf(page string) map[string]bool {
	anchors, fenced := map[string]bool{}, false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if m := heading.FindStringSubmatch(line); m != nil && !fenced {
			text := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
			anchors[strings.ReplaceAll(text, " ", "-")] = true
		}
		for _, m := range anchorTag.FindAllStringSubmatch(line, -1) {
			anchors[m[1]] = true
		}
	}
	return anchors
}

func TestAnchorsOf(t *testing.T) {
	got := anchorsOf("# One, two\n```\n# not this\n```\n## `End` of call\n<a id=\"own\"></a>\n")
	for _, want := range []string{"one-two", "end-of-call", "own"} {
		if !got[want] {
			t.Errorf("no anchor %q in %v", want, got)
		}
	}
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
}
