package core_test

import (
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
)

func TestAdmit(t *testing.T) {
	b := newBackend(t, addTools)
	head := func(method, path, secret string) core.Request {
		r := request(method, path, "")
		r.Header["x-interactly-secret"] = []string{secret}
		return r
	}
	for _, c := range []struct {
		why      string
		head     core.Request
		kind     core.Kind
		readBody bool
	}{
		{"an event", head("POST", "/events", testSecret), core.KindEvent, true},
		{"an event to the root", head("POST", "/", testSecret), core.KindEvent, true},
		{"a tool call", head("POST", "/tools/look", testSecret), core.KindToolCall, true},
		{"a tool call with GET", head("GET", "/tools/look", testSecret), core.KindToolCall, true},
		{"a wrong secret", head("POST", "/events", "wrong"), core.KindEvent, false},
		{"a wrong secret for a tool", head("POST", "/tools/look", "wrong"), core.KindToolCall, false},
		{"a wrong method", head("PUT", "/events", testSecret), core.KindEvent, false},
		{"a wrong path", head("POST", "/elsewhere", testSecret), core.KindEvent, false},
	} {
		a := b.Admit(c.head)
		if a.Kind() != c.kind || a.ReadBody() != c.readBody {
			t.Errorf("%s: kind %v, read the body %v; want %v, %v", c.why, a.Kind(), a.ReadBody(), c.kind, c.readBody)
		}
	}
}

// The kind is known as soon as the type is in what has been read, wherever the
// rest of the body is cut off.
func TestAdmissionPeeks(t *testing.T) {
	b := newBackend(t, addTools)
	for body, want := range map[string]core.Kind{
		`{"message":{"timestamp":1,"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[]}}`:                         core.KindToolCall,
		`{"message":{"type":"function-call","call":{"id":"CA1"},"functionCall":{"name":"look"}}}`:                       core.KindToolCall,
		`{"message":{"type":"assistant-request","call":{"id":"CA1"}}}`:                                                  core.KindReply,
		`{"message":{"call":{"id":"CA1","metadata":{"type":"tool-calls"}},"type":"hang","more":{"type":"tool-calls"}}}`: core.KindEvent,
	} {
		typeEnd := strings.LastIndex(body, `"type":"`)
		if want == core.KindEvent {
			typeEnd = strings.Index(body, `"type":"hang"`)
		}
		typeEnd += strings.Index(body[typeEnd:], `",`) + 2
		for cut := range len(body) + 1 {
			a := b.Admit(request("POST", "/events", ""))
			known := a.Peek([]byte(body[:cut]))
			if wantKnown := cut >= typeEnd; known != wantKnown && cut != typeEnd-1 || known && a.Kind() != want {
				t.Fatalf("%s: known %v, kind %v; want %v", body[:cut], known, a.Kind(), want)
			}
		}
	}
}
