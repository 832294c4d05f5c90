// Package screen writes to terminals what others sent. Control characters in a
// transcript could move the cursor, change the title or hide lines, and invisible ones
// could show text in another order than it has, so none passes except those that the
// program itself asks for.
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

// Text returns s without control characters and invisible ones.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if isUnseen(r) {
			return -1
		}
		return r
	}, s)
}

// Line returns s as one line: without what Text removes, and with a space for each
// line break or tab.
func Line(s string) string {
	return Text(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ", "\u2028", " ", "\u2029", " ").Replace(s))
}

// JSON returns a JSON text in which control characters and invisible ones are escaped
// that JSON allows as they are. It means the same.
func JSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, func(r rune) bool { return isUnseen(r) && r >= 0x7f }) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		if isUnseen(r) && r >= 0x7f {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

// isUnseen reports whether a character is a control character, or one without a glyph
// that changes the order of what is around it, breaks the line, or makes two texts look
// alike. The joiner U+200D stays: emoji of families and professions have it.
func isUnseen(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r < 0xa0:
		return true
	case r == '\u061c', r == '\u200b', r == '\u200e', r == '\u200f', r == '\ufeff':
		return true
	}
	return '\u2028' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// A Writer passes text and the control sequences of [Sequence], and removes all
// other control characters except tab and line feed, invisible characters, and bytes
// that are not UTF-8. It may be used concurrently.
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
		case r == '\n', r == '\t', !isUnseen(r):
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
