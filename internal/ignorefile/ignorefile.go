// Package ignorefile reads .gcloudignore and .vercelignore, which say in the
// syntax of .gitignore what of a folder is not uploaded.
package ignorefile

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// Rules are the lines of such a file. The last one that matches a path decides;
// below a folder that is ignored nothing is uploaded.
type Rules []rule

type rule struct {
	pattern  string // of [path.Match]
	negated  bool   // what matches is uploaded after all
	anchored bool   // pattern is a path from the root, else a name at any depth
	dirOnly  bool
}

// Parse reads the text of a file. It fails on what is not supported, above all
// on what gcloud, Vercel and git read differently: "**", backslashes, gcloud's
// "#!include", "*" alone, and a slash in the middle without one in front.
func Parse(text string) (Rules, error) {
	var rules Rules
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' && !strings.HasPrefix(line, "#!") {
			continue
		}
		r := rule{pattern: line}
		r.pattern, r.negated = strings.CutPrefix(r.pattern, "!")
		r.pattern, r.dirOnly = strings.CutSuffix(r.pattern, "/")
		r.pattern, r.anchored = strings.CutPrefix(r.pattern, "/")
		_, err := path.Match(r.pattern, "")
		if err != nil || r.pattern == "" || strings.ContainsAny(r.pattern, `\#!`) || strings.Contains(r.pattern, "**") ||
			!r.anchored && (r.pattern == "*" || strings.Contains(r.pattern, "/")) {
			return nil, fmt.Errorf("the rule %q is not supported here", line)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// Files returns the files below dir that are uploaded, with slashes, in
// lexical order. Only regular files are.
func (r Rules) Files(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		switch name := filepath.ToSlash(rel); {
		case r.ignored(name, d.IsDir()) && d.IsDir():
			return fs.SkipDir
		case !r.ignored(name, d.IsDir()) && d.Type().IsRegular():
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

func (r Rules) ignored(name string, isDir bool) (ignored bool) {
	for _, rule := range r {
		against := name
		if !rule.anchored {
			against = path.Base(name)
		}
		if rule.dirOnly && !isDir {
			continue
		}
		if ok, _ := path.Match(rule.pattern, against); ok { // Parse has checked the pattern
			ignored = !rule.negated
		}
	}
	return ignored
}
