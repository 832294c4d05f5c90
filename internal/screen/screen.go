// Package screen writes to terminals what others sent. Control characters in a
// transcript could move the cursor, change the title or hide lines, so none passes
// except those that the program itself asks for.
//
//	out := screen.NewWriter(os.Stdout)
//	fmt.Fprintf(out, "%s %s\n", screen.Sequence("32m")+"ok"+screen.Sequence("0m"), text)
package screen

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// own begins a control sequence of the program. Nobody else can know it.
var own = "\x1b" + rand.Text() + ";"

// Sequence returns a control sequence for a [Writer]: Sequence("32m") becomes
// ESC [ 32 m.
func Sequence(s string) string { return own + s }

// Text returns s without control characters.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, s)
}

// Line returns s as one line: without control characters, and with a space for each
// line break or tab.
func Line(s string) string {
	return Text(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s))
}

// JSON returns a JSON text in which control characters are escaped that JSON allows
// as they are. It means the same.
func JSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, func(r rune) bool { return isControl(r) && r >= 0x7f }) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		if isControl(r) && r >= 0x7f {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// A Writer passes text and the control sequences of [Sequence], and removes all
// other control characters except tab and line feed, and bytes that are not UTF-8.
// It may be used concurrently.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // the beginning of a character whose end has not been written yet
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write implements io.Writer.
func (s *Writer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := append(s.rest, p...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, size := utf8.DecodeRune(in)
		switch {
		case bytes.HasPrefix(in, []byte(own)):
			out, size = append(out, "\x1b["...), len(own)
		case r == utf8.RuneError && size == 1:
		case r == '\n', r == '\t', !isControl(r):
			out = append(out, in[:size]...)
		}
		in = in[size:]
	}
	s.rest = bytes.Clone(in)
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
