package core

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// validate is normalize without its result.
func (l Limits) validate(body []byte) error {
	_, err := l.normalize(body)
	return err
}

func TestValidate(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		rule, body string
		want       error
	}{
		{"an event", longEvent(3), nil},
		{"bare arguments", `{"preferredDate":"2026-07-21","n":9007199254740993,"x":-1.5e-7}`, nil},
		{"white space around", " \r\n\t{} \n", nil},
		{"a scalar", `"text"`, nil},
		{"every escape", `"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"`, nil},
		{"the same name in different objects", `{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, nil},
		{"the maximal depth", deep(64), nil},
		{"the longest number", strings.Repeat("9", 64), nil},
		{"the longest string", `"` + strings.Repeat("a", 1<<20-2) + `"`, nil},
		{"the most tokens", "[" + strings.Repeat("1,", 199_997) + "1]", nil},

		{"nothing", ``, errBadJSON},
		{"only space", ` `, errBadJSON},
		{"two byte order marks", "\ufeff\ufeff{}", errBadJSON},
		{"a byte order mark in the middle", "{\ufeff}", errBadJSON},
		{"half an escape of a surrogate", `"\ud83"`, errBadJSON},
		{"truncated", `{"a":[1,`, errBadJSON},
		{"two values", `{} {}`, errBadJSON},
		{"something after", `{}x`, errBadJSON},
		{"a NUL after", "{}\x00", errBadJSON},
		{"single quotes", `{'a':1}`, errBadJSON},
		{"an extra comma", `[1,]`, errBadJSON},
		{"a comment", `{/**/}`, errBadJSON},
		{"leading zeros", `01`, errBadJSON},
		{"not a number", `NaN`, errBadJSON},
		{"a raw line end in a string", "\"\n\"", errBadJSON},
		{"an unknown escape", `"\x41"`, errBadJSON},
		{"a level too deep", deep(65), errTooDeep},
		{"too deep, never closed", strings.Repeat(`{"a":`, 65), errTooDeep},
		{"a number too long", strings.Repeat("9", 65), errLongNumber},
		{"a string too long", `"` + strings.Repeat("a", 1<<20-1) + `"`, errLongString},
		{"a name too long", `{"` + strings.Repeat("a", 1<<20-1) + `":1}`, errLongString},
		{"one token too many", "[" + strings.Repeat("1,", 199_998) + "1]", errTooManyTokens},
		{"one byte too many", strings.Repeat(" ", 6<<20-1) + "{}", errTooLarge},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if err := (Limits{}).validate([]byte(c.body)); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestConfiguredLimits(t *testing.T) {
	l := Limits{MaxBodyBytes: 40, MaxDepth: 2, MaxTokens: 8, MaxStringBytes: 6, MaxNumberBytes: 3}
	for body, want := range map[string]error{
		`[[1]]`: nil, `[[[1]]]`: errTooDeep,
		`[1,2,3,4,5,6]`: nil, `[1,2,3,4,5,6,7]`: errTooManyTokens,
		`[ "abcd" , 1 ]`: nil, `["abcde"]`: errLongString, `[999,-99,null]`: errLongNumber, `[999,-99]`: nil, `[9999]`: errLongNumber,
		`{"abcd":1}`: nil, `{"a":   "abcd"   ,   "b":    1}`: nil,
		strings.Repeat(" ", 38) + "{}": nil, strings.Repeat(" ", 39) + "{}": errTooLarge,
	} {
		if err := l.validate([]byte(body)); err != want {
			t.Errorf("%q: got %v, want %v", body, err, want)
		}
	}
}

// TestValidateMemory checks that bodies that would take much memory to decode are
// refused at little cost (H10, H15).
func TestValidateMemory(t *testing.T) {
	const most = 1 << 20
	for name, body := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := (Limits{}).validate(body)
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[badBody](err); !ok {
			t.Errorf("%s: got %v, want a badBody", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%s: %d bytes allocated, %d at most", name, used, most)
		}
	}
}

func hostile() map[string][]byte {
	names := []byte(`{"m":{`)
	for i := range 400_000 {
		names = fmt.Appendf(names, `"%07x":1,`, i)
	}
	return map[string][]byte{
		"brackets":       bytes.Repeat([]byte("["), 6<<20),
		"braces":         bytes.Repeat([]byte(`{"":`), 6<<18),
		"empty objects":  append([]byte("["), bytes.Repeat([]byte("{},"), 2<<20-1)...),
		"one long digit": bytes.Repeat([]byte("1"), 6<<20),
		"quotes":         bytes.Repeat([]byte(`"`), 6<<20),
		"names":          names,
	}
}

func TestValidateErrorsAreConstant(t *testing.T) {
	for _, body := range []string{`{"a":` + scanCanary + `}`, `{"` + scanCanary + `":1,"` + scanCanary + `":}`, `["` + scanCanary, scanCanary} {
		err := (Limits{}).validate([]byte(body))
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), scanCanary) {
			t.Errorf("error quotes the body: %v", err)
		}
		if r := reasonOf(fmt.Errorf("around: %w", err)); r == "unknown" || !wordsPattern.MatchString(r) {
			t.Errorf("reason %q cannot be logged", r)
		}
	}
	if r := reasonOf(errors.New(scanCanary)); r != "unknown" {
		t.Errorf("reason of a foreign error: %q", r)
	}
}

// FuzzNormalize checks that a body is refused exactly if it is not JSON by the
// tolerant grammar or exceeds a limit, that the result is strictly valid, and that
// a valid body stays the same to the byte.
func FuzzNormalize(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u0041",{"b":null}]}`))
	f.Add([]byte(`{"a":1,"a":2,"b":{"a":[{"c":1,"c":2}],"a":{}}}`))
	f.Add([]byte("\"\xff\""))
	f.Add([]byte("\ufeff{\"\\ud83d\":1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		plain, err := (Limits{}).normalize(body)
		strict := jsontext.Value(bytes.TrimPrefix(body, byteOrderMark))
		tolerant := strict.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		switch {
		case tolerant != (err == nil) && (err == nil || reasonOf(err) == "not json"):
			t.Fatalf("%q: valid %v, normalize says %v", body, tolerant, err)
		case err == nil && !jsontext.Value(plain).IsValid():
			t.Fatalf("%q became %q, which is invalid", body, plain)
		case err == nil && strict.IsValid() && !bytes.Equal(plain, strict):
			t.Fatalf("%q was changed to %q", body, plain)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	bodies := hostile()
	bodies["conversation 200kB"] = []byte(longEvent(500))
	bodies["status-update 5kB"] = []byte(longEvent(7))
	for name, body := range bodies {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				_ = (Limits{}).validate(body)
			}
		})
	}
	b.Run("peer IsValid 200kB", func(b *testing.B) {
		body := jsontext.Value(longEvent(500))
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			body.IsValid()
		}
	})
}

const scanCanary = "CANARY0text0canary"

// longEvent returns a conversation-update of n messages.
func longEvent(n int) string {
	const message = `{"messageId":"user-1","role":"user","text":"I would like to see the dentist next Tuesday, please; it hurts \"a bit\".","timestamp":1784044900000,"interrupted":false,` +
		`"metrics":{"latency":{"stt":0.21,"llm":0.55,"tts":0.18,"total":0.94},"startTime":1784044900000,"tokens":{"prompt":412,"completion":31}},"toolCalls":[]}`
	return `{"message":{"timestamp":1784044945254,"type":"conversation-update","call":{"id":"WC-1","status":"ongoing"},"messages":[` +
		strings.TrimSuffix(strings.Repeat(message+",", n), ",") + `]}}`
}
