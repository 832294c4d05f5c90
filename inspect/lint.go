package inspect

import (
	"bytes"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
)

// Limits of the sender (docs/tools.md#budget, docs/events.md#delivery).
const (
	hangAfter  = 5 * time.Second  // silence counts as a hang
	timeoutAt  = 20 * time.Second // an answer after it counts for nothing
	longSpeech = 1200             // bytes: more than a minute when it is read out
)

// A Reply is an answer to a tool request, whoever gave it.
type Reply struct {
	Status int
	Type   string // content type
	Body   []byte
	Took   time.Duration
	Budget time.Duration // 0 is the default
	State  string        // as in [calls.ToolRequest], "" where it is not known
	ID     string        // the tool call's id, in a dialect that has ids
}

// ReplyOf is the reply of a recorded request.
func ReplyOf(r calls.ToolRequest) Reply {
	return Reply{Status: r.HTTPStatus, Type: r.ContentType, Body: r.Reply, Took: r.Latency, Budget: r.Budget, State: r.State, ID: r.ToolCallID}
}

// A Level is how bad a finding is.
type Level int

// The levels, from the best to the worst.
const (
	Fine    Level = iota
	Advice        // it works, and could be better
	Risky         // it may go wrong
	Ignored       // the assistant gets nothing
)

// String returns the word for people.
func (l Level) String() string { return [...]string{"fine", "advice", "risky", "ignored"}[l] }

// A Finding is a rule that a reply breaks. It quotes nothing of the reply.
type Finding struct {
	Level   Level
	Rule    string // short and stable: "line-break"
	Because string // completes "This reply would be ignored because …"
	Fix     string
	Source  string // where the rule is written
}

const (
	sourceReply   = "docs/tools.md#reply"
	sourceBudget  = "docs/tools.md#budget"
	sourceDialect = "docs/tools.md#dialects"
	sourceWho     = "docs/tools.md#who-may-call"
)

// Lint says what is wrong with a reply, the worst first. It knows the rules of
// docs/tools.md#reply: one line of text under "result", in JSON, with 200,
// before the caller hears silence.
func Lint(r Reply) []Finding {
	var fs []Finding
	add := func(l Level, rule, because, fix, source string) {
		fs = append(fs, Finding{l, rule, because, fix, source})
	}
	switch {
	case r.Took >= timeoutAt:
		add(Ignored, "timeout", "it came after more than 20 s, when nobody waits for it any longer",
			"Answer within the budget, and do the rest after the reply.", sourceBudget)
	case r.Took >= hangAfter:
		add(Risky, "hang", "the caller heard more than 5 s of silence, which counts as a hang",
			"Give the tool a budget of 4 s or less; what takes longer answers that it is still working.", sourceBudget)
	case slow(r.Took, r.Budget):
		add(Advice, "slow", "it used most of its budget, and a slower day would take it over",
			"Look at what the tool waits for: a cache, fewer queries, or a smaller answer.", sourceBudget)
	}
	if r.Status != 200 {
		because, fix := badStatus(r.Status)
		add(Ignored, "status", because, fix, sourceWho)
		return sorted(fs)
	}
	if media, _, _ := strings.Cut(r.Type, ";"); r.Type != "" && !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		add(Risky, "content-type", "its content type is not application/json", "Send the header Content-Type: application/json.", sourceReply)
	}
	body := bytes.TrimSpace(r.Body)
	value := jsontext.Value(body)
	switch {
	case len(body) == 0:
		add(Ignored, "empty", "it has no body", `Answer {"result":"…"}.`, sourceReply)
		return sorted(fs)
	case !utf8.Valid(body):
		add(Ignored, "utf-8", "its bytes are not UTF-8", "Encode the reply as UTF-8, without a byte order mark.", sourceReply)
		return sorted(fs)
	case !value.IsValid():
		add(Ignored, "json", "it is not JSON", "Build the reply with a JSON encoder instead of putting text together.", sourceReply)
		return sorted(fs)
	case value.Kind() != '{':
		add(Ignored, "object", "it is JSON, but no object", `Put the answer under "result" in an object.`, sourceReply)
		return sorted(fs)
	}
	var m struct {
		Result  jsontext.Value `json:"result"`
		Results jsontext.Value `json:"results"`
	}
	if json.Unmarshal(body, &m) != nil {
		add(Ignored, "json", "it is not sound JSON: a name stands twice in it", "Build the reply with a JSON encoder.", sourceReply)
		return sorted(fs)
	}
	if r.ID != "" || len(m.Result) == 0 && len(m.Results) > 0 {
		lintResults(m.Results, r.ID, add)
	}
	if len(m.Result) > 0 {
		lintResult(m.Result, add)
	} else if len(m.Results) == 0 {
		add(Ignored, "no-result", `it has no "result"`, `Put one line of text under "result": {"result":"…"}.`, sourceReply)
	}
	switch r.State {
	case "late":
		add(Advice, "working", "the tool was not done in time, so the assistant was told that it is still being worked on",
			"That is the safe answer. Make the tool faster, or let it do less before it answers.", sourceBudget)
	case "unknown":
		add(Advice, "unknown", "nobody knows whether the change was made, so the assistant was told not to try again",
			"Give the tool a Reconcile function that looks it up.", "docs/tools.md#reconcile")
	case "refused":
		add(Advice, "refused", "the tool did not run: its name or its arguments were not right",
			"Compare the tool's definition at Interactly with what serverurl tools --json prints.", "docs/tools.md#arguments")
	}
	return sorted(fs)
}

