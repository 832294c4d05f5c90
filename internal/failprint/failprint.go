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
	"net/http"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/internal/stack"
	"github.com/serverurl/serverurl/platform"
)

// Attach makes p print each failure to w, a [screen.Writer]. It is called before p is
// bound.
func Attach(p *core.Processor, w io.Writer, color bool) {
	p.OnFailure(func(_ context.Context, f core.Failure) { _, _ = io.WriteString(w, text(f, color)) })
}

// Options returns o so that it prints failures of its readiness check and panics of
// its routes in the same way. Of a check it prints the first failure of several.
func Options(o platform.Options, w io.Writer, color bool) platform.Options {
	show := func(f core.Failure) { _, _ = io.WriteString(w, text(f, color)) }
	if check := o.Ready; check != nil {
		var failing atomic.Bool
		o.Ready = func(ctx context.Context) (err error) {
			defer func() {
				v := recover()
				if first := failing.Swap(v != nil || err != nil); !first && (v != nil || err != nil) {
					f := failure("readiness check", "", err, v)
					if v == nil {
						f.Place = stack.PlaceOf(check)
					}
					show(f)
				}
				if v != nil {
					panic(v)
				}
			}()
			return check(ctx)
		}
	}
	if routes := o.Routes; routes != nil {
		o.Routes = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				v := recover()
				if v != nil && v != http.ErrAbortHandler {
					show(failure("route", r.Method+" "+r.URL.Path, nil, v))
				}
				if v != nil {
					panic(v)
				}
			}()
			routes.ServeHTTP(w, r)
		})
	}
	return o
}

// failure is called while the frames of a panic are still there.
func failure(kind core.FailureKind, name string, err error, v any) core.Failure {
	f := core.Failure{Kind: kind, Name: name, Err: err}
	if v != nil {
		f.Panic, f.Stack = v, debug.Stack()
	}
	return f
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
