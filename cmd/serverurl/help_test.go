package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestHelpHasExamples reads the help of every command: it has examples, of that command, that can be
// typed.
func TestHelpHasExamples(t *testing.T) {
	parser := quietParser(t)
	leaves := parser.Model.Leaves(true)
	if len(leaves) < 15 {
		t.Fatalf("only %d commands were found", len(leaves))
	}
	for _, command := range leaves {
		_, examples, ok := strings.Cut(command.Detail, "Examples:\n")
		if !ok {
			t.Errorf("%s: no examples in its help", command.FullPath())
			continue
		}
		// What calls and dlq do by default needs no second word.
		own := strings.TrimSuffix(command.FullPath(), " list")
		found := false
		for line := range strings.Lines(examples) {
			if !strings.HasPrefix(line, "  ") {
				break
			}
			if line = strings.TrimSpace(line); runsProgram.MatchString(line) { // and not export
				found = found || strings.Contains(line, own)
				typed(t, command.FullPath(), line)
			}
		}
		if !found {
			t.Errorf("%s: the examples are of other commands", command.FullPath())
		}
	}
}

// TestDocumentedCommands parses every command line of the documents. A flag that was
// renamed is found here, and not by a reader.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(b)) {
			count++
			typed(t, filepath.Base(page), line)
		}
	}
	if count < 60 {
		t.Errorf("only %d command lines were found", count)
	}
}

// codeSpan matches a command line in a sentence, which is more than the name of a command.
var codeSpan = regexp.MustCompile("`(serverurl [a-z]+ [^`\n]+)`")

// commandLines returns the lines of code blocks, and the code spans, that run this
// program.
func commandLines(page string) (lines []string) {
	fenced := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
			continue
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line = strings.Replace(line, "go run ./cmd/serverurl ", "serverurl ", 1)
		if runsProgram.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// runsProgram matches a command line of this program, with variables before it.
var runsProgram = regexp.MustCompile(`^((?:[A-Z_]+=(?:"[^"]*"|\S*) +)*)serverurl [a-z-]`)

// typed parses a command line as it stands in help or in a document.
func typed(t *testing.T, where, line string) {
	t.Helper()
	variables := runsProgram.FindStringSubmatch(line)[1]
	args := strings.TrimPrefix(line[len(variables):], "serverurl ")
	if strings.Contains(args, "[") { // a synopsis
		return
	}
	if _, err := quietParser(t).Parse(shellWords(args)); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
	}
}

func quietParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}), kong.Bind(&terminal{out: io.Discard}))
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// shellWords splits a command line as a shell does, as far as the documents need
// it: up to a comment, a pipe or the next command.
func shellWords(line string) (words []string) {
	for _, w := range shellWord.FindAllString(strings.TrimSpace(line), -1) {
		if slices.Contains([]string{"#", "|", "&", "&&", ">", "\\"}, w) {
			break
		}
		words = append(words, strings.Trim(w, `"'`))
	}
	return words
}

func TestShellWords(t *testing.T) {
	got := shellWords(`watch --store "aws://t?queue=a&dlq=b" 'x y' --no-tui | grep x   # comment`)
	if want := []string{"watch", "--store", "aws://t?queue=a&dlq=b", "x y", "--no-tui"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
