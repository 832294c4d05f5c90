package core

import (
	"bytes"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/internal/fault"
)

// minMasked is the shortest secret that is looked for in payloads. A shorter
// one would be found in ordinary words.
const minMasked = 8

// mask returns body without what must not be kept (docs/events.md#secrets):
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
// Masking JSON twice is masking it once. When there is nothing to mask, mask
// returns body itself, else it writes to dst[:0].
func mask(dst, body []byte, secrets []string) []byte {
	if fault.Mutated("no mask") {
		return body
	}
	m := masker{body: body}
	m.look(secrets)
	if !m.walk() {
		m.edits = m.edits[:0]
		m.comb()
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

const quotedPlaceholder = `"` + placeholder + `"`

type masker struct {
	body    []byte
	needles []string // our own secrets
	found   bool     // at least one of them is in the body as it is
	escaped bool     // one may be there with escapes
	edits   []edit   // in order, not overlapping
}

func (m *masker) apply(dst []byte) []byte {
	dst = slices.Grow(dst[:0], len(m.body)+len(m.edits)*len(quotedPlaceholder))
	at := 0
	for _, e := range m.edits {
		dst = append(dst, m.body[at:e.from]...)
		if e.value {
			dst = append(dst, quotedPlaceholder...)
		} else {
			dst = append(dst, placeholder...)
		}
		at = e.to
	}
	return append(dst, m.body[at:]...)
}

// replace masks a whole value. A null holds nothing, and stays for those who decode.
func (m *masker) replace(from, to int) {
	if s := string(m.body[from:to]); s != quotedPlaceholder && s != "null" && s != "" {
		m.edits = append(m.edits, edit{from, to, true})
	}
}

// A zone is what keys mean in a part of the body.
type zone uint8

const (
	zoneEvent   zone     = iota // neither of the others
	zoneConfig                  // the sender's configuration: keys tell what is secret
	zoneHeaders                 // header fields: every value is secret
	zoneFree                    // somebody's own data: keys tell nothing
	zoneArray   = 1 << 7        // flag: an array, not an object
)

// walk goes through a JSON text once. It returns false when that is not what
// the body is.
func (m *masker) walk() bool {
	const wantValue, wantName, wantNext = 0, 1, 2
	const deepest = 10_000 // what the parser takes; the stack stays small
	b := m.body
	stack := make([]zone, 0, 64)
	in, want := zoneEvent, wantValue
	for i := skipSpace(b, 0); ; i = skipSpace(b, i) {
		if i == len(b) {
			return want == wantNext && len(stack) == 0
		}
		c := b[i]
		switch want {
		case wantValue:
			switch c {
			case '{', '[':
				want, i = wantName, skipSpace(b, i+1)
				if c == '[' {
					want, in = wantValue, in|zoneArray
				}
				if len(stack) == deepest {
					return false
				}
				stack = append(stack, in)
				in &^= zoneArray
				if i < len(b) && b[i] == c+2 { // } or ], in ASCII two on
					want = wantNext
				}
			case '"':
				end := stringEnd(b, i)
				if end < 0 {
					return false
				}
				m.inString(i+1, end-1)
				i, want = end, wantNext
			default:
				end := scalarEnd(b, i)
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
			end := stringEnd(b, i)
			if end < 0 {
				return false
			}
			name := b[i+1 : end-1]
			m.inString(i+1, end-1)
			if i = skipSpace(b, end); i == len(b) || b[i] != ':' {
				return false
			}
			i, want = skipSpace(b, i+1), wantValue
			var secret bool
			if in, secret = in.below(classify(name), i < len(b) && b[i] == '{'); secret {
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
			isArray := top&zoneArray != 0
			switch {
			case c == ',':
				in, want = top&^zoneArray, wantName
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

// A class is what a key says about its value.
type class uint8

const (
	classOther  class = iota
	classURL          // whoever has it controls the call
	classSecret       // a credential
	classHeaders
	classFree // begins somebody's own data
)

// below returns the zone of a value in z under a key of class c, or that it is
// to be masked whole.
func (z zone) below(c class, isObject bool) (in zone, secret bool) {
	switch {
	case c == classURL, z == zoneHeaders:
		return z, true
	case z == zoneFree:
		return z, false
	case c == classFree:
		return zoneFree, false
	case c == classHeaders && isObject:
		return zoneHeaders, false
	}
	return z, c == classSecret || c == classHeaders
}

// classify reads a key as sent: case, hyphens and underscores do not count,
// escapes do not hide. It is asked about every key of every event.
func classify(raw []byte) class {
	var buf [64]byte
	n := 0
	plain := bytes.IndexByte(raw, '\\') < 0
	for i := 0; i < len(raw); {
		c, size := rune(raw[i]), 1
		if !plain {
			c, size = unescape(raw, i)
		}
		i += size
		if c == '_' || c == '-' {
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if n == len(buf) { // keep the end, which tells
			n = copy(buf[:], buf[len(buf)/2:])
		}
		buf[n] = byte(c) // #nosec G602 -- copy has just made n less than len(buf)
		n++
	}
	name := buf[:n]
	switch string(name) {
	case "controlurl", "listenurl":
		return classURL
	case "headers":
		return classHeaders
	case "metadata", "structureddata", "arguments", "parameters", "messages":
		return classFree
	case "":
		return classOther
	}
	secret := false
	switch name[n-1] {
	case 't':
		secret = endsIn(name, "secret")
	case 'n':
		secret = endsIn(name, "token") || endsIn(name, "authorization")
	case 'y':
		secret = endsIn(name, "apikey") || endsIn(name, "privatekey")
	case 'd':
		secret = endsIn(name, "password")
	}
	if secret || name[0] == 'c' && bytes.HasPrefix(name, []byte("credential")) {
		return classSecret
	}
	return classOther
}

func endsIn(name []byte, end string) bool {
	return len(name) >= len(end) && string(name[len(name)-len(end):]) == end
}

// look prepares the search for our own secrets.
func (m *masker) look(secrets []string) {
	for _, v := range secrets {
		if len(v) < minMasked {
			continue
		}
		m.needles = append(m.needles, v)
		m.found = m.found || bytes.Contains(m.body, []byte(v))
		m.escaped = m.escaped || strings.ContainsAny(v, `"\`) ||
			strings.Contains(v, "/") && bytes.Contains(m.body, []byte(`\/`))
	}
	m.escaped = len(m.needles) > 0 && (m.escaped || bytes.Contains(m.body, []byte(`\u00`)))
}

func (m *masker) holds(piece []byte) bool {
	return slices.ContainsFunc(m.needles, func(s string) bool { return bytes.Contains(piece, []byte(s)) })
}

// inString masks our own secrets between two quotes.
func (m *masker) inString(from, to int) {
	if !m.found && !m.escaped {
		return
	}
	s := m.body[from:to]
	if !m.holds(s) && (!m.escaped || bytes.IndexByte(s, '\\') < 0) {
		return
	}
	m.match(from, to)
}

func (m *masker) match(from, to int) {
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
func (m *masker) matchAt(i, end int) (longest int) {
	for _, s := range m.needles {
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
		return stringEnd(b, i)
	case b[i] != '{' && b[i] != '[':
		if end := scalarEnd(b, i); end > i {
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
			if i = stringEnd(b, i); i < 0 {
				return -1
			}
			continue
		}
		i++
	}
	return -1
}
