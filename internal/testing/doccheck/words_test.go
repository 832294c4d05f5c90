package doccheck

import (
	"bytes"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The dictionary in CONTRIBUTING.md is what this check reads: private words of
// this project, and the field's term for each. It is applied to the comments of
// Go files and to Markdown, code spans excepted.
//
//	go test ./internal/testing/doccheck -run Words -words=core/coretest    # all findings below a path
//	go test ./internal/testing/doccheck -run Words -update-pending         # rewrite pending.txt
var (
	wordsBelow    = flag.String("words", "", "report all findings in files whose path from the root begins so, pending or not; \".\" is everything")
	updatePending = flag.Bool("update-pending", false, "write testdata/pending.txt anew")
)

const dictionaryHeading = "## Words"

// pendingFile lists the folders of Go files, and the Markdown files, that are
// not converted yet. It only shrinks; when it is empty it goes.
const pendingFile = "testdata/pending.txt"

// A term is a row of the dictionary.
type term struct {
	avoid [][]string // phrases, in lower case
	write string
	fine  [][]string // phrases in which what is to be avoided is right
}

type finding struct {
	place string // of pendingFile
	text  string
}

func TestWords(t *testing.T) {
	terms, err := dictionary(readFile(t, filepath.Join(root, "CONTRIBUTING.md")))
	if err != nil {
		t.Fatal(err)
	}
	findings, err := check(terms)
	if err != nil {
		t.Fatal(err)
	}
	if *wordsBelow != "" {
		for _, f := range findings {
			if *wordsBelow == "." || strings.HasPrefix(f.text, *wordsBelow) {
				t.Error(f.text)
			}
		}
		return
	}
	unclean := map[string]bool{}
	for _, f := range findings {
		unclean[f.place] = true
	}
	if *updatePending {
		var b strings.Builder
		for _, place := range sortedKeys(unclean) {
			fmt.Fprintf(&b, "%s\n\n", place) // blank lines, so that two branches can remove neighbors
		}
		if err := os.WriteFile(pendingFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	pending := map[string]bool{}
	for _, place := range strings.Fields(readFile(t, pendingFile)) {
		pending[place] = true
		if !unclean[place] {
			t.Errorf("%s is clean: take it out of %s", place, pendingFile)
		}
	}
	for _, f := range findings {
		if !pending[f.place] {
			t.Error(f.text)
		}
	}
}

// check applies the dictionary to the whole repository.
func check(terms []term) (findings []finding, err error) {
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == "node_modules" || n == "testdata" || n == "bin" || strings.HasPrefix(n, ".") && file != root {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		ext := path.Ext(name)
		if ext != ".go" && ext != ".md" {
			return nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		place, text := name, []byte(nil)
		if ext == ".go" {
			place, text = path.Dir(name), comments(b)
		} else {
			text = prose(b)
		}
		for _, f := range find(terms, text) {
			findings = append(findings, finding{place, name + ":" + f})
		}
		return nil
	})
	return findings, err
}

// dictionary reads the table below its heading: what to avoid, what to write,
// and optionally what is right in spite of it.
func dictionary(page string) (terms []term, err error) {
	_, page, _ = strings.Cut(page, dictionaryHeading+"\n")
	page, _, _ = strings.Cut(page, "\n## ")
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || strings.HasPrefix(strings.TrimSpace(cells[0]), "-") || strings.TrimSpace(cells[0]) == "instead of" {
			continue
		}
		t := term{avoid: phrases(cells[0]), write: strings.TrimSpace(cells[1]), fine: phrases(cells[2])}
		if t.avoid == nil || t.write == "" {
			return nil, fmt.Errorf("the dictionary has the row %q", line)
		}
		terms = append(terms, t)
	}
	if len(terms) < 20 {
		return nil, fmt.Errorf("the dictionary has %d rows; is the table still below %q?", len(terms), dictionaryHeading)
	}
	return terms, nil
}

// phrases are those in a cell, with commas between them.
func phrases(cell string) (list [][]string) {
	for _, phrase := range strings.Split(strings.ToLower(cell), ",") {
		if words := strings.Fields(phrase); len(words) > 0 {
			list = append(list, words)
		}
	}
	return list
}

// A words is a text with its words, which may be compared with phrases.
type words struct {
	text []byte
	at   [][]int // from and to of each
}

var word = regexp.MustCompile(`[A-Za-z]+`)

// has reports whether a phrase begins at the i-th word, over the end of a line too.
func (w words) has(phrase []string, i int) bool {
	if i < 0 || i+len(phrase) > len(w.at) {
		return false
	}
	for k, want := range phrase {
		from, to := w.at[i+k][0], w.at[i+k][1]
		if k > 0 && len(bytes.TrimSpace(w.text[w.at[i+k-1][1]:from])) > 0 || !strings.EqualFold(string(w.text[from:to]), want) {
			return false
		}
	}
	return true
}

// uses reports whether the phrase at the i-th word is one to avoid.
func (t term) uses(w words, phrase []string, i int) bool {
	if !w.has(phrase, i) || isName(w.text, w.at[i][0], w.at[i+len(phrase)-1][1]) {
		return false
	}
	for _, fine := range t.fine {
		for before := 0; before+len(phrase) <= len(fine); before++ {
			if slices.Equal(fine[before:before+len(phrase)], phrase) && w.has(fine, i-before) {
				return false
			}
		}
	}
	return true
}

// find returns "LINE: …" for each use of a term in text.
func find(terms []term, text []byte) (found []string) {
	w := words{text, word.FindAllIndex(text, -1)}
	first := map[string][]term{} // by the first word of a phrase
	for _, t := range terms {
		for _, phrase := range t.avoid {
			first[phrase[0]] = append(first[phrase[0]], term{[][]string{phrase}, t.write, t.fine})
		}
	}
	for i, at := range w.at {
		for _, t := range first[strings.ToLower(string(text[at[0]:at[1]]))] {
			if t.uses(w, t.avoid[0], i) {
				found = append(found, fmt.Sprintf("%d: %q; write: %s", 1+bytes.Count(text[:at[0]], []byte("\n")), strings.Join(t.avoid[0], " "), t.write))
			}
		}
	}
	return found
}

// isName reports whether text[from:to] is a part of a file's name, a path, a
// flag or an identifier.
func isName(text []byte, from, to int) bool {
	joins := func(i int) bool { return i >= 0 && i < len(text) && bytes.IndexByte([]byte("/._-"), text[i]) >= 0 }
	letter := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z')
	}
	return joins(from-1) && text[from-1] != '.' || joins(from-1) && letter(from-2) || joins(to) && letter(to+1)
}

var (
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	linkTo   = regexp.MustCompile(`\]\([^)]*\)`)
	docLink  = regexp.MustCompile(`\[[\w.*]+\]`)
)

// prose is a Markdown page without what is not prose: code, the targets of
// links, the dictionary itself. Lines stay where they are.
func prose(page []byte) (out []byte) {
	fenced, table := false, false
	for line := range bytes.Lines(page) {
		fence := bytes.HasPrefix(bytes.TrimSpace(line), []byte("```"))
		if bytes.HasPrefix(line, []byte("## ")) {
			table = string(bytes.TrimSpace(line)) == dictionaryHeading
		}
		if fence || fenced || table || bytes.HasPrefix(line, []byte("    ")) {
			line = blank(line)
		}
		if fence {
			fenced = !fenced
		}
		out = append(out, linkTo.ReplaceAllFunc(codeSpan.ReplaceAllFunc(line, blank), blank)...)
	}
	return out
}

// comments is a Go file without all but its comments. The output of examples is
// not prose either. Lines stay where they are.
func comments(src []byte) []byte {
	out := blank(src)
	var s scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	s.Init(file, src, nil, scanner.ScanComments)
	output := false
	for {
		pos, tok, lit := s.Scan()
		switch {
		case tok == token.EOF:
			return out
		case tok != token.COMMENT:
			output = false
			continue
		case strings.HasPrefix(lit, "//go:"):
			continue
		}
		output = output || strings.HasPrefix(lit, "// Output:") || strings.HasPrefix(lit, "// Unordered output:")
		if output {
			continue
		}
		at := file.Offset(pos)
		text := docLink.ReplaceAllFunc(codeSpan.ReplaceAllFunc([]byte(lit), blank), blank)
		copy(out[at:], "  ")
		copy(out[at+2:], text[2:])
	}
}

// blank returns b with spaces for everything but the ends of lines.
func blank(b []byte) []byte {
	out := bytes.Repeat([]byte(" "), len(b))
	for i, c := range b {
		if c == '\n' {
			out[i] = c
		}
	}
	return out
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sortedKeys(m map[string]bool) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestFindWords(t *testing.T) {
	terms := []term{
		{phrases("told"), "is given", phrases("told apart")},
		{phrases("is no, are no"), "is not a", phrases("there is no, is no longer")},
	}
	goFile := "package p\n\n// It is\n// no object. There is no more.\nvar told = \"was told\" // TOLD, `told`, told.go, [p.told]\n\n/* one\n   told */\n\nfunc ExampleX() {\n\t// Output: told\n}\n"
	for name, c := range map[string]struct {
		text []byte
		want []string
	}{
		"Go":       {comments([]byte(goFile)), []string{`3: "is no"; write: is not a`, `5: "told"; write: is given`, `8: "told"; write: is given`}},
		"Markdown": {prose([]byte("`told` [x](told.md) told\n```\ntold\n```\n## Words\ntold\n## Next\nis no longer told.\ntold\napart\n")), []string{`1: "told"; write: is given`, `8: "told"; write: is given`}},
	} {
		if got := find(terms, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
