package replylint

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
)

// longSpeech is how many bytes of text take more than a minute to say.
const longSpeech = 1200

// Where the rules are stated.
const (
	sourceReply     = "docs/tools.md#reply"
	sourceBudget    = "docs/tools.md#budget"
	sourceReconcile = "docs/tools.md#reconcile"
	sourceArguments = "docs/tools.md#arguments"
	sourceDialects  = "docs/tools.md#dialects"
	sourceCallers   = "docs/tools.md#who-may-call"
)

// A checker collects findings.
type checker struct{ findings []Finding }

func (c *checker) add(l Level, rule, reason, fix, source string) {
	c.findings = append(c.findings, Finding{l, rule, reason, fix, source})
}

func (c *checker) latency(r Reply) {
	switch {
	case r.Latency >= TimeoutAfter:
		c.add(LevelError, "timeout", "it came after more than 20 s, when the sender no longer waits for it",
			"Answer within the budget, and do the rest after the reply.", sourceBudget)
	case r.Latency >= HangAfter:
		c.add(LevelWarning, "hang", "the caller heard more than 5 s of silence, which counts as a hang",
			fmt.Sprintf("Give the tool a budget of %v or less; a tool that takes longer then answers that it is still working.", core.DefaultBudget), sourceBudget)
	case Slow(r.Latency, r.Budget):
		c.add(LevelInfo, "slow", "it used most of its budget, and would exceed it on a slower day",
			"Find out what the tool waits for: a cache, fewer queries or a smaller answer may help.", sourceBudget)
	}
}

func (c *checker) status(status int) {
	reason, fix := "its status is not 200", "Answer 200 for errors too, with a sentence about what went wrong under \"result\"."
	switch {
	case status == 0:
		reason, fix = "there was no answer at all", "Check that the backend runs and that the URL is right."
	case status == 400:
		reason, fix = "its status is 400 and only 200 is accepted: the body of the request was not valid JSON",
			"Correct the body in the tool's settings at Interactly; a variable in it may lack its quotes."
	case status == 401 || status == 403:
		reason, fix = "its status says that the sender is not authenticated, and only 200 is accepted",
			"Set the same secret at the tool in Interactly and in SERVERURL_SECRET."
	case status == 404:
		reason, fix = "its status is 404 and only 200 is accepted", "Correct the tool's URL: it ends in /tools/ and the tool's name."
	case status == 405:
		reason, fix = "its status is 405 and only 200 is accepted", "Choose GET, POST, PUT, PATCH or DELETE at the tool in Interactly."
	case status == 413:
		reason, fix = "its status is 413 and only 200 is accepted: the request was too large", "Send the tool less; its arguments are enough."
	case status == 415:
		reason, fix = "its status is 415 and only 200 is accepted: the request was not JSON", "Set Content-Type: application/json at the tool in Interactly."
	case status >= 300 && status < 400:
		reason, fix = "it is a redirect and only 200 is accepted", "Give Interactly the URL that it redirects to."
	}
	c.add(LevelError, "status", reason, fix, sourceCallers)
}

// body checks the body and its content type. It reports whether there is a
// JSON object.
func (c *checker) body(r Reply) bool {
	if media, _, _ := strings.Cut(r.ContentType, ";"); r.ContentType != "" && !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		c.add(LevelWarning, "content-type", "its content type is not application/json", "Send the header Content-Type: application/json.", sourceReply)
	}
	fail := func(rule, reason, fix string) bool {
		c.add(LevelError, rule, reason, fix, sourceReply)
		return false
	}
	body := jsontext.Value(bytes.TrimSpace(r.Body))
	var m struct {
		Result  jsontext.Value `json:"result"`
		Results jsontext.Value `json:"results"`
	}
	switch {
	case len(body) == 0:
		return fail("empty", "it has no body", `Answer {"result":"…"}.`)
	case !utf8.Valid(body):
		return fail("utf-8", "its bytes are not UTF-8", "Encode the reply as UTF-8, without a byte order mark.")
	case !body.IsValid(jsontext.AllowDuplicateNames(true)):
		return fail("json", "it is not JSON", "Build the reply with a JSON encoder instead of concatenating text.")
	case body.Kind() != '{':
		return fail("object", "it is JSON, but not an object", `Put the answer under "result" in an object.`)
	case json.Unmarshal(body, &m) != nil:
		return fail("json", "it is not valid JSON: an object has a duplicate name", "Build the reply with a JSON encoder.")
	}
	if r.ToolCallID != "" || len(m.Result) == 0 && len(m.Results) > 0 {
		c.results(m.Results, r.ToolCallID)
	}
	if len(m.Result) > 0 {
		c.result(m.Result)
	} else if len(m.Results) == 0 {
		c.add(LevelError, "no-result", `it has no "result"`, `Put one line of text under "result": {"result":"…"}.`, sourceReply)
	}
	return true
}

