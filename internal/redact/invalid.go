package redact

import (
	"bytes"

	"github.com/serverurl/serverurl/internal/jsonscan"
)

// redactInvalid redacts a body that is not JSON: truncated, or damaged in the
// middle. It is uncertain where strings begin and end, so every quote may begin
// a name, positions do not count, and a value ends as late as possible.
func (m *redactor) redactInvalid() {
	b := m.body
	done := 0
	for i := 0; i < len(b); {
		if b[i] == '"' {
			if at := secretKeyEnd(b, i); at > 0 {
				if from := jsonscan.SkipSpace(b, at); from < len(b) {
					m.redactMatches(i, at)
					done = lenientValueEnd(b, from)
					m.replace(from, done)
					i = done
					continue
				}
			}
		}
		if n := m.matchAt(i, len(b)); n > 0 {
			m.edits = append(m.edits, edit{i, i + n, false})
			i += n
			done = i
			continue
		}
		i++
	}
	// The body may have been truncated within one of our own secrets.
	for _, s := range m.secrets {
		for n := min(len(s)-1, len(b)-done); n >= minSecretBytes; n-- {
			if bytes.HasSuffix(b, []byte(s[:n])) {
				m.edits = append(m.edits, edit{len(b) - n, len(b), false})
				return
			}
		}
	}
}

// secretKeyEnd returns the index behind the colon if a name whose value is
// secret begins at the quote at i, else 0.
func secretKeyEnd(b []byte, i int) int {
	const longestName = 256 // so that a body of quotes takes linear time
	key := b[i+1 : min(len(b), i+1+longestName)]
	n := bytes.IndexByte(key, '"')
	if n < 0 {
		return 0
	}
	colon := jsonscan.SkipSpace(b, i+n+2)
	if colon == len(b) || b[colon] != ':' {
		return 0
	}
	switch classify(bytes.TrimRight(key[:n], `\`)) {
	case classURL, classSecret, classHeaders:
		return colon + 1
	case classOther, classFree:
	}
	return 0
}

// lenientValueEnd returns where the value at i ends, which may be damaged.
func lenientValueEnd(b []byte, i int) int {
	switch start := b[i]; start {
	case '{', '[':
		return max(bracketsEnd(b, i, true), bracketsEnd(b, i, false))
	case '"', '\\':
		if bytes.HasPrefix(b[i:], []byte(quotedPlaceholder)) {
			return i + len(quotedPlaceholder)
		}
		for i = i + 1 + bytes.IndexByte(b[i:], '"'); i < len(b); i++ {
			if b[i] != '"' || start == '"' && b[i-1] == '\\' {
				continue
			}
			if next := jsonscan.SkipSpace(b, i+1); next == len(b) || bytes.IndexByte([]byte(",}]"), b[next]) >= 0 {
				return i + 1
			}
		}
		return len(b)
	}
	if n := bytes.IndexAny(b[i:], ",}]\n"); n >= 0 {
		return i + n
	}
	return len(b)
}

// bracketsEnd returns the index behind the bracket that closes the one at i, or
// the end of b. Brackets in strings count unless skipStrings is set.
func bracketsEnd(b []byte, i int, skipStrings bool) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			if end := -1; skipStrings {
				if end = jsonscan.StringEnd(b, i); end < 0 {
					return len(b)
				}
				i = end - 1
			}
		}
	}
	return len(b)
}
