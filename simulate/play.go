package simulate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Interactly's limits.
const (
	eventTimeout = 20 * time.Second // an answer after it counts for nothing
	hangAfter    = 5 * time.Second  // the caller hears silence
	maxReply     = 1 << 20
)

// A player plays one call.
type player struct {
	o    Options
	s    Scenario
	c    *call
	rand *rand.Rand

	mu      sync.Mutex // of result, and of OnStep
	result  Result
	held    []heldEvent
	replies map[string]chan string // by label, of tools in the background too
	running sync.WaitGroup
	sent    int // events of the call so far
}

// A heldEvent waits until others have overtaken it.
type heldEvent struct {
	kind  string
	body  []byte
	after int // events to let pass; negative: until the end
}

func play(ctx context.Context, o Options, s Scenario, seed uint64) Result {
	r := rand.New(rand.NewPCG(seed, 7))
	p := &player{o: o, s: s, c: newCall(s, o, seed, r, time.Now()), rand: r, replies: map[string]chan string{}}
	p.result = Result{Scenario: s.Name, Call: p.c.id, Seed: seed, Failures: []string{}, Unchecked: []string{}}
	p.steps(ctx, s.Steps)
	p.running.Wait()
	p.flush(ctx)
	p.running.Wait()
	if ctx.Err() == nil {
		p.checkState(ctx)
	}
	return p.result
}

func (p *player) steps(ctx context.Context, steps []Step) {
	for _, s := range steps {
		if ctx.Err() != nil {
			return
		}
		p.step(ctx, s)
	}
}

func (p *player) step(ctx context.Context, s Step) {
	c := p.c
	switch {
	case s.Wait > 0:
		p.pass(ctx, time.Duration(s.Wait))
	case s.Repeat > 0:
		for n := range s.Repeat {
			c.vars["n"] = fmt.Sprint(n + 1)
			p.steps(ctx, s.Steps)
		}
	case s.Status != "":
		p.pass(ctx, 200*time.Millisecond)
		p.tell(Happening{Kind: "status", Text: s.Status})
		p.event(ctx, "status-update", c.statusUpdate(s.Status, s.By))
	case s.Assistant != "":
		text := c.fill(s.Assistant)
		p.pass(ctx, time.Second)
		p.tell(Happening{Kind: "assistant", Text: text})
		p.event(ctx, "conversation-update", c.say(text))
		p.pass(ctx, time.Duration(len(text))*50*time.Millisecond) // it is being said
	case s.Caller != "":
		text, skipped := c.fill(s.Caller), c.fill(s.Skipped)
		p.pass(ctx, time.Second+time.Duration(len(text))*60*time.Millisecond)
		if skipped != "" {
			p.tell(Happening{Kind: "skipped", Text: skipped})
		}
		p.tell(Happening{Kind: "caller", Text: text})
		p.event(ctx, "conversation-update", c.hear(text, skipped))
	case s.Hang:
		p.pass(ctx, hangAfter)
		p.tell(Happening{Kind: "hang", Text: "the assistant has been silent for 5 s"})
		p.event(ctx, "hang", c.hang())
	case s.Error != nil:
		p.tell(Happening{Kind: "error", Text: s.Error.Type + ": " + s.Error.Code})
		p.event(ctx, "error", c.failure(*s.Error))
	case s.Report != nil:
		p.pass(ctx, 2*time.Second)
		p.tell(Happening{Kind: "report", Text: c.fill(s.Report.Summary)})
		r := *s.Report
		r.Data = fillAll(c, s.Report.Data)
		p.event(ctx, "end-of-call-report", c.report(r))
	case s.Tool != "":
		p.tool(ctx, s)
	}
}

// pass lets time go by: the call's own always, real time unless it is fast.
func (p *player) pass(ctx context.Context, d time.Duration) {
	p.c.now = p.c.now.Add(d)
	if p.o.Fast {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(float64(d) / p.o.Speed)):
	}
}

// fill puts the call's variables into a text.
func (c *call) fill(text string) string {
	for strings.Contains(text, "{{") {
		before, rest, _ := strings.Cut(text, "{{")
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			break
		}
		text = before + c.vars[strings.TrimSpace(name)] + after
	}
	return text
}

func fillAll(c *call, in map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range in {
		switch v := v.(type) {
		case string:
			out[k] = c.fill(v)
		case map[string]any:
			out[k] = fillAll(c, v)
		default:
			out[k] = v
		}
	}
	return out
}

