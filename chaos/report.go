package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func (r Result) print(w io.Writer) {
	verdict := "ok"
	if !r.ok() {
		verdict = "BROKEN"
	}
	fmt.Fprintf(w, "%-6s %-8s %-12s %s\n", verdict, r.Store, r.Name, r.Summary)
	fmt.Fprintf(w, "%28s %v\n", "", r.Counts)
	if f := r.figures(); f != "" {
		fmt.Fprintf(w, "%28s %s\n", "", f)
	}
	for _, f := range r.Failed {
		fmt.Fprintf(w, "%28s %s\n", "", f)
	}
	fmt.Fprintf(w, "%28s took %.0f s\n", "", r.Duration.Seconds())
}

func (r Result) figures() string { return strings.TrimPrefix(r.Figures, "; ") }

// title describes the command and the machine.
func (c *command) title(args []string) string {
	var command []string
	for i := 0; i < len(args); i++ {
		switch name, _, joined := strings.Cut(args[i], "="); name {
		case "--write", "--dir", "--seed": // not part of what was measured
			if !joined {
				i++
			}
		default:
			command = append(command, args[i])
		}
	}
	return fmt.Sprintf("    go run ./chaos %s --seed %d\n\nCommit %s, %s, %s on %s/%s, %d cores.\n",
		strings.Join(command, " "), c.Seed, c.commit, time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// writeFigures puts the results of a store into a document, between
//
//	<!-- figures: gate sqlite -->
//	<!-- end of figures -->
func writeFigures(path, title string, results []Result) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	by := map[string][]Result{}
	for _, r := range results {
		by[r.Store] = append(by[r.Store], r)
	}
	mode := "gate"
	if strings.Contains(title, "--release") {
		mode = "release"
	}
	for store, rs := range by {
		var b strings.Builder
		fmt.Fprintf(&b, "\n%s\n| | what | broken promises | measured |\n| --- | --- | --- | --- |\n", title)
		for _, r := range rs {
			broken := "0"
			if !r.ok() {
				broken = "**" + strings.Join(append(r.Failed, r.Counts.String()), "; ") + "**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Name, r.Summary, broken, r.figures())
		}
		b.WriteByte('\n')
		begin := fmt.Sprintf("<!-- figures: %s %s -->\n", mode, store)
		mark := regexp.MustCompile(`(?s)` + regexp.QuoteMeta(begin) + `.*?<!-- end of figures -->`)
		if !mark.Match(doc) {
			return fmt.Errorf("%s has no %q", path, strings.TrimSpace(begin))
		}
		doc = mark.ReplaceAllLiteral(doc, []byte(begin+b.String()+"<!-- end of figures -->"))
	}
	return os.WriteFile(path, doc, 0o644)
}
