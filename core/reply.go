package core

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// MaxResultBytes is the longest result that is sent, in bytes. A model reads it and
// a voice speaks it: this is some twenty minutes of speech. It is below every
// platform's cap of a reply.
const MaxResultBytes = 16 << 10

// cutMark ends a result that was too long.
const cutMark = " [cut]"

// resultText turns what a tool returned into the one line that is sent: a
// string and a fmt.Stringer as they say themselves, everything else as JSON,
// which is what Interactly asks for (docs/tools.md#reply).
func resultText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return oneLine(v), nil
	case fmt.Stringer:
		return oneLine(v.String()), nil
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("core: result of type %T is not JSON", v)
	}
	return oneLine(string(b)), nil
}

// oneLine returns s as one line of valid UTF-8, because a line break makes the
// platform drop the whole reply (docs/tools.md#reply): white space and control
// characters become single spaces, bad bytes the replacement character. It
// cuts at MaxResultBytes.
func oneLine(s string) string {
	var b strings.Builder
	b.Grow(min(len(s), MaxResultBytes))
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
		if b.Len() > MaxResultBytes {
			return cut(b.String())
		}
	}
	return b.String()
}

// cut shortens s to what fits before the mark, between two runes.
func cut(s string) string {
	n := MaxResultBytes - len(cutMark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], " ") + cutMark
}
