package core_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
)

// packed compresses a body the way that is named.
func packed(how, body string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		w, _ = flate.NewWriter(&b, flate.BestSpeed)
	default:
		return []byte(body)
	}
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.Bytes()
}

// wrapped draws a request with a body in any wrapping that a sender, a proxy or a
// dashboard may put around it.
func wrapped(t *rapid.T, path, body string) core.Request {
	how := rapid.SampledFrom([]string{"", "", "gzip", "deflate", "raw"}).Draw(t, "packed")
	label := map[string][]string{"": {"", "identity", "gzip", "br"}, "gzip": {"gzip", "x-gzip", ""}, "deflate": {"deflate", ""}, "raw": {"deflate"}}[how]
	r := request("POST", path, string(packed(how, rapid.SampledFrom([]string{"", "\ufeff"}).Draw(t, "mark")+body)))
	if enc := rapid.SampledFrom(label).Draw(t, "encoding"); enc != "" {
		r.Header["Content-Encoding"] = []string{enc}
	}
	r.Header["Content-Type"] = []string{rapid.SampledFrom([]string{"application/json", "application/json; charset=utf8", "text/plain;charset=UTF-8",
		"application/vnd.sender+json", "application/x-www-form-urlencoded", "application/json; utf-8", ""}).Draw(t, "type")}
	slash := rapid.SampledFrom([]string{"", "/"})
	r.Path = slash.Draw(t, "before") + strings.ReplaceAll(path, "/", "/"+slash.Draw(t, "between")) + slash.Draw(t, "after")
	return r
}

// spokenLine draws what somebody said, as a JSON string, and what a browser reads.
func spokenLine(t *rapid.T) (sent, want string) {
	for range rapid.IntRange(0, 4).Draw(t, "pieces") {
		p := rapid.SampledFrom([][2]string{{"a", "a"}, {`\ud83d-`, "\ufffd-"}, {`\ude00`, "\ufffd"}, {`\ud83d\ude00`, "\U0001f600"}, {"\xff", "\ufffd"}, {`\u0000`, "\x00"},
			{`\"},{`, `"},{`}, {testSecret, "***"}, {"\u2028", "\u2028"}}).Draw(t, "piece")
		sent, want = sent+p[0], want+p[1]
	}
	return `"` + sent + `"`, want
}

// Whatever JSON.parse takes, in any wrapping, is accepted and stored, masked; and it
// means what JSON.parse makes of it.
func TestEventsInAnyWrapping(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBackend(t, nil)
		text, want := spokenLine(rt)
		other, _ := spokenLine(rt)
		twice := rapid.SampledFrom([]string{"", `"text":` + other + `,`, `"text":{"a":1,"a":` + other + `},"\u0074ext":2,`}).Draw(rt, "twice")
		body := `{"message":17,"x":` + other + `,"message":{"type":"hang","type":"conversation-update","call":{"id":"` + callID + `","status":"ongoing","controlUrl":"https://c.example/1","controlUrl":"https://c.example/2"},` +
			`"messages":[{"messageId":"1","role":"user",` + twice + `"text":` + text + `}]}}`
		if resp := b.Handle(t.Context(), wrapped(rt, "/events", body)); resp.Status != 200 {
			rt.Fatalf("%d %s to %q", resp.Status, resp.Body, body)
		}
		es := b.inbox.take()
		if len(es) != 1 || !json.Valid(es[0].Body) || !utf8.Valid(es[0].Body) {
			rt.Fatalf("accepted %+v", es)
		}
		if strings.Contains(string(es[0].Body), testSecret) || strings.Contains(string(es[0].Body), "c.example") {
			rt.Fatalf("a secret is in %s", es[0].Body)
		}
		if err := b.Deliver(t.Context(), es[0]); err != nil {
			rt.Fatal(err)
		}
		if got := b.read(callID).Transcript; len(got) != 1 || got[0].Text != want {
			rt.Fatalf("%q was read as %+v, want %q", body, got, want)
		}
	})
}

