package redact

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

const (
	ours   = "5f1d0c9a7b3e48d2a6c4e8f0b1d3957a" // our own secret, in these tests
	canary = "CANARY0secret0canary"             // a credential that only its name gives away
)

var ourSecrets = []string{ours, "aC9kQ2xP/0nV7tLr+4sBzYw8GmHdEfJu"}

func redacted(body string) string { return string(JSON(nil, []byte(body), ourSecrets)) }

func TestJSON(t *testing.T) {
	for _, c := range []struct{ rule, in, want string }{
		{"the assistant's configuration", `{"message":{"assistant":{"assistantServer":{"url":"u","secret":"s1","headers":{"Authorization":"Bearer t","X-A":{"b":[1]}}}}}}`,
			`{"message":{"assistant":{"assistantServer":{"url":"u","secret":"***","headers":{"Authorization":"***","X-A":"***"}}}}}`},
		{"also inside call", `{"call":{"assistant":{"assistantServer":{"secret":"s"}}}}`, `{"call":{"assistant":{"assistantServer":{"secret":"***"}}}}`},
		{"tool servers, whatever their shape", `{"assistantToolServers":[{"secret":"s"},{"headers":[{"key":"k","value":"v"}]}]}`, `{"assistantToolServers":[{"secret":"***"},{"headers":"***"}]}`},
		{"a tool's server in the older dialect", `{"message":{"toolWithToolCallList":[{"server":{"secret":"s","url":"u"}}]}}`, `{"message":{"toolWithToolCallList":[{"server":{"secret":"***","url":"u"}}]}}`},
		{"overrides", `{"call":{"assistantOverrides":{"server":{"token":1}}}}`, `{"call":{"assistantOverrides":{"server":{"token":"***"}}}}`},
		{"every name of a credential", `{"server":{"apiKey":"a","api_key":"b","X-API-KEY":"c","password":"d","credentialId":"e","credentials":{"f":"g"},"clientSecret":"h","bearer_token":"i","AUTHORIZATION":"j"}}`,
			`{"server":{"apiKey":"***","api_key":"***","X-API-KEY":"***","password":"***","credentialId":"***","credentials":"***","clientSecret":"***","bearer_token":"***","AUTHORIZATION":"***"}}`},
		{"the URLs of the live call, anywhere", `{"metadata":{"controlUrl":"u"},"call":{"monitor":{"controlUrl":"u","ListenURL":["u"]}}}`, `{"metadata":{"controlUrl":"***"},"call":{"monitor":{"controlUrl":"***","ListenURL":"***"}}}`},
		{"escaped names", `{"\u0061ssistant":{"\u0073ecret":"s","h\u0065aders":{"a":"b"}},"control\u0055rl":1}`, `{"\u0061ssistant":{"\u0073ecret":"***","h\u0065aders":{"a":"***"}},"control\u0055rl":"***"}`},
		{"a null stays", `{"server":{"secret":null,"headers":{}}}`, `{"server":{"secret":null,"headers":{}}}`},
		{"white space stays", " {\n\t\"server\" : { \"secret\" :\r\n \"s\" } } \n", " {\n\t\"server\" : { \"secret\" :\r\n \"***\" } } \n"},
		{"nothing secret", `{"message":{"type":"hang","call":{"id":"WC-1"}}}`, `{"message":{"type":"hang","call":{"id":"WC-1"}}}`},

		{"names in the app's data mean nothing", `{"call":{"metadata":{"token":"queue 7","server":{"secret":"s"}},"secret":"s"}}`, `{"call":{"metadata":{"token":"queue 7","server":{"secret":"s"}},"secret":"***"}}`},
		{"also inside configuration", `{"assistant":{"assistantAnalysis":{"structuredData":{"schema":{"password":{"type":"string"}}}},"parameters":{"token":{}}}}`, `{"assistant":{"assistantAnalysis":{"structuredData":{"schema":{"password":{"type":"string"}}}},"parameters":{"token":{}}}}`},
		{"arguments and messages too", `{"message":{"toolCalls":[{"function":{"arguments":{"token":"t"}}}],"messages":[{"text":"t","secret":"s"}]}}`, `{"message":{"toolCalls":[{"function":{"arguments":{"token":"t"}}}],"messages":[{"text":"t","secret":"s"}]}}`},
		{"an assistant's variables are the app's data too", `{"assistantOverrides":{"dynamicVariables":{"priorAuthorization":"PA-17","resetToken":"t"},"variable_values":{"x":[{"priorAuthorization":{"apiKey":"k"},"headers":{"a":1}}]},"server":{"secret":"s"}}}`,
			`{"assistantOverrides":{"dynamicVariables":{"priorAuthorization":"PA-17","resetToken":"t"},"variable_values":{"x":[{"priorAuthorization":{"apiKey":"k"},"headers":{"a":1}}]},"server":{"secret":"***"}}}`},
		{"our secret among them", `{"call":{"assistantOverrides":{"variableValues":{"resetToken":"` + ours + `"},"dynamicVariables":{"key":"it is ` + ours + `","controlUrl":"u"}}}}`,
			`{"call":{"assistantOverrides":{"variableValues":{"resetToken":"***"},"dynamicVariables":{"key":"it is ***","controlUrl":"***"}}}}`},
		{"the app's data ends with its object", `{"metadata":{"a":[{}],"token":1},"token":1}`, `{"metadata":{"a":[{}],"token":1},"token":"***"}`},
		{"header fields end with their object", `{"headers":{"a":1},"b":[{"headers":{}},2]}`, `{"headers":{"a":"***"},"b":[{"headers":{}},2]}`},
		{"a credential in an unknown place", `{"message":{"newThing":[{"token":"t"}]}}`, `{"message":{"newThing":[{"token":"***"}]}}`},
		{"names that only contain such a word", `{"server":{"secretary":"Sam","tokens":3,"assistantMaxTokens":250}}`, `{"server":{"secretary":"Sam","tokens":3,"assistantMaxTokens":250}}`},

		{"our secret anywhere", `{"messages":[{"text":"it is ` + ours + `, yes ` + ours + `"}]}`, `{"messages":[{"text":"it is ***, yes ***"}]}`},
		{"our secret as a name", `{"metadata":{"` + ours + `":1}}`, `{"metadata":{"***":1}}`},
		{"our secret with escapes", `{"text":"it is \u0035f1d0c9a7b3e48d2a6c4e8f0b1d3957\u0061."}`, `{"text":"it is ***."}`},
		{"our webhook key, with and without its prefix", `["aC9kQ2xP\/0nV7tLr+4sBzYw8GmHdEfJu","whsec_aC9kQ2xP/0nV7tLr+4sBzYw8GmHdEfJu"]`, `["***","whsec_***"]`},
		{"an escape before our secret stays whole", `{"text":"\n` + ours + `\\` + ours + `"}`, `{"text":"\n***\\***"}`},
		{"an escaped backslash does not begin an escape", `{"text":"5\\u00661d0c9a7b3e48d2a6c4e8f0b1d3957a"}`, `{"text":"5\\u00661d0c9a7b3e48d2a6c4e8f0b1d3957a"}`},

		{"truncated within the secret", `{"message":{"assistantServer":{"secret":"CANARY`, `{"message":{"assistantServer":{"secret":"***"`},
		{"truncated within the headers", `{"assistantServer":{"headers":{"Authorization":"Bearer CAN`, `{"assistantServer":{"headers":"***"`},
		{"truncated within our own", `{"messages":[{"text":"it is ` + ours[:20], `{"messages":[{"text":"it is ***`},
		{"without its beginning", `r":{"secret":"CANARY","headers":{"a":"CANARY"},"url":"u"}}`, `r":{"secret":"***","headers":"***","url":"u"}}`},
		{"an extra quote before", `{"a":"5" tall","server":{"secret":"CANARY","b":1}}`, `{"a":"5" tall","server":{"secret":"***","b":1}}`},
		{"an extra quote inside", `{"server":{"secret":"CAN"ARY","b":1}}}`, `{"server":{"secret":"***","b":1}}}`},
		{"a secret without quotes", `{"server":{"secret":CANARY ARY,"b":1}}}`, `{"server":{"secret":"***","b":1}}}`},
		{"an escaped name in invalid JSON", `{"server":{"\u0073ecret":"CANARY","b":1}}}`, `{"server":{"\u0073ecret":"***","b":1}}}`},
		{"an extra quote among the headers", `{"headers":{"a":5","b":{"c":1,"d":"}","e":"CANARY"},"f":1}}}`, `{"headers":"***","f":1}}}`},
		{"our secret in a name", `{"` + ours + `-token":"CANARY",`, `{"***-token":"***",`},
		{"JSON in a string", `"{\"server\":{\"secret\":\"CANARY\"}}`, `"{\"server\":{\"secret\":"***"}}`},
		{"mismatched brackets", `{"server":{"headers":{"a":"}","b":"CANARY"]},"c":1}`, `{"server":{"headers":"***"},"c":1}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := redacted(c.in)
			if got != c.want {
				t.Errorf("\n     %s\ngot  %s\nwant %s", c.in, got, c.want)
			}
			if again := redacted(got); again != got {
				t.Errorf("redacting twice differs from redacting once:\n%s\n%s", got, again)
			}
		})
	}
}

func TestSecretAsNumber(t *testing.T) {
	got := JSON(nil, []byte(`{"a":12345678,"b":"x12345678y","c":[9]}`), []string{"12345678"})
	if want := `{"a":"***","b":"x***y","c":[9]}`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCopiesOnlyIfNeeded(t *testing.T) {
	clean := []byte(conversation(20, false))
	if got := JSON(nil, clean, ourSecrets); &got[0] != &clean[0] {
		t.Error("a body with nothing to redact was copied")
	}
	if n := testing.AllocsPerRun(20, func() { JSON(nil, clean, ourSecrets) }); n > 3 {
		t.Errorf("%v allocations for a body with nothing to redact", n)
	}
	body := []byte(conversation(2, true))
	before := bytes.Clone(body)
	dst := make([]byte, 0, 2*len(body))
	got := JSON(dst, body, ourSecrets)
	if &got[0] != &dst[:1][0] {
		t.Error("dst was not used")
	}
	if !bytes.Equal(body, before) {
		t.Error("the body was changed")
	}
}

// TestExamples redacts every event in testdata, also truncated and damaged.
func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("testdata/sender/*.json")
	if len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got := JSON(nil, b, ourSecrets)
		if bytes.Contains(got, []byte("CANARY")) || bytes.Contains(got, []byte(ours)) {
			t.Errorf("%s: a secret is left:\n%s", f, got)
		}
		if !bytes.Contains(b, []byte("CANARY")) {
			t.Errorf("%s: has no canary", f)
		}
		if !jsontext.Value(got).IsValid() || !bytes.Equal(shape(t, got), shape(t, b)) {
			t.Errorf("%s: its structure changed:\n%s", f, got)
		}
		// Truncated anywhere, no secret may be left; damaged, at most the one
		// whose name was damaged.
		for cut := range b {
			if left := JSON(nil, b[:cut], ourSecrets); bytes.Contains(left, []byte("CANARY")) || bytes.Contains(left, []byte(ours[:minSecretBytes])) {
				t.Fatalf("%s: truncated at %d: a secret is left:\n%s", f, cut, left)
			}
			broken := bytes.Clone(b)
			broken[cut] ^= 0x1f
			if left := JSON(nil, broken, ourSecrets); strings.Count(string(left), "CANARY") > 1 {
				t.Fatalf("%s: damaged at %d: secrets are left:\n%s", f, cut, left)
			}
		}
	}
}

// shape is a JSON text without its scalars.
func shape(t *testing.T, b []byte) []byte {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(b))
	var s []byte
	for {
		tok, err := d.ReadToken()
		if err != nil {
			return s
		}
		switch k := tok.Kind(); k {
		case '{', '}', '[', ']':
			s = append(s, byte(k))
		default:
			s = append(s, '.')
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"assistant":{"secret":"` + canary + `","headers":{"a":"` + canary + `"}},"t":"` + ours + `\u0061"}`))
	f.Add([]byte(`{"server":{"secret":"` + canary + `"`))
	f.Add([]byte(`{"a":"5" tall","server":{"secret":"x"}}`))
	f.Add([]byte(`[[[]],"` + ours + `",1e5,{"":{}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := JSON(nil, body, ourSecrets)
		if bytes.Contains(got, []byte(ours)) {
			t.Fatalf("our secret is left in %q", got)
		}
		if jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			if !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
				t.Fatalf("not JSON anymore:\n%q\n%q", body, got)
			}
			if again := JSON(nil, got, ourSecrets); !bytes.Equal(again, got) {
				t.Fatalf("redacting twice differs from redacting once:\n%q\n%q", got, again)
			}
			// What the parser takes for JSON is redacted by the exact rules.
			if w := (walk{redactor: redactor{body: body}}); !w.redactValid() {
				t.Fatalf("refused as invalid: %q", body)
			}
		}
	})
}

// TestRandomEvents hides secrets in random JSON and looks for them afterwards.
func TestRandomEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := randomEvent(t, 5, true)
		if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("generator: not JSON: %s", body)
		}
		got := JSON(nil, []byte(body), ourSecrets)
		if bytes.Contains(got, []byte(canary)) {
			t.Fatalf("a canary is left:\n%s\n%s", body, got)
		}
		if strings.Count(body, "free0text") != bytes.Count(got, []byte("free0text")) {
			t.Fatalf("something else was redacted:\n%s\n%s", body, got)
		}
		if !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("not JSON anymore:\n%s\n%s", body, got)
		}
		cut := rapid.IntRange(0, len(body)).Draw(t, "cut")
		if left := JSON(nil, []byte(body[:cut]), ourSecrets); bytes.Contains(left, []byte(canary)) {
			t.Fatalf("truncated, a canary is left:\n%s\n%s", body[:cut], left)
		}
	})
}

// randomEvent puts canaries only below names that are secret in their position,
// and the words free0text only where nothing is secret. named reports whether
// names mean something.
func randomEvent(t *rapid.T, depth int, named bool) string {
	var parts []string
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		key, value, space := "", "", rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0:
			key, value = rapid.SampledFrom([]string{"controlUrl", "listenUrl", "\\u0063ontrolurl"}).Draw(t, "url"), secretValue(t)
		case kind == 1 && named:
			key, value = rapid.SampledFrom([]string{"secret", "Token", "api_key", "credential7", "p\\u0061ssword"}).Draw(t, "secret"), secretValue(t)
		case kind == 2 && named:
			key, value = "headers", `{"Authorization":`+secretValue(t)+`,"b":`+secretValue(t)+`}`
		case kind == 3 && depth > 0:
			key = rapid.SampledFrom([]string{"metadata", "structured_Data", "\\u0061rguments", "messages", "dynamicVariables", "variable-values"}).Draw(t, "free")
			value = randomEvent(t, depth-1, false)
		case kind == 4 && depth > 0:
			key, value = rapid.SampledFrom([]string{"call", "list"}).Draw(t, "object"), "["+randomEvent(t, depth-1, named)+",[],{}]"
		default:
			key, value = rapid.SampledFrom([]string{"name", "text", "a\\\"b"}).Draw(t, "plain"), `"free0text\\\"{["`
		}
		parts = append(parts, fmt.Sprintf(`%s"%s"%s:%s%s`, space, key, space, space, value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func secretValue(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"` + canary + `"`, `{"a":"` + canary + `}"}`, `["` + canary + `",{"b":["\"]` + canary + `"]}]`}).Draw(t, "value")
}