// event sends an event, or does to it what the faults say.
func (p *player) event(ctx context.Context, kind string, e object) {
	if p.o.has(Legacy) {
		e = legacy(e)
	}
	p.sent++
	h := heldEvent{kind: kind, body: encode(e)}
	last := kind == "end-of-call-report" || (kind == "status-update" && (p.c.status == "finished" || p.c.status == "failed"))
	switch {
	case p.o.has(Drop) && !last && p.rand.IntN(3) == 0:
		p.tell(Happening{Kind: "note", Text: kind + " is lost on the way"})
	case p.o.has(Late) && p.rand.IntN(5) == 0:
		h.after = -1
		p.held = append(p.held, h)
	case p.o.has(Reorder) && p.rand.IntN(2) == 0:
		h.after = 1 + p.rand.IntN(3)
		p.held = append(p.held, h)
	default:
		p.post(ctx, h)
		p.release(ctx)
	}
}

// release sends held events whose time has come.
func (p *player) release(ctx context.Context) {
	var still []heldEvent
	for _, h := range p.held {
		if h.after--; h.after == 0 {
			p.post(ctx, h)
			continue
		}
		still = append(still, h)
	}
	p.held = still
}

// flush sends what is still held, in no order.
func (p *player) flush(ctx context.Context) {
	p.rand.Shuffle(len(p.held), func(i, j int) { p.held[i], p.held[j] = p.held[j], p.held[i] })
	for _, h := range p.held {
		p.post(ctx, h)
	}
	p.held = nil
}

// post sends an event, once unless a fault says twice.
func (p *player) post(ctx context.Context, h heldEvent) {
	if p.o.has(WrongSecret) {
		if status, _, _, err := p.send(ctx, "POST", "/events", h.body, "wrong-"+p.o.Secret); err != nil || status != http.StatusUnauthorized {
			p.fail("%s with a wrong secret: status %d, want 401", h.kind, status)
		}
	}
	once := func() {
		status, _, took, err := p.send(ctx, "POST", "/events", h.body, p.o.Secret)
		p.mu.Lock()
		p.result.Events++
		p.result.EventTimes = append(p.result.EventTimes, took)
		p.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			p.fail("%s: no answer: %v", h.kind, err)
		case status < 200 || status > 299:
			p.fail("%s: status %d, want 2xx: Interactly sends it once, so it is lost", h.kind, status)
		}
	}
	if p.o.has(Duplicate) {
		p.running.Go(once)
	}
	once()
}

// send makes one request, with the limits that Interactly has.
func (p *player) send(ctx context.Context, method, path string, body []byte, secret string) (status int, reply []byte, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.o.URL+path, r)
	if err != nil {
		return 0, nil, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		req.Header.Set("X-Interactly-Secret", secret)
	}
	start := time.Now()
	resp, err := p.o.Client.Do(req)
	if err != nil {
		return 0, nil, time.Since(start), plain(err)
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, maxReply))
	return resp.StatusCode, reply, time.Since(start), plain(err)
}

// plain leaves the URL out of an error: it holds a call's id.
func plain(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}

func (p *player) fail(format string, args ...any) {
	p.mu.Lock()
	p.result.Failures = append(p.result.Failures, fmt.Sprintf(format, args...))
	p.mu.Unlock()
}

func (p *player) tell(h Happening) {
	if p.o.OnStep == nil {
		return
	}
	h.Call, h.Scenario = p.c.id, p.s.Name
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.OnStep(h)
}

// checkState waits until the backend knows of the call what it should.
func (p *player) checkState(ctx context.Context) {
	want := p.s.Expect
	if p.o.State == nil {
		p.result.Unchecked = append(p.result.Unchecked, "the final state, because nothing tells it")
		return
	}
	messages := len(p.c.messages)
	if want.Messages != nil {
		messages = *want.Messages
	}
	deadline := time.Now().Add(p.o.Settle)
	for {
		got, known, err := p.o.State(ctx, p.c.id)
		wrong := ""
		switch {
		case err != nil:
			wrong = "state cannot be read: " + err.Error()
		case !known:
			wrong = "the backend does not know the call"
		case want.Status != "" && got.Status != want.Status:
			wrong = fmt.Sprintf("status is %q, want %q", got.Status, want.Status)
		case got.Messages != messages && !p.o.has(Drop):
			wrong = fmt.Sprintf("%d messages, want %d", got.Messages, messages)
		case want.Ended != nil && got.Ended != *want.Ended:
			wrong = fmt.Sprintf("ended is %v, want %v", got.Ended, *want.Ended)
		case want.Report != nil && got.Report != *want.Report:
			wrong = fmt.Sprintf("report is %v, want %v", got.Report, *want.Report)
		}
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			p.fail("final state: %s", wrong)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
