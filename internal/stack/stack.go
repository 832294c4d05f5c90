// Package stack finds the frames of a backend's own code in a stack: not those of the
// standard library, of core, or of what calls core.
//
//	for _, f := range stack.Own(debug.Stack()) {
//		fmt.Println(f.Place(), f.Func)
//	}
package stack

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Frame is a function that was running.
type Frame struct {
	Func string // "example.com/clinic.New.func3"
	File string // as the compiler recorded it
	Line int
}

// Place returns the file with its folder, and the line: "clinic/desk.go:41".
func (f Frame) Place() string { return Place(f.File, f.Line) }

// Place returns a file with its folder, and a line.
func Place(file string, line int) string {
	folder, name := path.Split(file)
	return fmt.Sprintf("%s:%d", path.Join(path.Base(folder), name), line)
}

// PlaceOf returns where a function begins, "" if that is not known.
func PlaceOf(f any) string {
	fn := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	if fn == nil {
		return ""
	}
	file, line := fn.FileLine(fn.Entry())
	if !strings.HasSuffix(file, ".go") { // a method value's is made by the compiler
		return ""
	}
	return Place(file, line)
}

// mainModule is the path of the program's module, "" if that is not known.
var mainModule = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Path
	}
	return ""
})

// ourPackages are those of this module that call a backend's functions.
var ourPackages = regexp.MustCompile(`^github\.com/serverurl/serverurl/(core|internal)(/.*)?$`)

// packageOf returns the package of a function, as the runtime names it.
func packageOf(function string) string {
	folder, name := path.Split(function)
	name, _, _ = strings.Cut(name, ".")
	return folder + name
}

// ourFolders are where the files of those packages are, with a slash at the end.
var ourFolders = sync.OnceValue(func() []string {
	_, file, _, _ := runtime.Caller(0)
	root := path.Dir(path.Dir(path.Dir(file)))
	return []string{root + "/core/", root + "/internal/"}
})

// isOurs reports whether a function is of a package that calls a backend's functions.
// The compiler names a closure that it has inlined after the function that it is
// inlined into, so the file decides too.
func isOurs(function, file string) bool {
	if ourPackages.MatchString(packageOf(function)) {
		return true
	}
	if strings.HasSuffix(file, "_test.go") {
		return false
	}
	return slices.ContainsFunc(ourFolders(), func(folder string) bool { return strings.HasPrefix(file, folder) })
}

// IsBackend reports whether a function, as the runtime names it, with its file, is of
// the backend's own code: neither of the standard library, whose paths have no domain,
// nor of core.
func IsBackend(function, file string) bool {
	pkg, own := packageOf(function), mainModule()
	domain, _, _ := strings.Cut(pkg, "/")
	switch {
	case isOurs(function, file):
		return false
	case pkg == "main", own != "" && (pkg == own || strings.HasPrefix(pkg, own+"/")):
		return true
	}
	return strings.Contains(domain, ".")
}

// Own returns the frames of the backend's own code in a stack that runtime/debug has
// printed, the innermost first: of a panic those before it, up to the call by core.
func Own(stack []byte) []Frame {
	lines := strings.Split(strings.TrimSpace(string(stack)), "\n")
	var own []Frame
	for i := 1; i+1 < len(lines); i += 2 {
		f, ok := parse(lines[i], lines[i+1])
		switch {
		case !ok:
		case f.Func == "panic": // what came before it are the deferred functions that it has called
			own = nil
		case len(own) > 0 && isOurs(f.Func, f.File) && !panicFollows(lines[i:]):
			return own
		case IsBackend(f.Func, f.File):
			own = append(own, f)
		}
	}
	return own
}

// A Panic is one that was recovered.
type Panic struct {
	Value any    // it may quote a patient
	Stack []byte // so may this
	Type  string // of the value
	Place string // of the first frame of the backend's own code; "unknown" if there is none
}

// Recovered describes a panic. It is called by the deferred function that recovered
// it, while the frames of the panic are still there.
func Recovered(v any) Panic {
	p := Panic{Value: v, Stack: debug.Stack(), Type: fmt.Sprintf("%T", v), Place: "unknown"}
	if own := Own(p.Stack); len(own) > 0 {
		p.Place = own[0].Place()
	}
	return p
}

// Log returns what a log has of a panic: it quotes nobody.
func (p Panic) Log() []any { return []any{"go_type", p.Type, "place", p.Place} }

// panicFollows reports whether the frame of a panic is among the lines of a stack.
func panicFollows(lines []string) bool {
	for _, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			return true
		}
	}
	return false
}

// parse reads the two lines of a frame: "pkg.Func(0x1, …)" and "\tfile:line +0x1d".
func parse(call, place string) (f Frame, ok bool) {
	f.Func, _, ok = strings.Cut(strings.TrimPrefix(call, "created by "), " in goroutine ")
	if i := strings.LastIndexByte(f.Func, '('); !ok && i > 0 {
		f.Func = f.Func[:i]
	}
	place, _, _ = strings.Cut(strings.TrimSpace(place), " +0x")
	i := strings.LastIndexByte(place, ':')
	if i < 0 {
		return f, false
	}
	line, err := strconv.Atoi(place[i+1:])
	f.File, f.Line = place[:i], line
	return f, err == nil
}
