package core

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// What a browser's JSON.parse takes is taken, and means the same.
func TestNormalize(t *testing.T) {
	for _, c := range []struct{ situation, body, want string }{
		{"half an emoji at the end of a transcript", `{"text":"great \ud83d"}`, `{"text":"great ` + "\ufffd" + `"}`},
		{"the other half", `["\ude00x"]`, "[\"\ufffdx\"]"},
		{"both halves the wrong way round", `"\ude00\ud83d"`, "\"\ufffd\ufffd\""},
		{"a whole emoji next to half of one", `"\ud83d\ude00\ud83d"`, "\"\U0001f600\ufffd\""},
		{"half an emoji in a name", `{"\ud83d":1}`, "{\"\ufffd\":1}"},
		{"bytes that are not UTF-8", "\"J\xfcrgen\"", "\"J\ufffdrgen\""},
		{"a surrogate in UTF-8", "\"\xed\xa0\xbd\"", "\"\ufffd\ufffd\ufffd\""},
		{"a byte order mark", "\ufeff{\"a\":1}", `{"a":1}`},
		{"a name twice", `{"a":1,"b":2,"a":3}`, `{"b":2,"a":3}`},
		{"a name twice, escaped once", `{"type":1,"\u0074ype":2}`, `{"type":2}`},
		{"a name three times", `{"a":1,"a":2,"a":3}`, `{"a":3}`},
		{"objects are replaced, not merged", `{"a":{"x":1},"a":{"y":2}}`, `{"a":{"y":2}}`},
		{"a name twice inside what is replaced", `{"a":{"x":1,"x":2},"b":[],"a":{"x":3,"x":4}}`, `{"b":[],"a":{"x":4}}`},
		{"the same name in different objects", `{"a":{"a":1,"b":"\ud800"},"b":[{"a":1},{"a":1}]}`, "{\"a\":{\"a\":1,\"b\":\"\ufffd\"},\"b\":[{\"a\":1},{\"a\":1}]}"},
		{"brackets and commas in strings", `{"a":"},{[","a":"\",\"a\":","c":"\\"}`, `{"a":"\",\"a\":","c":"\\"}`},
		{"digits stay as they are", `{"a":1,"a":9007199254740993,"b":1e400,"c":-0.0}`, `{"a":9007199254740993,"b":1e400,"c":-0.0}`},
	} {
		t.Run(c.situation, func(t *testing.T) {
			if got, err := (Limits{}).normalize([]byte(c.body)); err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// pack compresses a body the way that is named.
func pack(how string, body []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate":
		w, _ = flate.NewWriter(&b, flate.BestCompression)
	default:
		return body
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// The body decides how it is read, not its label.
func TestOpen(t *testing.T) {
	body := []byte(`{"message":{"type":"hang","call":{"id":"CA1"},"x":"` + strings.Repeat("abc ", 1000) + `"}}`)
	for _, c := range []struct{ how, label string }{
		{"", ""}, {"", "identity"}, {"gzip", "gzip"}, {"gzip", "x-gzip"}, {"gzip", "GZIP"}, {"deflate", "deflate"}, {"raw deflate", "deflate"},
		{"", "gzip"}, {"", "deflate"}, {"", "br"}, {"gzip", ""}, {"gzip", "deflate"}, {"deflate", "gzip"}, {"raw deflate", "Deflate, identity"},
	} {
		if got, err := (Limits{}).open(c.label, pack(c.how, body)); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%q labeled %q: %.40q, %v", c.how, c.label, got, err)
		}
	}
}

// A compressed body is unpacked up to the limit of a body, and no further.
func TestOpenRefuses(t *testing.T) {
	bomb := []byte(`["` + strings.Repeat(" ", 16<<20) + `"]`)
	whole := pack("gzip", []byte(`{"message":{"type":"hang"}}`))
	for _, c := range []struct {
		situation, label string
		body             []byte
		want             error
	}{
		{"a bomb", "gzip", pack("gzip", bomb), errTooLarge},
		{"a bomb of zlib", "deflate", pack("deflate", bomb), errTooLarge},
		{"a bomb of deflate", "deflate", pack("raw deflate", bomb), errTooLarge},
		{"cut off", "gzip", whole[:len(whole)-12], errBadEncoding},
		{"a header and nothing else", "gzip", whole[:5], errBadEncoding},
		{"gzip of what is no JSON", "gzip", pack("gzip", []byte("hello")), errBadJSON},
		{"gzip of gzip", "gzip", pack("gzip", whole), errBadJSON},
		{"another encoding", "br", []byte("\x8b\x02\x80abc\x03"), errBadJSON},
		{"rubbish as deflate", "deflate", []byte("\xff\xff\xff"), errBadEncoding},
	} {
		if _, err := (Limits{}).open(c.label, c.body); err != c.want {
			t.Errorf("%s: %v, want %v", c.situation, err, c.want)
		}
	}
	kept, err := (Limits{}).open("gzip", whole[:len(whole)-12])
	if err == nil || !strings.Contains(string(kept), "message") {
		t.Errorf("what could be unpacked is lost: %q", kept)
	}
}

// Every field of gzip's header, and a body whose end is missing behind its content.
func TestOpenGzipHeader(t *testing.T) {
	body := []byte(`{"message":{"type":"hang"}}`)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "body.json", "a comment", []byte("extra")
	_, _ = w.Write(body)
	_ = w.Close()
	whole := b.Bytes()
	for n := range len(whole) + 1 {
		got, err := (Limits{}).open("gzip", whole[:n])
		if n >= len(whole)-8 && (err != nil || !bytes.Equal(got, body)) || n < len(whole)-9 && err == nil {
			t.Errorf("%d of %d bytes: %q, %v", n, len(whole), got, err)
		}
	}
	withSum := append(append(bytes.Clone(pack("gzip", body)[:10]), 0, 0), pack("gzip", body)[10:]...)
	withSum[3] = 2
	if got, err := (Limits{}).open("", withSum); err != nil || !bytes.Equal(got, body) {
		t.Errorf("with a sum of the header: %q, %v", got, err)
	}
}

// FuzzOpen checks that nothing makes open fail otherwise than with a reason.
func FuzzOpen(f *testing.F) {
	f.Add("gzip", pack("gzip", []byte(`{"a":1}`)))
	f.Add("deflate", pack("raw deflate", []byte(`{"a":1}`)))
	f.Add("", []byte("\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, label string, body []byte) {
		plain, err := (Limits{}).open(label, body)
		if err == nil && !jsontext.Value(plain).IsValid() {
			t.Fatalf("%q is not JSON", plain)
		}
		if err != nil && reasonOf(err) == "unknown" {
			t.Fatal(err)
		}
	})
}

// A text is a JSON text of any shape and what JSON.parse makes of it.
type text struct {
	sent string
	want any
}

// texts generates JSON with names that occur twice, halves of emoji, any escapes
// and white space.
func texts(depth int) *rapid.Generator[text] {
	return rapid.Custom(func(t *rapid.T) text {
		space := rapid.SampledFrom([]string{"", "", " ", "\r\n\t"})
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 {
			kind %= 3
		}
		switch kind {
		case 0:
			n := rapid.SampledFrom([]string{"0", "-1.5", "12", "1e3"}).Draw(t, "number")
			var want any
			_ = json.Unmarshal([]byte(n), &want)
			return text{n, want}
		case 1:
			return rapid.SampledFrom([]text{{"null", nil}, {"true", true}, {"false", false}}).Draw(t, "word")
		case 2:
			s := aString(t)
			return text{s.sent, s.want}
		case 3:
			sent, want := "[", []any{}
			for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
				if i > 0 {
					sent += ","
				}
				v := texts(depth-1).Draw(t, "element")
				sent, want = sent+space.Draw(t, "space")+v.sent, append(want, v.want)
			}
			return text{sent + "]", want}
		}
		sent, want := "{", map[string]any{}
		for i := range rapid.IntRange(0, 4).Draw(t, "members") {
			if i > 0 {
				sent += ","
			}
			name, v := aString(t), texts(depth-1).Draw(t, "value")
			sent += space.Draw(t, "space") + name.sent + space.Draw(t, "space") + ":" + space.Draw(t, "space") + v.sent
			want[name.want.(string)] = v.want
		}
		return text{sent + space.Draw(t, "space") + "}", want}
	})
}

// aString draws a short string, so that names are often the same.
func aString(t *rapid.T) text {
	piece := rapid.SampledFrom([]struct{ sent, want string }{
		{"a", "a"}, {`\u0061`, "a"}, {"b", "b"}, {`\"`, `"`}, {`\\`, `\`}, {"{", "{"}, {",", ","}, {`\n`, "\n"}, {`\ud83d`, "\ufffd"}, {`\ude00x`, "\ufffdx"},
		{`\ud83d\ude00`, "\U0001f600"}, {"\U0001f600", "\U0001f600"}, {"\xff", "\ufffd"}, {"\u2028", "\u2028"},
	})
	s, want := `"`, ""
	for range rapid.IntRange(0, 2).Draw(t, "length") {
		p := piece.Draw(t, "piece")
		if strings.HasSuffix(s, `\ud83d`) && strings.HasPrefix(p.sent, `\ude00`) {
			continue // together they are a whole emoji
		}
		s, want = s+p.sent, want+p.want
	}
	return text{s + `"`, want}
}

// Whatever JSON.parse takes, in any wrapping, is read, and means the same.
func TestOpenProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := texts(3).Draw(t, "text")
		how := rapid.SampledFrom([]string{"", "gzip", "deflate", "raw deflate"}).Draw(t, "how")
		label := how
		if how == "raw deflate" {
			label = "deflate"
		}
		mark := rapid.SampledFrom([]string{"", "\ufeff"}).Draw(t, "mark")
		plain, err := (Limits{}).open(label, pack(how, []byte(mark+v.sent)))
		var got any
		if err != nil || json.Unmarshal(plain, &got) != nil {
			t.Fatalf("%q: %q, %v", v.sent, plain, err)
		}
		if a, b := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", v.want); a != b {
			t.Fatalf("%q was read as %s, want %s", v.sent, a, b)
		}
	})
}
