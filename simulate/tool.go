package simulate

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tool calls a tool as the assistant does, and checks the reply.
func (p *player) tool(ctx context.Context, s Step) {
	// Everything random or of the call is read here, because the request may run
	// in the background from here on.
	args := p.c.expandAll(s.Args)
	r := p.toolRequest(s, args)
	want := p.c.expected(s.Expect)
	reply := make(chan string, 1)
	if s.Label != "" {
		p.replies[s.Label] = reply
	}
	called := Progress{Line: s.line, Kind: "tool", Tool: s.Tool, Args: string(encode(args))}
	if s.Background {
		p.notify(Progress{Line: s.line, Kind: "note", Text: s.Tool + " is called in the background"})
		p.running.Go(func() {
			called.Text, called.Latency = p.call(ctx, s, r)
			p.notify(called)
			p.checkReply(s, want, called.Text, called.Latency, "")
			reply <- called.Text
		})
		return
	}
	called.Text, called.Latency = p.callAndWait(ctx, s, r)
	p.notify(called)
	reply <- called.Text
	same := ""
	if want.SameAs != "" {
		other := p.replies[want.SameAs]
		select {
		case same = <-other:
			other <- same // for later steps
		case <-ctx.Done():
		}
	}
	p.checkReply(s, want, called.Text, called.Latency, same)
	p.capture(s, called.Text)
}

// callAndWait calls the tool and advances the clock of the call. The caller hears
// silence until the reply arrives, which is reported as a hang after 5 s.
func (p *player) callAndWait(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration) {
	replied := make(chan struct{})
	go func() {
		defer close(replied)
		result, took = p.call(ctx, s, r)
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

// A toolRequest is a request to a tool, in either dialect.
type toolRequest struct {
	method, path string
	header       map[string]string
	body         []byte
	name         string
	ids          []string // in a Vapi envelope, in order
}

func (p *player) toolRequest(s Step, args object) toolRequest {
	r := toolRequest{name: s.Tool, method: cmp.Or(strings.ToUpper(s.Method), http.MethodPost), path: "/tools/" + url.PathEscape(s.Tool)}
	query := url.Values{}
	switch {
	case p.o.has(FaultVapi):
		r = p.envelope(s, args)
	case r.method == http.MethodGet || r.method == http.MethodDelete:
		query = queryOf(args)
	default:
		r.body = encode(args)
	}
	if p.o.CallIDInURL && !p.o.has(FaultVapi) { // an envelope has it
		query.Set("call", p.c.id)
	}
	for name, value := range s.Query {
		query.Set(name, p.c.expand(value))
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	r.header = map[string]string{}
	for name, value := range s.Headers {
		r.header[name] = p.c.expand(value)
	}
	return r
}

// queryOf returns arguments as a query.
func queryOf(args object) url.Values {
	query := url.Values{}
	for name, v := range args {
		text, ok := v.(string)
		if !ok {
			text = string(encode(v))
		}
		query.Set(name, text)
	}
	return query
}

// envelope returns the request in Vapi's dialect, in one of its forms: arguments
// as an object, or as text according to the specification, or the older
// function-call. A tool that is not idempotent may be called twice in one.
func (p *player) envelope(s Step, args object) toolRequest {
	r := toolRequest{name: s.Tool, method: http.MethodPost, path: "/events"}
	if p.rand.IntN(4) == 0 {
		r.body = encode(p.c.functionCall(s.Tool, args))
		return r
	}
	for range 1 + p.rand.IntN(2) {
		r.ids = append(r.ids, "call_"+randomText(p.rand, 8))
		if s.Idempotent {
			break
		}
	}
	r.body = encode(p.c.toolCalls(s.Tool, args, p.rand.IntN(2) == 0, r.ids...))
	return r
}

// call sends the request, twice concurrently with FaultDuplicate, and returns the
// result, or "" if Interactly would not accept the reply.
func (p *player) call(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration) {
	if p.o.has(FaultWrongSecret) {
		p.sendForged(ctx, s.line, s.Tool, r.method, r.path, r.header, r.body)
	}
	if !p.o.has(FaultDuplicate) {
		result, took, _ = p.callOnce(ctx, s, r)
		return result, took
	}
	var again []byte
	duplicate := make(chan struct{})
	go func() {
		defer close(duplicate)
		_, _, again = p.callOnce(ctx, s, r)
	}()
	result, took, body := p.callOnce(ctx, s, r)
	<-duplicate
	if s.Idempotent && !bytes.Equal(again, body) && ctx.Err() == nil {
		p.failTool(s, "the same request twice got two replies, %s and %s", quote(string(body)), quote(string(again)))
	}
	return result, took
}

func (p *player) callOnce(ctx context.Context, s Step, r toolRequest) (result string, took time.Duration, body []byte) {
	a := p.send(ctx, r.method, r.path, r.header, r.body, p.o.Secret)
	p.record(a, s.line, s.Tool, true)
	switch {
	case ctx.Err() != nil:
		return "", a.took, nil
	case a.err != nil:
		p.failTool(s, "no reply: %v", a.err)
		return "", a.took, nil
	}
	result, wrong := readReply(a, r)
	if wrong != "" {
		p.failTool(s, "%s, so the assistant has nothing to say", wrong)
	}
	if a.took >= hangAfter {
		p.failTool(s, "the reply took %v; after 5 s the caller hears silence", a.took.Round(time.Millisecond))
	}
	return result, a.took, a.body
}
