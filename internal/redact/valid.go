package redact

import "github.com/serverurl/serverurl/internal/jsonscan"

// A walk redacts a body that is one JSON text, in one pass and without building
// anything: it runs on each event before the event is accepted. It checks as
// much of the grammar as it needs to know where values begin and end.
type walk struct {
	redactor            // by value, so that it stays on the stack
	at       int        // byte of the body; never white space at a step
	in       position   // of the next value
	stack    []position // of the arrays and objects that are open
	want     wanted
}

// redactValid returns false if the body is something else; its edits are void
// then.
func (w *walk) redactValid() bool {
	w.at, w.stack = jsonscan.SkipSpace(w.body, 0), make([]position, 0, 64)
	for ok := true; w.at < len(w.body); w.at = jsonscan.SkipSpace(w.body, w.at) {
		switch w.want {
		case wantValue:
			ok = w.value()
		case wantName:
			ok = w.name()
		case wantNext:
			ok = w.next()
		}
		if !ok {
			return false
		}
	}
	return w.want == wantNext && len(w.stack) == 0
}

type wanted uint8

const (
	wantValue wanted = iota
	wantName
	wantNext // a comma, the end of an array or object, or the end of the body
)

// maxDepth is what the JSON parser accepts; it bounds the stack.
const maxDepth = 10_000

// value reads a value, or the beginning of an array or object.
func (w *walk) value() bool {
	b := w.body
	switch c := b[w.at]; c {
	case '{', '[':
		if len(w.stack) == maxDepth {
			return false
		}
		w.want = wantName
		if c == '[' {
			w.want, w.in = wantValue, w.in|insideArray
		}
		w.stack = append(w.stack, w.in)
		w.in &^= insideArray
		w.at = jsonscan.SkipSpace(b, w.at+1)
		if w.at < len(b) && b[w.at] == c+2 { // in ASCII, } is { plus 2, and ] is [ plus 2
			w.want = wantNext
		}
	case '"':
		end := jsonscan.StringEnd(b, w.at)
		if end < 0 {
			return false
		}
		w.redactString(w.at+1, end-1)
		w.at, w.want = end, wantNext
	default:
		end := jsonscan.ScalarEnd(b, w.at)
		if end == w.at {
			return false
		}
		if w.found && w.holds(b[w.at:end]) { // a secret of digits, as a number
			w.replace(w.at, end)
		}
		w.at, w.want = end, wantNext
	}
	return true
}

// name reads the name of a member and its colon. If the name says that the
// value is secret it redacts and passes over the value as well.
func (w *walk) name() bool {
	b := w.body
	if b[w.at] != '"' {
		return false
	}
	end := jsonscan.StringEnd(b, w.at)
	if end < 0 {
		return false
	}
	name := b[w.at+1 : end-1]
	w.redactString(w.at+1, end-1)
	if w.at = jsonscan.SkipSpace(b, end); w.at == len(b) || b[w.at] != ':' {
		return false
	}
	w.at, w.want = jsonscan.SkipSpace(b, w.at+1), wantValue
	var secret bool
	if w.in, secret = w.in.child(classify(name), w.at < len(b) && b[w.at] == '{'); !secret {
		return true
	}
	if end = valueEnd(b, w.at); end < 0 {
		return false
	}
	w.replace(w.at, end)
	w.at, w.want = end, wantNext
	return true
}

// next reads what follows a value.
func (w *walk) next() bool {
	if len(w.stack) == 0 {
		return false
	}
	top := w.stack[len(w.stack)-1]
	isArray := top&insideArray != 0
	switch c := w.body[w.at]; {
	case c == ',':
		w.in, w.want = top&^insideArray, wantName
		if isArray {
			w.want = wantValue
		}
	case c == ']' && isArray, c == '}' && !isArray:
		w.stack = w.stack[:len(w.stack)-1]
	default:
		return false
	}
	w.at++
	return true
}

// valueEnd returns the index behind the value at i, or -1.
func valueEnd(b []byte, i int) int {
	switch {
	case i == len(b):
		return -1
	case b[i] == '"':
		return jsonscan.StringEnd(b, i)
	case b[i] != '{' && b[i] != '[':
		if end := jsonscan.ScalarEnd(b, i); end > i {
			return end
		}
		return -1
	}
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			if i = jsonscan.StringEnd(b, i); i < 0 {
				return -1
			}
			continue
		}
		i++
	}
	return -1
}
