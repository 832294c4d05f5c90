package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/simulate"
)

// Canaries that must be in no record and no log.
const (
	canarySecret = "CANARY-SECRET-b1946ac9"
	canaryURL    = "CANARY-CONTROL-5891b5b5"
	canaryText   = "CANARY-TEXT-0a4d55a8" // may be stored, never logged
)

// Placeholders in the body of a template.
const callPlaceholder, markPlaceholder = "CALL-IS-HERE", "MARK-IS-HERE"

// A template is an event of a call, complete except for the call's id and the mark.
type template struct {
	name, status string
	messages     int
	body         []byte
}

// callEvents returns the events of a call, in order.
func callEvents(size int) ([]template, error) {
	var ts []template
	messages := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"messageId":"m-%d","role":"%s","text":"%s %d","timestamp":%d}`, i, []string{"assistant", "user"}[i%2], canaryText, i, 1784044931000+1000*i)
		}
		return "[" + strings.TrimPrefix(b.String(), ",") + "]"
	}
	for _, s := range []struct {
		kind, status string
		messages     int
	}{
		{"status-update", "initiated", 0}, {"status-update", "queued", 0}, {"status-update", "ongoing", 0},
		{"conversation-update", "ongoing", 1}, {"conversation-update", "ongoing", 2}, {"conversation-update", "ongoing", 4},
		{"hang", "ongoing", 4}, {"conversation-update", "ongoing", 5}, {"error", "ongoing", 5},
		{"conversation-update", "ongoing", 7}, {"status-update", "finished", 7}, {"end-of-call-report", "finished", 8},
	} {
		set := map[string]string{
			"message.call.id": callPlaceholder, "message.call.status": s.status, "message.chaos": markPlaceholder,
			"message.call.monitor":    `{"controlUrl":"https://example.com/` + canaryURL + `"}`,
			"message.assistantServer": `{"url":"https://example.com","secret":"` + canarySecret + `","headers":{"x-key":"` + canarySecret + `"}}`,
		}
		if s.messages > 0 {
			set["message.messages"] = messages(s.messages)
		}
		if size > 0 {
			set["message.call.metadata"] = `{"padding":"` + strings.Repeat("tooth ", size/6) + `"}`
		}
		body, err := simulate.SampleEvent(s.kind, set)
		if err != nil {
			return nil, err
		}
		e := template{s.kind, s.status, s.messages, body}
		if s.kind == "hang" || s.kind == "error" {
			e.messages = 0 // the conversation counts, and these events may not carry it
		}
		ts = append(ts, e)
	}
	return ts, nil
}

// of returns the event of a call, with a mark that identifies it.
func (t template) of(call, mark string) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(t.body, []byte(callPlaceholder), []byte(call)), []byte(markPlaceholder), []byte(mark))
}

// A load sends events at a fixed rate, whatever the replies are, to the processes
// that are listening.
type load struct {
	urls           func() []string
	client         *http.Client
	events         []template
	prefix         string
	rate           float64 // events per second
	duplicateShare float64 // of events that are sent twice
	calls          int     // concurrent
	h              *history
	slots          chan struct{} // bounds requests in flight
	missed         int           // not sent, because slots was full
}

func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 2048}}
}

func (l *load) run(ctx context.Context, r *rand.Rand) {
	type liveCall struct {
		id   string
		next int
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	calls := make([]*liveCall, l.calls)
	n, marks := 0, 0
	begin := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := begin.Add(time.Duration(float64(i) / l.rate * float64(time.Second)))
		if d := time.Until(due); d > 0 {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return
			}
		}
		at := r.IntN(len(calls))
		t := calls[at]
		if t == nil || t.next == len(l.events) {
			n++
			t = &liveCall{id: fmt.Sprintf("%s-%d", l.prefix, n)}
			calls[at] = t
		}
		k := l.events[t.next]
		t.next++
		marks++
		e := acked{mark: fmt.Sprintf("%s.%d", l.prefix, marks), kind: k.name, status: k.status, messages: k.messages}
		times := 1
		if r.Float64() < l.duplicateShare {
			times = 2
		}
		urls := l.urls()
		if len(urls) == 0 {
			continue
		}
		for range times {
			url := urls[r.IntN(len(urls))]
			select {
			case l.slots <- struct{}{}:
			default:
				l.missed++
				continue
			}
			wg.Go(func() {
				defer func() { <-l.slots }()
				status, _, err := post(context.WithoutCancel(ctx), l.client, url+"/events", k.of(t.id, e.mark))
				l.h.add(t.id, e, status, err, time.Since(due))
			})
		}
	}
}

// post sends a body as the authenticated sender.
func post(ctx context.Context, client *http.Client, url string, body []byte) (status int, reply []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Interactly-Secret", secret)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(resp.Body)
	return resp.StatusCode, reply, err
}

// ask calls a tool and reads the reply as the assistant does.
func ask(ctx context.Context, client *http.Client, url, tool, call string, args any) (a toolReply) {
	body, err := json.Marshal(args)
	if err != nil {
		return toolReply{err: err}
	}
	begin := time.Now()
	status, reply, err := post(ctx, client, url+"/tools/"+tool+"?call="+call, body)
	a = toolReply{status: status, err: err, latency: time.Since(begin)}
	var decoded struct {
		Result *string `json:"result"`
	}
	if err == nil && json.Unmarshal(reply, &decoded) == nil && decoded.Result != nil {
		a.result = *decoded.Result
		a.valid = status == 200 && a.result != "" && !strings.ContainsAny(a.result, "\r\n\u2028\u2029")
	}
	return a
}

func statusText(status int) string { return strconv.Itoa(status) }
