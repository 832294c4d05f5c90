// Package failprint prints failures of a backend's own code for its developer, in
// full. They may quote a patient, so nothing that is deployed calls it.
//
//	clinic/desk.go:41  tool book_appointment panicked: assignment to entry in nil map
//	    call 5e1f0c2ab9d4
//	    clinic.book          /home/me/clinic/desk.go:41
//	    clinic.New.func3     /home/me/clinic/desk.go:20
package failprint

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/internal/stack"
)

// Attach makes p print each failure to w, a [screen.Writer]. It is called before p is
// bound.
func Attach(p *core.Processor, w io.Writer, color bool) {
	p.OnFailure(func(_ context.Context, f core.Failure) { _, _ = io.WriteString(w, text(f, color)) })
}

// Text returns a failure as Attach prints it, without color and without control
// characters.
func Text(f core.Failure) string {
	lines := strings.Split(strings.TrimSpace(text(f, false)), "\n")
	for i, line := range lines {
		lines[i] = screen.Text(line)
	}
	return strings.Join(lines, "\n")
}

// Color reports whether what is written to w may be in color: it is a terminal, and
// NO_COLOR is not set.
func Color(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
}

// text returns a failure as it is printed, for a screen.
func text(f core.Failure, color bool) string {
	var out strings.Builder
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return screen.Sequence(code+"m") + s + screen.Sequence("0m")
	}
	own := stack.Own(f.Stack)
	place := f.Place
	if place == "" && len(own) > 0 {
		place = own[0].Place()
	}
	what, why := "failed", ""
	switch {
	case f.Panic != nil:
		what, why = "panicked", fmt.Sprint(f.Panic)
	case f.Err != nil:
		why = f.Err.Error()
	}
	name := strings.TrimSpace(string(f.Kind) + " " + f.Name)
	if f.Event != "" {
		name += " (" + string(f.Event) + ")"
	}
	fmt.Fprintf(&out, "%s  %s %s: %s\n", paint("1", cmp.Or(place, "unknown place")), name, what, paint("31", indent(why)))
	if f.CallTag != "" {
		fmt.Fprintf(&out, "    %s\n", paint("2", "call "+f.CallTag))
	}
	frames := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, o := range own {
		fmt.Fprintf(frames, "    %s\t%s:%d\n", path.Base(o.Func), o.File, o.Line)
	}
	_ = frames.Flush()
	return out.String()
}

// indent keeps the lines of a text apart from those of the stack.
func indent(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    | ") }
