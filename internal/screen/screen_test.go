package screen_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serverurl/serverurl/internal/screen"
)

func TestWriter(t *testing.T) {
	for in, want := range map[string]string{
		"Hello, Jürgen 😀 \u05d0\n\tand on":   "Hello, Jürgen 😀 \u05d0\n\tand on",
		"\x1b[31mred\x1b[0m":                 "[31mred[0m",
		"\x1b]0;title\x07":                   "]0;title",
		"line\r\nover\rwritten":              "line\noverwritten",
		"\u009b2J and \x7f":                  "2J and ",
		"\x9b2J \xff bytes":                  "2J  bytes",
		"evil\u202egpj.exe\u202c":            "evilgpj.exe",
		"\u2066left\u2069 \u2067right\u2068": "left right",
		"pay\u200bpal \u200e\u200f\u061cx":   "paypal x",
		"\ufefffirst\u2028second\u2029":      "firstsecond",
		"👩\u200d⚕️ and 👨\u200d👩\u200d👧":      "👩\u200d⚕️ and 👨\u200d👩\u200d👧",
		"\x1bABCDEFGHIJKLMNOPQRSTUVWXYZ;5m":  "ABCDEFGHIJKLMNOPQRSTUVWXYZ;5m",
	} {
		var out bytes.Buffer
		if n, err := fmt.Fprint(screen.NewWriter(&out), in); err != nil || n != len(in) || out.String() != want {
			t.Errorf("%q became %q, want %q", in, out.String(), want)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(screen.NewWriter(&out), "%s", screen.Sequence("32m")+"ok"+screen.Sequence("0m"))
	if out.String() != "\x1b[32mok\x1b[0m" {
		t.Errorf("our own sequences: %q", out.String())
	}
}

// A character may be written in parts.
func TestWriterOfParts(t *testing.T) {
	var out bytes.Buffer
	w := screen.NewWriter(&out)
	const text = "a😀\u009bü"
	for i := range len(text) {
		if n, err := w.Write([]byte{text[i]}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if out.String() != "a😀ü" {
		t.Errorf("%q", out.String())
	}
}

func TestLine(t *testing.T) {
	if got := screen.Line("one\r\ntwo\tthree\x1b[2J\u2028four\u2029five\u202e"); got != "one two three[2J four five" {
		t.Errorf("%q", got)
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("a\x1b[31m\u009b\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var out bytes.Buffer
		fmt.Fprint(screen.NewWriter(&out), s)
		if !utf8.Valid(out.Bytes()) || strings.ContainsFunc(out.String(), func(r rune) bool { return (r < ' ' && r != '\n' && r != '\t') || r >= 0x7f && r < 0xa0 }) {
			t.Fatalf("%q became %q", s, out.String())
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		safe := screen.JSON(b)
		var one, two string
		if json.Unmarshal(b, &one) != nil || json.Unmarshal(safe, &two) != nil || one != two || bytes.ContainsFunc(safe, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Fatalf("%q became %q", b, safe)
		}
	})
}

// What is removed from a terminal's text is escaped in JSON, so programs get all of it.
func TestJSON(t *testing.T) {
	for r := range rune(0x3000) {
		in, err := json.Marshal(string(r))
		if err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		raw := []byte(`"` + string(r) + `"`)
		if json.Valid(raw) { // as other encoders write it
			in = raw
		}
		if _, err := screen.NewWriter(&shown).Write(screen.JSON(in)); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(shown.Bytes(), &got); err != nil || got != string(r) {
			t.Errorf("%U became %q, %v", r, got, err)
		}
	}
}
