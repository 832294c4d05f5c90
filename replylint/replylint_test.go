package replylint_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/replylint"
)

func TestCheck(t *testing.T) {
	ok := func(body string) replylint.Reply {
		return replylint.Reply{Status: 200, ContentType: "application/json", Body: []byte(body), Latency: 20 * time.Millisecond}
	}
	with := func(r replylint.Reply, change func(*replylint.Reply)) replylint.Reply { change(&r); return r }
	said := ok(`{"result":"Monday has openings at 09:00."}`)
	vapi := func(body string) replylint.Reply {
		return with(ok(body), func(r *replylint.Reply) { r.ToolCallID = "call_1" })
	}
	for _, c := range []struct {
		name  string
		r     replylint.Reply
		level replylint.Level
		rule  string // of the most severe finding
	}{
		{"one line of text", said, replylint.LevelOK, ""},
		{"an object as JSON text", ok(`{"result":"{\"slots\":[\"09:00\"]}"}`), replylint.LevelOK, ""},
		{"both spellings", vapi(`{"result":"ok","results":[{"toolCallId":"call_1","name":"x","result":"ok"}]}`), replylint.LevelOK, ""},
		{"a charset is allowed", with(said, func(r *replylint.Reply) { r.ContentType = "application/json; charset=utf-8" }), replylint.LevelOK, ""},
		{"a line break drops the reply", ok(`{"result":"09:00\n09:45"}`), replylint.LevelError, "line-break"},
		{"a line separator is one too", ok("{\"result\":\"a\u2028b\"}"), replylint.LevelError, "line-break"},
		{"a line break in a list of results drops it", vapi(`{"results":[{"toolCallId":"call_1","result":"a\nb"}]}`), replylint.LevelError, "line-break"},
		{"an object is not text", ok(`{"result":{"slots":[]}}`), replylint.LevelError, "not-text"},
		{"a number is not text", ok(`{"result":3}`), replylint.LevelError, "not-text"},
		{"null is not text", ok(`{"result":null}`), replylint.LevelError, "not-text"},
		{"no result", ok(`{"slots":["09:00"]}`), replylint.LevelError, "no-result"},
		{"not an object", ok(`["09:00"]`), replylint.LevelError, "object"},
		{"plain text is not JSON", ok(`Booked.`), replylint.LevelError, "json"},
		{"two values are not JSON", ok(`{"result":"a"}{"result":"b"}`), replylint.LevelError, "json"},
		{"an empty body", ok(``), replylint.LevelError, "empty"},
		{"a duplicate name", ok(`{"result":"a","result":"b"}`), replylint.LevelError, "json"},
		{"bad bytes", ok("{\"result\":\"\xff\"}"), replylint.LevelError, "utf-8"},
		{"400", with(said, func(r *replylint.Reply) { r.Status = 400 }), replylint.LevelError, "status"},
		{"201 is not 200", with(said, func(r *replylint.Reply) { r.Status = 201 }), replylint.LevelError, "status"},
		{"a redirect is not followed", with(said, func(r *replylint.Reply) { r.Status = 307 }), replylint.LevelError, "status"},
		{"500", with(said, func(r *replylint.Reply) { r.Status = 500 }), replylint.LevelError, "status"},
		{"20 s is too late", with(said, func(r *replylint.Reply) { r.Latency = 20 * time.Second }), replylint.LevelError, "timeout"},
		{"5 s is a hang", with(said, func(r *replylint.Reply) { r.Latency = 5 * time.Second }), replylint.LevelWarning, "hang"},
		{"most of the budget", with(said, func(r *replylint.Reply) { r.Latency = 3 * time.Second }), replylint.LevelInfo, "slow"},
		{"most of a budget of its own", with(said, func(r *replylint.Reply) { r.Latency, r.Budget = time.Second, time.Second }), replylint.LevelInfo, "slow"},
		{"another id", vapi(`{"results":[{"toolCallId":"call_2","result":"ok"}]}`), replylint.LevelError, "other-id"},
		{"no id", vapi(`{"results":[{"result":"ok"}]}`), replylint.LevelError, "no-id"},
		{"no results for a request with ids", vapi(`{"result":"ok"}`), replylint.LevelError, "no-results"},
		{"another content type", with(said, func(r *replylint.Reply) { r.ContentType = "text/plain" }), replylint.LevelWarning, "content-type"},
		{"an empty line", ok(`{"result":"  "}`), replylint.LevelWarning, "nothing"},
		{"a program's error", ok(`{"result":"sql: no rows in result set"}`), replylint.LevelWarning, "internal"},
		{"markdown", ok(`{"result":"**Booked** for Monday"}`), replylint.LevelInfo, "markdown"},
		{"a long speech", ok(`{"result":"` + strings.Repeat("and ", 400) + `"}`), replylint.LevelInfo, "long"},
		{"too long", ok(`{"result":"` + strings.Repeat("and ", 5000) + `"}`), replylint.LevelWarning, "too-long"},
		{"still working", with(said, func(r *replylint.Reply) { r.State = "late" }), replylint.LevelInfo, "working"},
		{"unreadable", with(said, func(r *replylint.Reply) { r.State = "unreadable" }), replylint.LevelWarning, "unreadable"},
		{"refused", with(said, func(r *replylint.Reply) { r.State = "refused" }), replylint.LevelInfo, "refused"},
		{"state unknown", with(said, func(r *replylint.Reply) { r.State = "unknown" }), replylint.LevelInfo, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := replylint.Check(c.r)
			level, rule := replylint.LevelOK, ""
			if len(fs) > 0 {
				level, rule = fs[0].Level, fs[0].Rule
			}
			if level != c.level || rule != c.rule {
				t.Errorf("%v %q, want %v %q", level, rule, c.level, c.rule)
			}
			for i, f := range fs {
				if f.Reason == "" || f.Fix == "" || !strings.HasPrefix(f.Source, "docs/") || i > 0 && f.Level > fs[i-1].Level {
					t.Errorf("finding %+v: want a reason, a fix, a source, and the most severe first", f)
				}
				if strings.Contains(f.Reason+f.Fix, "09:") || strings.Contains(f.Reason, "rows") {
					t.Errorf("a finding quotes the reply: %+v", f)
				}
			}
		})
	}
}

