package redact

import (
	"bytes"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/internal/fault"
	"github.com/serverurl/serverurl/internal/jsonscan"
)

// minSecretBytes is the shortest secret that is looked for in payloads. A shorter
// one would be found in ordinary words.
const minSecretBytes = 8

// JSON returns body without what must not be kept (docs/events.md#secrets):
//
//   - controlUrl and listenUrl, which control and overhear the live call, anywhere;
//   - values whose key says that they are a credential, and the values of headers: the
//     sender repeats the assistant's configuration, with what it uses to reach us;
//   - our own secrets, anywhere, also where characters are written as \u0061.
//
// What a caller or a tool's author put there (metadata, structuredData,
// arguments, parameters, messages) is theirs: below it such keys do not count,
// our own secrets do.
//
// Valid JSON stays valid JSON, and what is not masked stays as it is to the byte. A body that
// is not JSON is masked by a rougher way that would rather take too much.
// Masking JSON twice is masking it once. When there is nothing to JSON, JSON
// returns body itself, else it writes to dst[:0].
func JSON(dst, body []byte, secrets []string) []byte {
	if fault.Mutated("no mask") {
		return body
	}
	m := redactor{body: body}
	m.prepare(secrets)
	if !m.walk() {
		m.edits = m.edits[:0]
		m.redactInvalid()
	}
	if len(m.edits) == 0 {
		return body
	}
	return m.apply(dst)
}

// An edit replaces a piece of the body: by "***" with quotes where it was a
// value, without where it was a part of a string.
type edit struct {
	from, to int
	value    bool
}

const quotedPlaceholder = `"` + Placeholder + `"`

type redactor struct {
	body    []byte
	secrets []string // our own secrets
	found   bool     // at least one of them is in the body as it is
	escaped bool     // one may be there with escapes
	edits   []edit   // in order, not overlapping
}

func (m *redactor) apply(dst []byte) []byte {
	dst = slices.Grow(dst[:0], len(m.body)+len(m.edits)*len(quotedPlaceholder))
	at := 0
	for _, e := range m.edits {
		dst = append(dst, m.body[at:e.from]...)
		if e.value {
			dst = append(dst, quotedPlaceholder...)
		} else {
			dst = append(dst, Placeholder...)
		}
		at = e.to
	}
	return append(dst, m.body[at:]...)
}

// replace masks a whole value. A null holds nothing, and stays for those who decode.
func (m *redactor) replace(from, to int) {
	if s := string(m.body[from:to]); s != quotedPlaceholder && s != "null" && s != "" {
		m.edits = append(m.edits, edit{from, to, true})
	}
}

// walk goes through a JSON text once. It returns false when that is not what
// the body is.
func (m *redactor) walk() bool {
	const wantValue, wantName, wantNext = 0, 1, 2
	const deepest = 10_000 // what the parser takes; the stack stays small
	b := m.body
	stack := make([]position, 0, 64)
	in, want := eventPosition, wantValue
	for i := jsonscan.SkipSpace(b, 0); ; i = jsonscan.SkipSpace(b, i) {
		if i == len(b) {
			return want == wantNext && len(stack) == 0
		}
		c := b[i]
		switch want {
		case wantValue:
			switch c {
			case '{', '[':
				want, i = wantName, jsonscan.SkipSpace(b, i+1)
				if c == '[' {
					want, in = wantValue, in|insideArray
				}
				if len(stack) == deepest {
					return false
				}
				stack = append(stack, in)
				in &^= insideArray
				if i < len(b) && b[i] == c+2 { // } or ], in ASCII two on
					want = wantNext
				}
			case '"':
				end := jsonscan.StringEnd(b, i)
				if end < 0 {
					return false
				}
				m.redactString(i+1, end-1)
				i, want = end, wantNext
			default:
				end := jsonscan.ScalarEnd(b, i)
				if end == i {
					return false
				}
				if m.found && m.holds(b[i:end]) {
					m.replace(i, end)
				}
				i, want = end, wantNext
			}
		case wantName:
			if c != '"' {
				return false
			}
			end := jsonscan.StringEnd(b, i)
			if end < 0 {
				return false
			}
			name := b[i+1 : end-1]
			m.redactString(i+1, end-1)
			if i = jsonscan.SkipSpace(b, end); i == len(b) || b[i] != ':' {
				return false
			}
			i, want = jsonscan.SkipSpace(b, i+1), wantValue
			var secret bool
			if in, secret = in.child(classify(name), i < len(b) && b[i] == '{'); secret {
				end := valueEnd(b, i)
				if end < 0 {
					return false
				}
				m.replace(i, end)
				i, want = end, wantNext
			}
		case wantNext:
			if len(stack) == 0 {
				return false
			}
			top := stack[len(stack)-1]
			isArray := top&insideArray != 0
			switch {
			case c == ',':
				in, want = top&^insideArray, wantName
				if isArray {
					want = wantValue
				}
			case c == ']' && isArray, c == '}' && !isArray:
				stack = stack[:len(stack)-1]
			default:
				return false
			}
			i++
		}
	}
}