// A tool is given the same arguments in any wrapping.
func TestToolsInAnyWrapping(t *testing.T) {
	type in struct {
		Text string `json:"text"`
	}
	given := ""
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "echo", Effect: core.ReadOnly}, func(_ context.Context, a in) (string, error) { given = a.Text; return "Done.", nil })
	})
	rapid.Check(t, func(rt *rapid.T) {
		text, want := spokenLine(rt)
		want = strings.ReplaceAll(want, "***", testSecret) // what a tool is given is not stored
		args := `{"text":1,"text":` + text + `}`
		path := "/tools/echo"
		if rapid.Bool().Draw(rt, "envelope") {
			path = rapid.SampledFrom([]string{"/tools/echo", "/events", "/"}).Draw(rt, "path")
			if rapid.Bool().Draw(rt, "string") {
				q, err := json.Marshal(string([]rune(args)))
				if err != nil {
					rt.Fatal(err)
				}
				args = string(q)
			}
			args = `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[{"id":"a","function":{"name":"echo","arguments":` + args + `}}]}}`
		}
		given = "none"
		resp := b.Handle(t.Context(), wrapped(rt, path, args))
		if resp.Status != 200 || !strings.Contains(string(resp.Body), `"result":"Done."`) || given != want {
			rt.Fatalf("%s was given %q, want %q; replied %d %s", args, given, want, resp.Status, resp.Body)
		}
	})
}

// A body of white space only, in any wrapping, has no arguments, as an empty one. It
// is not an event.
func TestBlankBodies(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "hours", Effect: core.ReadOnly}, func(context.Context, struct{}) (string, error) { return "Open till five.", nil })
		core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, booking) (string, error) { return "Booked.", nil })
	})
	for _, body := range []string{"", " ", "\r\n", " \t \n", "\ufeff", "\ufeff\n"} {
		if got := b.call("/tools/hours", body); got != "Open till five." {
			t.Errorf("%q: said %q", body, got)
		}
		if got := b.call("/tools/book", body); !strings.Contains(got, "is missing") {
			t.Errorf("%q: said %q", body, got)
		}
		if r := b.Handle(t.Context(), request("POST", "/events", body)); r.Status != 400 {
			t.Errorf("%q: an event got %d", body, r.Status)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.StringMatching("[ \t\r\n]{0,9}").Draw(rt, "body")
		if got := said(t, b.Handle(t.Context(), wrapped(rt, "/tools/hours", body))); got != "Open till five." {
			rt.Fatalf("%q: said %q", body, got)
		}
	})
}

// Whatever an authenticated sender posts: a tool's caller gets a sentence, and an
// event is accepted or in quarantine, without our secret if that can be seen.
func FuzzNothingIsLost(f *testing.F) {
	f.Add([]byte(`{"message":{"type":"hang","call":{"id":"CA1"}}}`), "", "")
	f.Add(packed("gzip", `{"message":{"type":"hang"}}`)[:30], "gzip", "text/plain")
	f.Add([]byte("\xef\xbb\xbf{"), "br", "application/json; charset=utf-16")
	f.Add([]byte(`{"a":"`+testSecret+`","a":`), "deflate", "")
	f.Fuzz(func(t *testing.T, body []byte, encoding, label string) {
		if len(body) == 0 {
			return // other tests have the empty body
		}
		b := newBackend(t, nil)
		header := auth.Header{"X-Interactly-Secret": {testSecret}, "Content-Encoding": {encoding}, "Content-Type": {label}}
		resp := b.Handle(t.Context(), core.Request{Method: "POST", Path: "/tools/book", Header: header, Body: body})
		var reply struct{ Result string }
		if json.Unmarshal(resp.Body, &reply) != nil || resp.Status != 200 || reply.Result == "" {
			t.Fatalf("a caller gets %d %s", resp.Status, resp.Body)
		}
		resp = b.Handle(t.Context(), core.Request{Method: "POST", Path: "/events", Header: header, Body: body})
		kept, err := calls.ListQuarantine(t.Context(), b.store, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		isTool := strings.Contains(string(resp.Body), `"result"`)
		if len(b.inbox.take())+len(kept) != 1 && !isTool && resp.Status != 413 {
			t.Fatalf("%d %s, and nothing is stored", resp.Status, resp.Body)
		}
		for _, r := range b.store.All() {
			if strings.Contains(string(r.Value), testSecret) {
				t.Fatalf("the secret is in %s", r.Value)
			}
		}
	})
}
