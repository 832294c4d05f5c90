package simulate

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// A toolReply is both spellings of a reply (docs/tools.md#reply).
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

// readReply takes the result out of a reply as strictly as the strictest
// reader of it: 200, a JSON object, one line of text, in request order.
func readReply(a answer, r toolRequest) (result, wrong string) {
	if a.status != http.StatusOK {
		return "", fmt.Sprintf("status %d, want 200", a.status)
	}
	var v toolReply
	if json.Unmarshal(a.body, &v) != nil || len(a.body) == 0 {
		return "", "the reply is no JSON object with a result of text"
	}
	if r.ids == nil {
		return oneLine(v.Result)
	}
	if len(v.Results) != len(r.ids) {
		return "", fmt.Sprintf("results has %d entries, want %d", len(v.Results), len(r.ids))
	}
	for i, one := range v.Results {
		said := one.Result
		if said == nil {
			said = one.Error
		}
		text, wrong := oneLine(said)
		switch {
		case one.ToolCallID != r.ids[i]:
			return "", fmt.Sprintf("results[%d] is for another toolCallId than the request's", i)
		case one.Name != r.name:
			return "", fmt.Sprintf("results[%d] is for another name than the request's", i)
		case wrong != "":
			return "", fmt.Sprintf("results[%d]: %s", i, wrong)
		case i == 0:
			result = text
		}
	}
	return result, ""
}

func oneLine(said *string) (text, wrong string) {
	switch {
	case said == nil:
		return "", "the reply has no result"
	case *said == "":
		return "", "the result is empty"
	case strings.ContainsAny(*said, "\n\r\u2028\u2029"):
		return "", "the result has a line break"
	}
	return *said, ""
}

// expected is what a step expects, with the call's variables in it.
func (c *call) expected(e *Reply) Reply {
	if e == nil {
		return Reply{}
	}
	want := *e
	want.Contains, want.Lacks, want.Equals = c.fill(e.Contains), c.fill(e.Lacks), c.fill(e.Equals)
	return want
}

// checkReply compares a result with what the step expects. same is the result
// that it must be the same as.
func (p *player) checkReply(s Step, want Reply, result string, took time.Duration, same string) {
	got := quote(result)
	switch {
	case want.Contains != "" && !strings.Contains(result, want.Contains):
		p.fail("%s: result %s does not contain %q", where(s), got, want.Contains)
	case want.Lacks != "" && strings.Contains(result, want.Lacks):
		p.fail("%s: result %s contains %q", where(s), got, want.Lacks)
	case want.Equals != "" && result != want.Equals:
		p.fail("%s: result %s, want %q", where(s), got, want.Equals)
	case want.Matches != "" && !regexp.MustCompile(want.Matches).MatchString(result):
		p.fail("%s: result %s does not match %q", where(s), got, want.Matches)
	case want.SameAs != "" && result != same:
		p.fail("%s: result %s, want the same as %s got: %s", where(s), got, want.SameAs, quote(same))
	}
	if want.Within > 0 && took > time.Duration(want.Within) {
		p.fail("%s: the reply took %v, want %v at most", where(s), took.Round(time.Millisecond), time.Duration(want.Within))
	}
}

// save keeps parts of a result for later steps.
func (p *player) save(s Step, result string) {
	for name, pattern := range s.Save {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(result); m != nil {
			p.c.vars[name] = m[1]
		} else {
			p.fail("%s: result %s has nothing to save as %s", where(s), quote(result), name)
		}
	}
}

// quote is a text in a failure, cut: a reply may be a megabyte.
func quote(text string) string {
	const most = 200
	if len(text) <= most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q and %d bytes more", strings.ToValidUTF8(text[:most], ""), len(text)-most)
}