// results checks the list of results of the dialect with ids.
func (c *checker) results(v jsontext.Value, id string) {
	var list []struct {
		ToolCallID string         `json:"toolCallId"`
		Result     jsontext.Value `json:"result"`
		Error      jsontext.Value `json:"error"`
	}
	if v.Kind() != '[' || json.Unmarshal(v, &list) != nil || len(list) == 0 {
		c.add(LevelError, "no-results", `the request had ids and the reply has no list "results"`,
			`Answer {"results":[{"toolCallId":"…","result":"…"}]}, one for each call.`, sourceDialects)
		return
	}
	found := id == ""
	for _, one := range list {
		if one.ToolCallID == "" {
			c.add(LevelError, "no-id", `a result has no "toolCallId"`, "Repeat the id of each call next to its result.", sourceDialects)
			return
		}
		found = found || one.ToolCallID == id
		switch {
		case len(one.Result) > 0:
			c.result(one.Result)
		case len(one.Error) > 0:
			c.result(one.Error)
		default:
			c.add(LevelError, "no-result", `one of "results" has neither "result" nor "error"`, "Put one line of text under result.", sourceDialects)
		}
	}
	if !found {
		c.add(LevelError, "other-id", "none of its results has the id of the request", "Repeat the id of each call as it was sent.", sourceDialects)
	}
}

var (
	markdown = regexp.MustCompile("(\\*\\*[^*]+\\*\\*)|(^|\\s)#{1,4} |```|\\[[^\\]]+\\]\\(https?:|(^|\\s)[-*] \\S+.*\\s[-*] \\S")
	internal = regexp.MustCompile(`(?i)goroutine \d|panic:|stack ?trace|traceback|exception in|sql: |SQLSTATE|ECONNREFUSED|dial tcp|undefined is not|nullpointer|at [\w.$]+\([\w.]+:\d+\)`)
)

// result checks one result.
func (c *checker) result(v jsontext.Value) {
	var s string
	if v.Kind() != '"' || json.Unmarshal(v, &s) != nil {
		c.add(LevelError, "not-text", `"result" is not a string`, "Send text. An object is sent as JSON inside the string.", sourceReply)
		return
	}
	if strings.ContainsAny(s, "\n\r\u2028\u2029") {
		c.add(LevelError, "line-break", "its result has a line break, and the sender then drops the whole reply",
			"Put everything on one line: join the lines with a space or a comma.", sourceReply)
	} else if strings.ContainsFunc(s, unicode.IsControl) {
		c.add(LevelWarning, "control", "its result has control characters", "Remove them; one line of plain text is safe.", sourceReply)
	}
	if strings.TrimSpace(s) == "" {
		c.add(LevelWarning, "nothing", "its result is empty, so the assistant has nothing to say", "Say what was done, in one sentence.", sourceReply)
	}
	if len(s) > core.MaxResultBytes {
		c.add(LevelWarning, "too-long", "its result is longer than 16 kB", "Send what the caller needs to hear.", sourceReply)
	} else if len(s) > longSpeech && !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		c.add(LevelInfo, "long", "its result takes more than a minute to say", "Send what the caller needs to hear.", sourceReply)
	}
	if internal.MatchString(s) {
		c.add(LevelWarning, "internal", "its result looks like the error of a program, which would be read to the caller",
			"Answer with a sentence that says what to do next, and log the error.", sourceReply)
	}
	if markdown.MatchString(s) {
		c.add(LevelInfo, "markdown", "its result has Markdown, which is read out as it is written", "Send plain text.", sourceReply)
	}
}

// state comments on what became of the request in our own backend.
func (c *checker) state(state string) {
	switch state {
	case "late":
		c.add(LevelInfo, "working", "the tool did not finish in time, so the assistant was told that it is still being worked on",
			"That is the safe answer. Make the tool faster, or let it do less before it answers.", sourceBudget)
	case "unknown":
		c.add(LevelInfo, "unknown", "it is not known whether the change was made, so the assistant was told not to try again",
			"Give the tool a Reconcile function that looks it up.", sourceReconcile)
	case "done before":
		c.add(LevelInfo, "done-before", "it was done earlier in the call and something else since, so it was not done again",
			"Give the tool a Reconcile function, or name it in Undoes of the tool that takes it back.", sourceReconcile)
	case "not started":
		c.add(LevelInfo, "not-started", "what came before it in the same request used up the time",
			"Make the tools faster, or let the assistant call fewer at once.", sourceBudget)
	case "unreadable":
		c.add(LevelWarning, "unreadable", "the body of the request was not JSON, so the tool did not run",
			"Correct the body in the tool's settings at Interactly; a variable in it may lack its quotes.", sourceArguments)
	case "refused":
		c.add(LevelInfo, "refused", "the tool did not run: its name or its arguments were wrong",
			"Compare the tool's definition at Interactly with what serverurl tools --json prints.", sourceArguments)
	}
}
