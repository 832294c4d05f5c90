package inspect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/inspect"
)

func TestLint(t *testing.T) {
	ok := func(body string) inspect.Reply {
		return inspect.Reply{Status: 200, Type: "application/json", Body: []byte(body), Took: 20 * time.Millisecond}
	}
	with := func(r inspect.Reply, change func(*inspect.Reply)) inspect.Reply { change(&r); return r }
	said := ok(`{"result":"Monday has openings at 09:00."}`)
	vapi := func(body string) inspect.Reply { return with(ok(body), func(r *inspect.Reply) { r.ID = "call_1" }) }
	for _, c := range []struct {
		name  string
		r     inspect.Reply
		level inspect.Level
		rule  string // of the worst finding
	}{
		{"one line of text is taken", said, inspect.Fine, ""},
		{"an object as JSON text is taken", ok(`{"result":"{\"slots\":[\"09:00\"]}"}`), inspect.Fine, ""},
		{"both spellings are taken", vapi(`{"result":"ok","results":[{"toolCallId":"call_1","name":"x","result":"ok"}]}`), inspect.Fine, ""},
		{"a charset is no other type", with(said, func(r *inspect.Reply) { r.Type = "application/json; charset=utf-8" }), inspect.Fine, ""},
		{"a line break drops the reply", ok(`{"result":"09:00\n09:45"}`), inspect.Ignored, "line-break"},
		{"a line separator is one too", ok("{\"result\":\"a\u2028b\"}"), inspect.Ignored, "line-break"},
		{"a line break in a list of results drops it", vapi(`{"results":[{"toolCallId":"call_1","result":"a\nb"}]}`), inspect.Ignored, "line-break"},
		{"an object is not text", ok(`{"result":{"slots":[]}}`), inspect.Ignored, "not-text"},
		{"a number is not text", ok(`{"result":3}`), inspect.Ignored, "not-text"},
		{"null is not text", ok(`{"result":null}`), inspect.Ignored, "not-text"},
		{"no result", ok(`{"slots":["09:00"]}`), inspect.Ignored, "no-result"},
		{"no object", ok(`["09:00"]`), inspect.Ignored, "object"},
		{"plain text is not JSON", ok(`Booked.`), inspect.Ignored, "json"},
		{"two values are not JSON", ok(`{"result":"a"}{"result":"b"}`), inspect.Ignored, "json"},
		{"nothing", ok(``), inspect.Ignored, "empty"},
		{"bad bytes", ok("{\"result\":\"\xff\"}"), inspect.Ignored, "utf-8"},
		{"400", with(said, func(r *inspect.Reply) { r.Status = 400 }), inspect.Ignored, "status"},
		{"201 is not 200", with(said, func(r *inspect.Reply) { r.Status = 201 }), inspect.Ignored, "status"},
		{"a redirect is not followed", with(said, func(r *inspect.Reply) { r.Status = 307 }), inspect.Ignored, "status"},
		{"500", with(said, func(r *inspect.Reply) { r.Status = 500 }), inspect.Ignored, "status"},
		{"20 s is too late", with(said, func(r *inspect.Reply) { r.Took = 20 * time.Second }), inspect.Ignored, "timeout"},
		{"5 s is a hang", with(said, func(r *inspect.Reply) { r.Took = 5 * time.Second }), inspect.Risky, "hang"},
		{"most of the budget", with(said, func(r *inspect.Reply) { r.Took = 3 * time.Second }), inspect.Advice, "slow"},
		{"most of a budget of its own", with(said, func(r *inspect.Reply) { r.Took, r.Budget = time.Second, time.Second }), inspect.Advice, "slow"},
		{"another id", vapi(`{"results":[{"toolCallId":"call_2","result":"ok"}]}`), inspect.Ignored, "other-id"},
		{"no id", vapi(`{"results":[{"result":"ok"}]}`), inspect.Ignored, "no-id"},
		{"no results where ids were sent", vapi(`{"result":"ok"}`), inspect.Ignored, "no-results"},
		{"another content type", with(said, func(r *inspect.Reply) { r.Type = "text/plain" }), inspect.Risky, "content-type"},
		{"an empty line", ok(`{"result":"  "}`), inspect.Risky, "nothing"},
		{"a program's error", ok(`{"result":"sql: no rows in result set"}`), inspect.Risky, "internal"},
		{"markdown", ok(`{"result":"**Booked** for Monday"}`), inspect.Advice, "markdown"},
		{"a long speech", ok(`{"result":"` + strings.Repeat("and ", 400) + `"}`), inspect.Advice, "long"},
		{"too long", ok(`{"result":"` + strings.Repeat("and ", 5000) + `"}`), inspect.Risky, "too-long"},
		{"still working", with(said, func(r *inspect.Reply) { r.State = "late" }), inspect.Advice, "working"},
		{"nobody knows", with(said, func(r *inspect.Reply) { r.State = "unknown" }), inspect.Advice, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := inspect.Lint(c.r)
			level, rule := inspect.Fine, ""
			if len(fs) > 0 {
				level, rule = fs[0].Level, fs[0].Rule
			}
			if level != c.level || rule != c.rule {
				t.Errorf("%v %q, want %v %q", level, rule, c.level, c.rule)
			}
			for i, f := range fs {
				if f.Because == "" || f.Fix == "" || !strings.HasPrefix(f.Source, "docs/") || i > 0 && f.Level > fs[i-1].Level {
					t.Errorf("finding %+v: want a reason, a fix, a source, and the worst first", f)
				}
				if strings.Contains(f.Because+f.Fix, "09:") || strings.Contains(f.Because, "rows") {
					t.Errorf("a finding quotes the reply: %+v", f)
				}
			}
		})
	}
}
