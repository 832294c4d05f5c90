package core

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReplyGuard: whatever a tool returns, what is sent is one line of UTF-8
// below the limit, and guarding it again changes nothing.
func FuzzReplyGuard(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "\u2028\u2029\u0085\x00", "\xff\xfe", "a\ud7ffb", "  x  ", "ë😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []any{s, []string{s}, map[string]string{s: s}, struct{ A string }{s}} {
			got, err := resultText(v)
			if err != nil {
				continue // a sentence of this package
			}
			checkLine(t, got)
			if again := oneLine(got); again != got {
				t.Fatalf("twice is not once: %q %q", got, again)
			}
		}
		checkLine(t, sentence(Say(s), English().Failed))
	})
}

func checkLine(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\v\f\u0085\u2028\u2029\x00") {
		t.Fatalf("not one line: %q", s)
	}
}
