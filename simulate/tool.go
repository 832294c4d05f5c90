package simulate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tool calls a tool as the assistant does, and checks what comes back.
func (p *player) tool(ctx context.Context, s Step) {
	// What is random and what belongs to the call is taken here: from here on
	// the request may run beside the call.
	args := p.c.fillAll(s.Args)
	r := p.toolRequest(s, args)
	want := p.c.expected(s.Expect)
	reply := make(chan string, 1)
	if s.Label != "" {
		p.replies[s.Label] = reply
	}
	called := Happening{Line: s.line, Kind: "tool", Tool: s.Tool, Args: string(encode(args))}
	if s.Background {
		p.tell(Happening{Line: s.line, Kind: "note", Text: s.Tool + " is called, and the caller goes on"})
		p.running.Go(func() {
			called.Text, called.Took = p.ask(ctx, s, r)
			p.tell(called)
			p.checkReply(s, want, called.Text, called.Took, "")
			reply <- called.Text
		})
		return
	}
	called.Text, called.Took = p.await(ctx, s, r)
	p.tell(called)
	reply <- called.Text
	same := ""
	if want.SameAs != "" {
		other := p.replies[want.SameAs]
		select {
		case same = <-other:
			other <- same // for the next that asks
		case <-ctx.Done():
		}
	}
	p.checkReply(s, want, called.Text, called.Took, same)
	p.save(s, called.Text)
}

// await asks and lets the call's time go by. Meanwhile the caller hears
// nothing, and is told of when it is too long.
func (p *player) await(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration) {
	replied := make(chan struct{})
	go func() {
		defer close(replied)
		result, took = p.ask(ctx, s, r)
	}()
	silence := time.NewTimer(hangAfter)
	defer silence.Stop()
	select {
	case <-replied:
		p.c.now = p.c.now.Add(took)
	case <-silence.C:
		p.c.now = p.c.now.Add(hangAfter)
		p.hang(ctx, s.line)
		<-replied
		p.c.now = p.c.now.Add(max(0, took-hangAfter))
	}
	return result, took
}

// A toolRequest is a request of a tool, in either dialect.
type toolRequest struct {
	method, path string
	body         []byte
	name         string
	ids          []string // in an envelope, in order
}

func (p *player) toolRequest(s Step, args object) toolRequest {
	if p.o.has(Vapi) {
		return p.envelope(s, args)
	}
	r := toolRequest{name: s.Tool, method: cmp.Or(strings.ToUpper(s.Method), http.MethodPost), path: p.o.ToolPath + url.PathEscape(s.Tool)}
	query := url.Values{}
	if p.o.CallInURL {
		query.Set("call", p.c.id)
	}
	if r.method == http.MethodGet || r.method == http.MethodDelete {
		for k, v := range args {
			text, ok := v.(string)
			if !ok {
				text = string(encode(v))
			}
			query.Set(k, text)
		}
	} else {
		r.body = encode(args)
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	return r
}

// envelope is the request in the other dialect, in one of its forms: arguments
// as an object, or as text as the specification has it, or the older
// function-call. A tool that changes nothing may be asked twice in one.
func (p *player) envelope(s Step, args object) toolRequest {
	r := toolRequest{name: s.Tool, method: http.MethodPost, path: p.o.EventPath}
	if p.rand.IntN(4) == 0 {
		r.body = encode(p.c.functionCall(s.Tool, args))
		return r
	}
	for range 1 + p.rand.IntN(2) {
		r.ids = append(r.ids, "call_"+letters(p.rand, 8))
		if s.Once {
			break
		}
	}
	r.body = encode(p.c.toolCalls(s.Tool, args, p.rand.IntN(2) == 0, r.ids...))
	return r
}

// ask sends the request, twice at the same time where the faults say so, and
// returns the result, "" when there was none that Interactly would take.
func (p *player) ask(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration) {
	if p.o.has(WrongSecret) {
		p.refused(ctx, s.line, s.Tool, r.method, r.path, r.body)
	}
	if !p.o.has(Duplicate) {
		result, took, _ = p.askOnce(ctx, s, r)
		return result, took
	}
	var again []byte
	twin := make(chan struct{})
	go func() {
		defer close(twin)
		_, _, again = p.askOnce(ctx, s, r)
	}()
	result, took, body := p.askOnce(ctx, s, r)
	<-twin
	if s.Once && !bytes.Equal(again, body) && ctx.Err() == nil {
		p.fail("%s: the same request twice got two replies, %s and %s", where(s), quote(string(body)), quote(string(again)))
	}
	return result, took
}

func (p *player) askOnce(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration, body []byte) {
	a := p.send(ctx, r.method, r.path, r.body, p.o.Secret)
	p.note(a, s.line, s.Tool, true)
	switch {
	case ctx.Err() != nil:
		return "", a.took, nil
	case a.err != nil:
		p.fail("%s: no reply: %v", where(s), a.err)
		return "", a.took, nil
	}
	result, wrong := readReply(a, r)
	if wrong != "" {
		p.fail("%s: %s, so the assistant has nothing to say", where(s), wrong)
	}
	if a.took >= hangAfter {
		p.fail("%s: the reply took %v; after 5 s the caller hears silence", where(s), a.took.Round(time.Millisecond))
	}
	return result, a.took, a.body
}

func where(s Step) string { return fmt.Sprintf("line %d: %s", s.line, s.Tool) }
