package redact

import (
	"bytes"
	"slices"
	"strings"

	"github.com/serverurl/serverurl/internal/fault"
)

// Placeholder replaces what is redacted. Types that hide their value print it too.
const Placeholder = "***"

const quotedPlaceholder = `"` + Placeholder + `"`

// minSecretBytes is the length from which secrets are searched for in payloads.
// A shorter one would be found in ordinary words.
const minSecretBytes = 8

// JSON returns body without what must not be stored (docs/events.md#secrets):
//
//   - controlUrl and listenUrl anywhere, which control and overhear the live call;
//   - values whose key names a credential, and all values of header fields: the
//     sender repeats the assistant's configuration, with the credentials for our
//     server in it;
//   - our own secrets anywhere, also if their characters are escaped as \u0061.
//
// Below metadata, structuredData, arguments, parameters and messages is what a
// caller or the author of a tool wrote: there keys mean nothing, and only our
// own secrets are redacted.
//
// Valid JSON stays valid, and what is not redacted stays the same to the byte.
// A body that is not JSON is redacted by looser rules, which rather remove too
// much. Redacting a result again changes nothing. If there is nothing to
// redact, JSON returns body itself; otherwise it writes to dst[:0].
func JSON(dst, body []byte, secrets []string) []byte {
	if fault.Mutated("no-redaction") {
		return body
	}
	m := redactor{body: body}
	m.prepare(secrets)
	if w := (walk{redactor: m}); w.redactValid() {
		m.edits = w.edits
	} else {
		m.redactInvalid()
	}
	if len(m.edits) == 0 {
		return body
	}
	return m.apply(dst)
}

// A redactor collects what to replace in one body.
type redactor struct {
	body    []byte
	secrets []string // our own, long enough
	found   bool     // one of them occurs in the body literally
	escaped bool     // one may occur with escaped characters
	edits   []edit   // ascending, without overlap
}

// An edit replaces a part of the body: a whole value by the quoted placeholder,
// a part of a string by the placeholder alone.
type edit struct {
	from, to int
	value    bool
}

// prepare finds out whether the body can contain secrets at all, because most
// bodies do not, and bytes.Contains is much faster than matching.
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

// apply returns the body with the edits made.
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

// replace redacts a whole value. A null stays, because it means something to
// those who decode the body and contains nothing.
func (m *redactor) replace(from, to int) {
	if s := string(m.body[from:to]); s != quotedPlaceholder && s != "null" && s != "" {
		m.edits = append(m.edits, edit{from, to, true})
	}
}

// redactString redacts our own secrets between two quotes.
func (m *redactor) redactString(from, to int) {
	if !m.found && !m.escaped {
		return
	}
	s := m.body[from:to]
	if !m.holds(s) && (!m.escaped || bytes.IndexByte(s, '\\') < 0) {
		return
	}
	m.redactMatches(from, to)
}

// holds reports whether one of our own secrets occurs literally.
func (m *redactor) holds(piece []byte) bool {
	return slices.ContainsFunc(m.secrets, func(s string) bool { return bytes.Contains(piece, []byte(s)) })
}

// redactMatches redacts our own secrets in a range, escaped or not.
func (m *redactor) redactMatches(from, to int) {
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

// matchAt returns the length of the longest of our own secrets that is spelled
// at i, with its escapes, or 0.
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

// unescape returns the character at i and how many bytes it takes. Of a
// character beyond ASCII it returns the first byte, or -1 if it is escaped:
// secrets are ASCII, so it only has to differ from all of theirs.
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
