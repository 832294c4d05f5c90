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

// Words that must be found nowhere: in no record, in no line of a log.
const (
	canarySecret = "CANARY-SECRET-b1946ac9"
	canaryURL    = "CANARY-CONTROL-5891b5b5"
	canaryText   = "CANARY-TEXT-0a4d55a8" // may be stored, never logged
)

const callHere, markHere = "CALL-IS-HERE", "MARK-IS-HERE"

// A kind is an event of a call, ready but for the call's id and the mark.
type kind struct {
	name, status string
	messages     int
	body         []byte
}

// course is the way of a call: what simulate sends for it, in order.
func course(size int) ([]kind, error) {
	var ks []kind
	say := func(n int) string {
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
			"message.call.id": callHere, "message.call.status": s.status, "message.chaos": markHere,
			"message.call.monitor":    `{"controlUrl":"https://example.com/` + canaryURL + `"}`,
			"message.assistantServer": `{"url":"https://example.com","secret":"` + canarySecret + `","headers":{"x-key":"` + canarySecret + `"}}`,
		}
		if s.messages > 0 {
			set["message.messages"] = say(s.messages)
		}
		if size > 0 {
			set["message.call.metadata"] = `{"padding":"` + strings.Repeat("tooth ", size/6) + `"}`
		}
		body, err := simulate.SampleEvent(s.kind, set)
		if err != nil {
			return nil, err
		}
		k := kind{s.kind, s.status, s.messages, body}
		if s.kind == "hang" || s.kind == "error" {
			k.messages = 0 // the newest conversation counts, and these may not carry it
		}
		ks = append(ks, k)
	}
	return ks, nil
}

func (k kind) of(call, mark string) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(k.body, []byte(callHere), []byte(call)), []byte(markHere), []byte(mark))
}

// A load sends events at a rate, whatever comes back, to whoever listens.
type load struct {
	urls   func() []string
	client *http.Client
	ways   []kind
	prefix string
	rate   float64 // events per second
	twice  float64 // share of events that are sent a second time
	calls  int     // at the same time
	h      *history
	slots  chan struct{} // bounds what is in flight
	missed int           // not sent because too much was in flight
}

func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 2048}}
}

func (l *load) run(ctx context.Context, r *rand.Rand) {
	type talk struct {
		id   string
		next int
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	talks := make([]*talk, l.calls)
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
		at := r.IntN(len(talks))
		t := talks[at]
		if t == nil || t.next == len(l.ways) {
			n++
			t = &talk{id: fmt.Sprintf("%s-%d", l.prefix, n)}
			talks[at] = t
		}
		k := l.ways[t.next]
		t.next++
		marks++
		s := sent{mark: fmt.Sprintf("%s.%d", l.prefix, marks), kind: k.name, status: k.status, messages: k.messages}
		times := 1
		if r.Float64() < l.twice {
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
				status, _, err := post(context.WithoutCancel(ctx), l.client, url+"/events", k.of(t.id, s.mark))
				l.h.add(t.id, s, status, err, time.Since(due))
			})
		}
	}
}

// post sends a body as the true sender.
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

// ask calls a tool and reads the reply as the assistant would.
func ask(ctx context.Context, client *http.Client, url, tool, call string, args any) (a replied) {
	body, err := json.Marshal(args)
	if err != nil {
		return replied{err: err}
	}
	begin := time.Now()
	status, reply, err := post(ctx, client, url+"/tools/"+tool+"?call="+call, body)
	a = replied{status: status, err: err, took: time.Since(begin)}
	var said struct {
		Result *string `json:"result"`
	}
	if err == nil && json.Unmarshal(reply, &said) == nil && said.Result != nil {
		a.result = *said.Result
		a.valid = status == 200 && a.result != "" && !strings.ContainsAny(a.result, "\r\n\u2028\u2029")
	}
	return a
}

func statusText(status int) string { return strconv.Itoa(status) }
