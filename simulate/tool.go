package simulate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// tool calls a tool as the assistant does, and checks what comes back.
func (p *player) tool(ctx context.Context, s Step) {
	p.pass(ctx, 500*time.Millisecond)
	args := fillAll(p.c, s.Args)
	said := make(chan string, 1)
	if s.Label != "" {
		p.replies[s.Label] = said
	}
	// What is random, and what belongs to the call, is taken here; from here
	// on the request may run beside the call.
	r := p.toolRequest(s, args)
	if s.Expect != nil {
		e := *s.Expect
		e.Contains, e.Lacks, e.Equals = p.c.fill(e.Contains), p.c.fill(e.Lacks), p.c.fill(e.Equals)
		s.Expect = &e
	}
	if s.Background {
		p.tell(Happening{Kind: "note", Text: s.Tool + " is called, and the caller goes on"})
		p.running.Go(func() {
			result, took := p.ask(ctx, s, r)
			p.tell(Happening{Kind: "tool", Tool: s.Tool, Args: string(encode(args)), Text: result, Took: took})
			said <- result
			p.checkReply(s, result, took, "")
		})
		return
	}
	result, took := p.ask(ctx, s, r)
	p.tell(Happening{Kind: "tool", Tool: s.Tool, Args: string(encode(args)), Text: result, Took: took})
	if took >= hangAfter {
		p.tell(Happening{Kind: "hang", Text: "the assistant has been silent for 5 s"})
		p.event(ctx, "hang", p.c.hang())
	}
	same := ""
	if s.Expect != nil && s.Expect.SameAs != "" {
		other := p.replies[s.Expect.SameAs]
		select {
		case same = <-other:
			other <- same // for the next that asks
		case <-ctx.Done():
		}
	}
	said <- result
	p.checkReply(s, result, took, same)
	for name, pattern := range s.Save {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(result); m != nil {
			p.c.vars[name] = m[1]
		} else {
			p.fail("%s: nothing to save as %s in the result", where(s), name)
		}
	}
}

// A toolRequest is a request of a tool, in either dialect.
type toolRequest struct {
	method, path string
	body         []byte
	id           string // in an envelope
	old          bool   // the older function-call
}

func (p *player) toolRequest(s Step, args object) toolRequest {
	if p.o.has(Vapi) {
		id := "call_" + letters(p.rand, 8)
		if p.rand.IntN(4) == 0 {
			e := object{"message": object{"type": "function-call", "functionCall": object{"name": s.Tool, "parameters": args}, "call": object{"id": p.c.id}}}
			return toolRequest{method: "POST", path: "/events", body: encode(e), old: true}
		}
		e := p.c.toolCalls(s.Tool, args, id)
		if p.rand.IntN(2) == 0 { // arguments as text, as the specification has it
			one := []object{{"id": id, "type": "function", "function": object{"name": s.Tool, "arguments": string(encode(args))}}}
			e["message"].(object)["toolCallList"], e["message"].(object)["toolCalls"] = one, one
		}
		return toolRequest{method: "POST", path: "/events", body: encode(e), id: id}
	}
	method := strings.ToUpper(s.Method)
	if method == "" {
		method = http.MethodPost
	}
	r := toolRequest{method: method, path: "/tools/" + url.PathEscape(s.Tool)}
	query := url.Values{}
	if p.o.CallInURL {
		query.Set("call", p.c.id)
	}
	if method == http.MethodGet || method == http.MethodDelete {
		for k, v := range args {
			query.Set(k, fmt.Sprint(v))
		}
	} else {
		r.body = encode(args)
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	return r
}

// ask sends the request, twice at the same time where the faults say so, and
// returns the result, "" when there was none that Interactly would take.
func (p *player) ask(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration) {
	if p.o.has(WrongSecret) {
		if status, _, _, err := p.send(ctx, r.method, r.path, r.body, "wrong-"+p.o.Secret); err != nil || status != http.StatusUnauthorized {
			p.fail("%s with a wrong secret: status %d, want 401", where(s), status)
		}
	}
	var again string
	twin := make(chan struct{})
	if p.o.has(Duplicate) {
		go func() {
			defer close(twin)
			again, _ = p.askOnce(ctx, s, r)
		}()
	} else {
		close(twin)
	}
	result, took = p.askOnce(ctx, s, r)
	<-twin
	if s.Once && p.o.has(Duplicate) && again != result {
		p.fail("%s: the same request twice got two results, %q and %q", where(s), result, again)
	}
	return result, took
}

func (p *player) askOnce(ctx context.Context, s Step, r toolRequest) (string, time.Duration) {
	status, reply, took, err := p.send(ctx, r.method, r.path, r.body, p.o.Secret)
	p.mu.Lock()
	p.result.Tools++
	p.result.ToolTimes = append(p.result.ToolTimes, took)
	p.mu.Unlock()
	result, wrong := readReply(status, reply, r)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.fail("%s: no reply: %v", where(s), err)
	case wrong != "":
		p.fail("%s: %s, so the assistant has nothing to say", where(s), wrong)
	case took >= hangAfter:
		p.fail("%s: the reply took %v; after 5 s the caller hears silence", where(s), took.Round(time.Millisecond))
	}
	return result, took
}

// readReply takes the result out of a reply as strictly as the strictest
// reader of it: 200, an object, one line of text.
func readReply(status int, reply []byte, r toolRequest) (result, wrong string) {
	if status != http.StatusOK {
		return "", fmt.Sprintf("status %d, want 200", status)
	}
	var v struct {
		Result  *string `json:"result"`
		Results []struct {
			ToolCallID string  `json:"toolCallId"`
			Result     *string `json:"result"`
			Error      *string `json:"error"`
		} `json:"results"`
	}
	if json.Unmarshal(reply, &v) != nil {
		return "", "the reply is no JSON object with a result of text"
	}
	said := v.Result
	if r.id != "" {
		if len(v.Results) != 1 || v.Results[0].ToolCallID != r.id {
			return "", "results does not hold one entry with the id of the call"
		}
		said = v.Results[0].Result
		if said == nil {
			said = v.Results[0].Error
		}
	}
	switch {
	case said == nil:
		return "", "the reply has no result"
	case strings.ContainsAny(*said, "\n\r\u2028\u2029"):
		return "", "the result has a line break"
	}
	return *said, ""
}

// checkReply compares a result with what the step expects. same is the result
// that it must be the same as.
func (p *player) checkReply(s Step, result string, took time.Duration, same string) {
	e := s.Expect
	if e == nil {
		return
	}
	switch {
	case e.Contains != "" && !strings.Contains(result, e.Contains):
		p.fail("%s: result %q does not contain %q", where(s), result, e.Contains)
	case e.Lacks != "" && strings.Contains(result, e.Lacks):
		p.fail("%s: result %q contains %q", where(s), result, e.Lacks)
	case e.Equals != "" && result != e.Equals:
		p.fail("%s: result %q, want %q", where(s), result, e.Equals)
	case e.Matches != "" && !regexp.MustCompile(e.Matches).MatchString(result):
		p.fail("%s: result %q does not match %q", where(s), result, e.Matches)
	case e.SameAs != "" && result != same:
		p.fail("%s: result %q, want the same as %s got: %q", where(s), result, e.SameAs, same)
	case e.Within > 0 && took > time.Duration(e.Within):
		p.fail("%s: the reply took %v, want %v at most", where(s), took.Round(time.Millisecond), time.Duration(e.Within))
	}
}

func where(s Step) string { return fmt.Sprintf("line %d: %s", s.line, s.Tool) }
