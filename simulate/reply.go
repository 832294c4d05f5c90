package simulate

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A toolReply has both spellings of a reply (docs/tools.md#reply).
type toolReply struct {
	Result  *string      `json:"result"`
	Results []toolResult `json:"results"`
}

type toolResult struct {
	ToolCallID string  `json:"toolCallId"`
	Name       string  `json:"name"`
	Result     *string `json:"result"`
	Error      *string `json:"error"`
}

// readReply returns the result in a reply, or what is wrong with it. It is as
// strict as the strictest client: 200, a JSON object, one line of text, in the
// order of the request.
func readReply(a response, r toolRequest) (first, wrong string) {
	if a.status != http.StatusOK {
		return "", fmt.Sprintf("status %d, want 200", a.status)
	}
	var v toolReply
	if json.Unmarshal(a.body, &v) != nil || len(a.body) == 0 {
		return "", "the reply is not a JSON object with a result of text"
	}
	if r.ids == nil {
		return oneLine(v.Result)
	}
	if len(v.Results) != len(r.ids) {
		return "", fmt.Sprintf("results has %d entries, want %d", len(v.Results), len(r.ids))
	}
	for i, one := range v.Results {
		result := one.Result
		if result == nil {
			result = one.Error
		}
		text, wrong := oneLine(result)
		switch {
		case one.ToolCallID != r.ids[i]:
			return "", fmt.Sprintf("results[%d] is for another toolCallId than the request's", i)
		case one.Name != r.name:
			return "", fmt.Sprintf("results[%d] is for another name than the request's", i)
		case wrong != "":
			return "", fmt.Sprintf("results[%d]: %s", i, wrong)
		case i == 0:
			first = text
		}
	}
	return first, ""
}

// oneLine checks that a result is one line of text.
func oneLine(result *string) (text, wrong string) {
	switch {
	case result == nil:
		return "", "the reply has no result"
	case *result == "":
		return "", "the result is empty"
	case strings.ContainsAny(*result, "\n\r\u2028\u2029"):
		return "", "the result has a line break"
	}
	return *result, ""
}

// WithinMargin is how much longer than [Reply].Within a reply may take: a reply at
// the end of its budget arrives a little later, and a caller does not notice.
const WithinMargin = 250 * time.Millisecond

// expected returns what a step expects, with variables expanded.
func (c *call) expected(e *Reply) Reply {
	if e == nil {
		return Reply{}
	}
	want := *e
	want.Contains, want.NotContains, want.Equals = c.expand(e.Contains), c.expand(e.NotContains), c.expand(e.Equals)
	return want
}

// checkReply compares a result with what the step expects. same is the result of
// the step that SameAs names.
func (p *player) checkReply(s Step, want Reply, result string, took time.Duration, same string) {
	got := quote(result)
	switch {
	case want.Contains != "" && !strings.Contains(result, want.Contains):
		p.failTool(s, "result %s does not contain %q", got, want.Contains)
	case want.NotContains != "" && strings.Contains(result, want.NotContains):
		p.failTool(s, "result %s contains %q", got, want.NotContains)
	case want.Equals != "" && result != want.Equals:
		p.failTool(s, "result %s, want %q", got, want.Equals)
	case want.Matches != "" && !regexp.MustCompile(want.Matches).MatchString(result):
		p.failTool(s, "result %s does not match %q", got, want.Matches)
	case want.SameAs != "" && result != same:
		p.failTool(s, "result %s, want the result of %s: %s", got, want.SameAs, quote(same))
	}
	if within := time.Duration(want.Within); within > 0 && took > within+WithinMargin {
		p.failTool(s, "the reply took %v, want at most %v and a margin of %v", took.Round(time.Millisecond), within, WithinMargin)
	}
}

// capture stores parts of a result in variables, for later steps.
func (p *player) capture(s Step, result string) {
	for name, pattern := range s.Capture {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(result); m != nil {
			p.c.vars[name] = m[1]
		} else {
			p.failTool(s, "result %s has nothing to capture as %s", quote(result), name)
		}
	}
}

// quote returns a text for a failure, truncated: a reply may be a megabyte.
func quote(text string) string {
	const maxBytes = 200
	if len(text) <= maxBytes {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q and %d bytes more", strings.ToValidUTF8(text[:maxBytes], ""), len(text)-maxBytes)
}