// conversation returns a conversation-update of n messages, with the assistant's
// configuration if config is set.
func conversation(n int, config bool) string {
	var b strings.Builder
	b.WriteString(`{"message":{"timestamp":1784044945254,"type":"conversation-update","call":{"id":"WC-0c8e0f0e-1f3b-4f5d-9b1a-7f2f4a6c8e10","status":"ongoing","metadata":{"patient":"p-17"}},`)
	if config {
		b.WriteString(`"assistant":{"name":"Bright Smile Dental","assistantSystemPrompt":"` + strings.Repeat("You are the front desk. ", 60) +
			`","assistantServer":{"enabled":true,"url":"https://hooks.example.com/events","timeoutSeconds":20,"secret":"` + ours + `","headers":{"Authorization":"Bearer ` + canary + `"}}},`)
	}
	b.WriteString(`"messages":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		role := []string{"assistant", "user"}[i%2]
		fmt.Fprintf(&b, `{"messageId":"%s-%d","role":"%s","text":"I would like to see the dentist next Tuesday in the morning, please; my tooth hurts \"a bit\". %d","timestamp":%d,"interrupted":false,`+
			`"metrics":{"latency":{"stt":0.21,"llm":0.55,"tts":0.18,"total":0.94},"startTime":%d,"endTime":%d,"playedDuration":2.25,"tokens":{"prompt":412,"completion":31}},"toolCalls":[]}`,
			role, i, role, i, 1784044900000+i*4000, 1784044900000+i*4000, 1784044902250+i*4000)
	}
	b.WriteString(`]}}`)
	return b.String()
}

func BenchmarkJSON(b *testing.B) {
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"nothing to redact 200kB", []byte(conversation(500, false))},
		{"configuration 200kB", []byte(conversation(500, true))},
		{"status-update 6kB", []byte(conversation(8, true))},
		{"truncated 200kB", []byte(conversation(500, true))[:180_000]},
		{"6MB of brackets", bytes.Repeat([]byte("["), 6<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			dst := make([]byte, 0, len(c.body)+1024)
			for b.Loop() {
				JSON(dst, c.body, ourSecrets)
			}
		})
	}
}
