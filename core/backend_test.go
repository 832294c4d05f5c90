package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
)

const testSecret = "test-secret-0123456789-abcdef"

// A backend is a processor on a store and an inbox in memory.
type backend struct {
	*core.Processor
	t     testing.TB
	store *coretest.MemoryStore
	inbox *memoryInbox
	logs  *lockedBuffer
}

// A memoryInbox holds accepted events until a test delivers them.
type memoryInbox struct {
	mu   sync.Mutex
	kept []core.Envelope
	fail error
}

func (i *memoryInbox) Put(_ context.Context, es ...core.Envelope) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fail != nil {
		return i.fail
	}
	for _, e := range es {
		e.Body = bytes.Clone(e.Body)
		i.kept = append(i.kept, e)
	}
	return nil
}

func (i *memoryInbox) take() []core.Envelope {
	i.mu.Lock()
	defer i.mu.Unlock()
	es := i.kept
	i.kept = nil
	return es
}

// newBackend binds what setup adds to a processor. change may change the
// platform before.
func newBackend(t testing.TB, setup func(p *core.Processor), change ...func(*core.Platform)) *backend {
	t.Helper()
	b := &backend{Processor: core.New(), t: t, store: coretest.NewMemoryStore(), inbox: &memoryInbox{}, logs: &lockedBuffer{}}
	if setup != nil {
		setup(b.Processor)
	}
	b.bind(change...)
	t.Cleanup(func() {
		for _, key := range b.store.Written() {
			if _, ok := callstate.ClassOf(key); !ok {
				t.Errorf("the record %q is in no directory of callstate.Directories", key)
			}
		}
	})
	return b
}

func (b *backend) bind(change ...func(*core.Platform)) {
	b.t.Helper()
	on := core.Platform{
		Name: "test", Store: b.store, Inbox: b.inbox,
		Verifier:        auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}},
		BackgroundGrace: 20 * time.Second,
		Logger:          slog.New(slog.NewTextHandler(b.logs, nil)),
	}
	for _, c := range change {
		c(&on)
	}
	if err := b.Bind(on); err != nil {
		b.t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// request returns a request of the authenticated sender.
func request(method, target, body string) core.Request {
	path, query, _ := strings.Cut(target, "?")
	return core.Request{
		Method: method, Path: path, Query: query, Body: []byte(body),
		Header: auth.Header{"x-interactly-secret": {testSecret}, "content-type": {"application/json"}},
	}
}

// call posts arguments to a tool and returns the result.
func (b *backend) call(target, body string) string {
	b.t.Helper()
	return said(b.t, b.Handle(b.t.Context(), request("POST", target, body)))
}

func said(t testing.TB, r core.Response) string {
	t.Helper()
	var reply struct{ Result *string }
	if r.Status != 200 || json.Unmarshal(r.Body, &reply) != nil || reply.Result == nil {
		t.Fatalf("reply %d %s: not a tool's reply", r.Status, r.Body)
	}
	if strings.ContainsAny(*reply.Result, "\n\r\u2028") {
		t.Fatalf("reply %q is not one line", *reply.Result)
	}
	return *reply.Result
}

// event posts an event and fails the test if it is not accepted.
func (b *backend) event(body string) {
	b.t.Helper()
	if r := b.Handle(b.t.Context(), request("POST", "/events", body)); r.Status != 200 {
		b.t.Fatalf("event: status %d %s", r.Status, r.Body)
	}
}

// deliver delivers everything in the inbox.
func (b *backend) deliver() {
	b.t.Helper()
	for _, e := range b.inbox.take() {
		if err := b.Deliver(b.t.Context(), e); err != nil {
			b.t.Fatalf("deliver %s: %v", e.Type, err)
		}
	}
}

// read returns everything that is stored of a call.
func (b *backend) read(id event.CallID) calls.Call {
	b.t.Helper()
	c, err := calls.Read(b.t.Context(), b.store, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

const callID = "CA7c0f3b9e51d24a86b3f0a91d6e2c4478"

// Bodies of events, as short as the sender may make them.

func status(word string, at int) string {
	return fmt.Sprintf(`{"message":{"timestamp":%d,"type":"status-update","call":{"id":%q,"status":%q}}}`, 1784044931000+at, callID, word)
}

func report(at int, messages ...string) string {
	return fmt.Sprintf(`{"message":{"timestamp":%d,"type":"end-of-call-report","call":{"id":%q,"status":"finished","endAt":"2026-07-14T16:03:04.494Z","cost":{"callDuration":52.64,"totalCost":0.05}},"messages":[%s],"analysis":{"summary":"Booked a cleaning.","successEvaluation":"Excellent"}}}`,
		1784044986000+at, callID, strings.Join(messages, ","))
}

func conversation(at int, messages ...string) string {
	return fmt.Sprintf(`{"message":{"timestamp":%d,"type":"conversation-update","call":{"id":%q,"status":"ongoing"},"messages":[%s]}}`,
		1784044932000+at, callID, strings.Join(messages, ","))
}

func hang(at int) string {
	return fmt.Sprintf(`{"message":{"timestamp":%d,"type":"hang","call":{"id":%q,"status":"ongoing"}}}`, 1784044949000+at, callID)
}

// message n of a made-up conversation, of the size that real ones have; says is
// its text.
func message(n int, says string) string {
	if n%2 == 1 {
		return fmt.Sprintf(`{"messageId":"user-%d","role":"user","text":%q,"timestamp":%d,"metrics":{"timeline":{"offsetFromPreviousTurnMs":6260,"totalElapsedTimeMs":%d},"audio":{"delayedPacketsPerTurnCount":2,"delayedPacketsCumulativeCount":-1,"lostPacketsCumulativeCount":0,"audioDelayPerTurnMs":21,"audioDelayCumulativeMs":-12,"offsetFromPreviousTurnMs":6239,"totalAudioReceivedMs":6468},"stt":{"timestampMs":1784044937334,"startOffsetMs":3330,"endOffsetMs":5480,"durationMs":2150,"vadMs":480,"relativeLatencyMs":-305,"confidence":0.9312},"interactlyEOU":{"turnDetectionTimeMs":1000,"queueLatencyMs":0}},"skippedAssistantMessages":[]}`,
			n, says, 1784044932000+n*1000, n*1000)
	}
	return fmt.Sprintf(`{"messageId":"user-%d-Zk3vQ81mPd-%d","role":"assistant","text":%q,"timestamp":%d,"metrics":{"timeline":{"totalElapsedTimeMs":%d},"audio":{"totalAudioReceivedMs":8345},"llm":{"timestampMs":1784044939874,"queueLatencyMs":3,"responseLatencyMs":1542},"tts":{"audioDurationMs":4120,"queueLatencyMs":1,"generationTimeMs":309,"isCachePlaying":false},"interactlyPlayer":{"waitTimeMs":309}}}`,
		n-1, 1784044931000+n*1000, says, 1784044932000+n*1000, n*1000)
}

func messages(from, to int) []string {
	var ms []string
	for n := from; n < to; n++ {
		ms = append(ms, message(n, fmt.Sprintf("line %d", n)))
	}
	return ms
}

func texts(ms []event.Message) []string {
	var ts []string
	for _, m := range ms {
		ts = append(ts, m.Text)
	}
	return ts
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