func TestEveryFailedStatusHasAFix(t *testing.T) {
	seen := map[string]bool{}
	for _, status := range []int{0, 302, 400, 401, 404, 405, 413, 415, 500} {
		fs := replylint.Check(replylint.Reply{Status: status})
		if len(fs) != 1 || fs[0].Rule != "status" || seen[fs[0].Fix] {
			t.Errorf("status %d: %+v, want one finding with a fix of its own", status, fs)
			continue
		}
		seen[fs[0].Fix] = true
	}
}

func TestReplyOfRecordedRequest(t *testing.T) {
	r := replylint.ReplyOf(calls.ToolRequest{HTTPStatus: 200, ContentType: "text/plain", Reply: []byte("{"), Latency: time.Second, Budget: time.Minute, State: "late", ToolCallID: "call_1"})
	if want := (replylint.Reply{Status: 200, ContentType: "text/plain", Body: []byte("{"), Latency: time.Second, Budget: time.Minute, State: "late", ToolCallID: "call_1"}); !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, want %+v", r, want)
	}
}

func TestWorstAndSlow(t *testing.T) {
	if l := replylint.Worst(nil); l != replylint.LevelOK {
		t.Errorf("nothing found: %v", l)
	}
	if l := replylint.Worst([]replylint.Finding{{Level: replylint.LevelInfo}, {Level: replylint.LevelError}, {}}); l != replylint.LevelError {
		t.Errorf("info, error, ok: %v", l)
	}
	for _, c := range []struct {
		latency, budget time.Duration
		want            bool
	}{{2999 * time.Millisecond, 0, false}, {3 * time.Second, 0, true}, {3 * time.Second, 8 * time.Second, false}, {6 * time.Second, 8 * time.Second, true}} {
		if got := replylint.Slow(c.latency, c.budget); got != c.want {
			t.Errorf("%v of %v: slow %v", c.latency, c.budget, got)
		}
	}
}