// prepare prepares the search for our own secrets.
func (m *redactor) prepare(secrets []string) {
	for _, v := range secrets {
		if len(v) < minSecretBytes {
			continue
		}
		m.secrets = append(m.secrets, v)
		m.found = m.found || bytes.Contains(m.body, []byte(v))
		m.escaped = m.escaped || strings.ContainsAny(v, `"\`) ||
			strings.Contains(v, "/") && bytes.Contains(m.body, []byte(`\/`))
	}
	m.escaped = len(m.secrets) > 0 && (m.escaped || bytes.Contains(m.body, []byte(`\u00`)))
}

func (m *redactor) holds(piece []byte) bool {
	return slices.ContainsFunc(m.secrets, func(s string) bool { return bytes.Contains(piece, []byte(s)) })
}

// redactString masks our own secrets between two quotes.
func (m *redactor) redactString(from, to int) {
	if !m.found && !m.escaped {
		return
	}
	s := m.body[from:to]
	if !m.holds(s) && (!m.escaped || bytes.IndexByte(s, '\\') < 0) {
		return
	}
	m.match(from, to)
}

func (m *redactor) match(from, to int) {
	for i := from; i < to; {
		n := m.matchAt(i, to)
		if n > 0 {
			m.edits = append(m.edits, edit{i, i + n, false})
		} else {
			_, n = unescape(m.body[:to], i)
		}
		i += n
	}
}

// matchAt returns how many bytes at i spell one of our secrets; of several, the longest.
func (m *redactor) matchAt(i, end int) (longest int) {
	for _, s := range m.secrets {
		if c := m.body[i]; c != s[0] && c != '\\' {
			continue
		}
		at := i
		for k := 0; k < len(s); k++ {
			if at >= end {
				at = i
				break
			}
			c, size := unescape(m.body[:end], at)
			if c != rune(s[k]) {
				at = i
				break
			}
			at += size
		}
		longest = max(longest, at-i)
	}
	return longest
}

// unescape returns the character at i and how many bytes it takes. One beyond
// ASCII comes as its first byte, or as -1 when it is escaped.
func unescape(b []byte, i int) (rune, int) {
	if b[i] != '\\' || i+1 == len(b) {
		return rune(b[i]), 1
	}
	switch c := b[i+1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		var r rune
		if i+6 > len(b) {
			return -1, 2
		}
		for _, h := range b[i+2 : i+6] {
			d := strings.IndexByte("0123456789abcdef", h|0x20)
			if d < 0 {
				return -1, 2
			}
			r = r<<4 | rune(d)
		}
		if r >= 0x80 {
			r = -1
		}
		return r, 6
	default:
		return rune(c), 2
	}
}

// valueEnd returns the place behind the value at i, or -1.
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

// Placeholder is what a secret prints as, and what masked values become.
const Placeholder = "***"