func badStatus(status int) (because, fix string) {
	switch status {
	case 0:
		return "there was no answer at all", "Check that the backend runs and that the URL is right."
	case 400:
		return "its status is 400 and only 200 is taken: the request's body was not sound JSON",
			"Correct the body in the tool's settings at Interactly; a variable in it may lack its quotes."
	case 401, 403:
		return "its status says that the sender is not known, and only 200 is taken",
			"Set the same secret at the tool in Interactly and in SERVERURL_SECRET."
	case 404:
		return "its status is 404 and only 200 is taken", "Correct the tool's URL: it ends in /tools/ and the tool's name."
	case 405:
		return "its status is 405 and only 200 is taken", "Choose GET, POST, PUT, PATCH or DELETE at the tool in Interactly."
	case 413:
		return "its status is 413 and only 200 is taken: the request was too large", "Send the tool less; its arguments are enough."
	case 415:
		return "its status is 415 and only 200 is taken: the request was not JSON", "Set Content-Type: application/json at the tool in Interactly."
	}
	if status >= 300 && status < 400 {
		return "it is a redirect and only 200 is taken", "Give Interactly the URL that it leads to."
	}
	return "its status is not 200", "Answer 200 also for errors, with a sentence about what went wrong under \"result\"."
}

// lintResults looks at the other dialect's list of results.
func lintResults(v jsontext.Value, id string, add func(Level, string, string, string, string)) {
	var list []struct {
		ToolCallID string         `json:"toolCallId"`
		Result     jsontext.Value `json:"result"`
		Error      jsontext.Value `json:"error"`
	}
	if v.Kind() != '[' || json.Unmarshal(v, &list) != nil || len(list) == 0 {
		add(Ignored, "no-results", `the request had ids and the reply has no list "results"`,
			`Answer {"results":[{"toolCallId":"…","result":"…"}]}, one for each call.`, sourceDialect)
		return
	}
	found := id == ""
	for _, one := range list {
		if one.ToolCallID == "" {
			add(Ignored, "no-id", `a result has no "toolCallId"`, "Repeat the id of each call beside its result.", sourceDialect)
			return
		}
		found = found || one.ToolCallID == id
		if text := one.Result; len(text) > 0 {
			lintResult(text, add)
		} else if len(one.Error) > 0 {
			lintResult(one.Error, add)
		} else {
			add(Ignored, "no-result", `one of "results" has neither "result" nor "error"`, "Put one line of text under result.", sourceDialect)
		}
	}
	if !found {
		add(Ignored, "other-id", "none of its results has the id that was asked", "Repeat the id of each call as it was sent.", sourceDialect)
	}
}

var (
	markdown = regexp.MustCompile("(\\*\\*[^*]+\\*\\*)|(^|\\s)#{1,4} |```|\\[[^\\]]+\\]\\(https?:|(^|\\s)[-*] \\S+.*\\s[-*] \\S")
	internal = regexp.MustCompile(`(?i)goroutine \d|panic:|stack ?trace|traceback|exception in|sql: |SQLSTATE|ECONNREFUSED|dial tcp|undefined is not|nullpointer|at [\w.$]+\([\w.]+:\d+\)`)
)

// lintResult looks at one result.
func lintResult(v jsontext.Value, add func(Level, string, string, string, string)) {
	if v.Kind() != '"' {
		add(Ignored, "not-text", `"result" is not a string`, "Send text. An object is sent as JSON inside the string.", sourceReply)
		return
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return
	}
	if strings.ContainsAny(s, "\n\r\u2028\u2029") {
		add(Ignored, "line-break", "its result has a line break, and the platform then drops the whole reply",
			"Put everything on one line: join the lines with a space or a comma.", sourceReply)
	} else if strings.ContainsFunc(s, unicode.IsControl) {
		add(Risky, "control", "its result has control characters", "Take them out; one line of plain text is safe.", sourceReply)
	}
	if strings.TrimSpace(s) == "" {
		add(Risky, "nothing", "its result is empty, so the assistant has nothing to say", "Say what was done, in one sentence.", sourceReply)
	}
	if len(s) > core.MaxResultBytes {
		add(Risky, "too-long", "its result is longer than 16 kB", "Send what the caller needs to hear.", sourceReply)
	} else if len(s) > longSpeech && !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		add(Advice, "long", "its result takes more than a minute to read out", "Send what the caller needs to hear.", sourceReply)
	}
	if internal.MatchString(s) {
		add(Risky, "internal", "its result looks like an error of a program, which would be read to the caller",
			"Answer with a sentence that says what to do next, and log the error.", sourceReply)
	}
	if markdown.MatchString(s) {
		add(Advice, "markdown", "its result has markdown, which is read out as it stands", "Send plain text.", sourceReply)
	}
}

// sorted puts the worst first.
func sorted(fs []Finding) []Finding {
	for i := range fs {
		for j := i; j > 0 && fs[j].Level > fs[j-1].Level; j-- {
			fs[j], fs[j-1] = fs[j-1], fs[j]
		}
	}
	return fs
}

// worst is the level of the worst finding.
func worst(fs []Finding) Level {
	l := Fine
	for _, f := range fs {
		l = max(l, f.Level)
	}
	return l
}
