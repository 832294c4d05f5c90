// Package stack finds the frames of a backend's own code in a printed stack: not
// those of the standard library, nor of this module's packages that call it.
//
//	for _, f := range stack.Own(debug.Stack()) {
//		fmt.Println(f.Place(), f.Func)
//	}
package stack

import (
	"bytes"
	"path"
	"strings"
)

// A Frame is a function that was running.
type Frame struct {
	Func string // "example.com/clinic.New.func3"
	File string // as the compiler recorded it
	Line string
}

// Place returns the file's name and the line, "desk.go:41".
func (f Frame) Place() string { return path.Base(f.File) + ":" + f.Line }

const module = "github.com/serverurl/serverurl/"

// ours are the packages of this module that run other people's code. All others,
// such as app and the examples, are somebody's backend.
var ours = []string{
	"core", "core/corehttp", "server", "aws", "gcp", "vercel", "cloudflare", "sqldb", "internal/lifecycle", "internal/stack", "simulate",
}

// Own returns the frames of the backend's own code in a stack as runtime/debug
// prints it, the innermost first. Frames of a panic's own machinery and of deferred
// functions that have recovered it come before those in which it began, so they are
// left out.
func Own(stack []byte) []Frame {
	var all []Frame
	lines := strings.Split(string(bytes.TrimSpace(stack)), "\n")
	root, panicked := "", 0
	for i := 1; i+1 < len(lines); i += 2 {
		f, ok := parse(lines[i], lines[i+1])
		if !ok {
			continue
		}
		if dir, found := strings.CutSuffix(path.Dir(f.File), "runtime/debug"); found && f.Func == "runtime/debug.Stack" {
			root = dir
		}
		if f.Func == "panic" || f.Func == "runtime.gopanic" {
			panicked = len(all)
		}
		all = append(all, f)
	}
	var own []Frame
	for _, f := range all[panicked:] {
		if !isStandard(f, root) && !isOurs(f.Func) {
			own = append(own, f)
		}
	}
	return own
}

// parse reads the two lines of a frame: "pkg.Func(0x1, …)" and "\tfile:line +0x1d".
func parse(call, place string) (Frame, bool) {
	name := strings.TrimPrefix(call, "created by ")
	if before, _, created := strings.Cut(name, " in goroutine "); created {
		name = before
	} else if i := strings.LastIndexByte(name, '('); i > 0 {
		name = name[:i]
	}
	place, _, _ = strings.Cut(strings.TrimSpace(place), " +0x")
	i := strings.LastIndexByte(place, ':')
	if i < 0 {
		return Frame{}, false
	}
	return Frame{Func: name, File: place[:i], Line: place[i+1:]}, true
}

// isStandard reports whether a frame is of the standard library, whose files are
// below root. With -trimpath root is "" and a file begins with the import path, of
// which only other people's have a dot, or "./" and "main" for a program's.
func isStandard(f Frame, root string) bool {
	if f.Func == "panic" {
		return true
	}
	if root != "" {
		return strings.HasPrefix(f.File, root)
	}
	first, _, _ := strings.Cut(f.Func, "/")
	if strings.Contains(f.Func, "/") {
		return !strings.Contains(first, ".")
	}
	name, _, _ := strings.Cut(f.Func, ".")
	return name != "main" && path.Dir(f.File) == name
}

func isOurs(name string) bool {
	rest, found := strings.CutPrefix(name, module)
	if !found {
		return false
	}
	for _, pkg := range ours {
		if after, ok := strings.CutPrefix(rest, pkg); ok && (strings.HasPrefix(after, ".") || strings.HasPrefix(after, "_test.")) {
			return !strings.HasPrefix(after, "_test.")
		}
	}
	return false
}
