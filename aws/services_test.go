package aws_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/mototest"
)

func TestMain(m *testing.M) { mototest.Main(m) }

func config(t testing.TB) awssdk.Config {
	endpoint := mototest.URL(t)
	return awssdk.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
}

// newStore returns a store on a table of its own.
func newStore(t testing.TB) *aws.Store {
	t.Helper()
	client := dynamodb.NewFromConfig(config(t))
	table, err := emulate.CreateTable(context.Background(), client, "t-"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	return aws.NewStore(client, table)
}

// The store, on moto's DynamoDB.
func TestStoreOnMoto(t *testing.T) {
	coretest.Store(t, coretest.Capabilities{RaceIterations: 20}, func(t *testing.T) records.Store { return newStore(t) })
}

// An item may be as large as the core makes them, and a commit as full.
func TestLargestCommitOnMoto(t *testing.T) {
	s := newStore(t)
	var rs []records.Record
	for n := range records.MaxCommitBytes / records.MaxRecordBytes {
		value := make([]byte, records.MaxRecordBytes)
		_, _ = rand.Read(value)
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: value})
	}
	for n := len(rs); n < records.MaxCommitRecords; n++ {
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: []byte{}})
	}
	if err := s.Commit(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	got, err := s.Range(t.Context(), "large", "", 100)
	if err != nil || len(got) != records.MaxCommitRecords {
		t.Fatalf("%d records, %v", len(got), err)
	}
}

// lossy loses the answer of each write once.
type lossy struct {
	next http.RoundTripper
	lost sync.Map
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := l.next.RoundTrip(r)
	if op := r.Header.Get("X-Amz-Target"); err != nil || !strings.HasSuffix(op, ".PutItem") && !strings.HasSuffix(op, ".TransactWriteItems") {
		return resp, err
	}
	if _, again := l.lost.LoadOrStore(string(sent), true); again {
		return resp, nil
	}
	_ = resp.Body.Close()
	return nil, syscall.ECONNRESET
}

// A write whose answer was lost is sent again by the SDK, and then meets
// itself. That is not a conflict.
func TestLostAnswersOnMoto(t *testing.T) {
	cfg := config(t)
	table, err := emulate.CreateTable(t.Context(), dynamodb.NewFromConfig(cfg), "t-"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{next: http.DefaultTransport}
	cfg.HTTPClient = &http.Client{Transport: l}
	s := aws.NewStore(dynamodb.NewFromConfig(cfg), table)
	one, two := records.Record{Key: "d/one", Value: []byte("1")}, records.Record{Key: "d/two", Value: []byte("2")}
	for n := range 2 {
		if err := s.Commit(t.Context(), one); err != nil {
			t.Fatalf("round %d, one: %v", n, err)
		}
		rs, err := s.Get(t.Context(), "d/one", "d/two")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), rs[0], records.Record{Key: "d/two", Value: two.Value, Version: rs[1].Version}); err != nil {
			t.Fatalf("round %d, both: %v", n, err)
		}
		if err := s.Commit(t.Context(), rs[0]); !errors.Is(err, records.ErrStale) {
			t.Fatalf("round %d, an old version: %v", n, err)
		}
		if rs, err = s.Get(t.Context(), "d/one"); err != nil {
			t.Fatal(err)
		}
		one = rs[0]
	}
	lost := 0
	l.lost.Range(func(any, any) bool { lost++; return true })
	if lost < 6 {
		t.Errorf("%d answers were lost", lost)
	}
}

// A queue of a test's own, with a dead-letter queue, and a worker on it as
// Lambda's event source is.
type queue struct {
	client    *sqs.Client
	url, dead string
	inbox     *aws.Inbox
	visible   int32
}

func newQueue(t testing.TB, tries, visible int) *queue {
	t.Helper()
	q := &queue{client: sqs.NewFromConfig(config(t)), visible: int32(visible)}
	ctx, name := context.Background(), "q-"+strings.ToLower(rand.Text())
	create := func(name string, attributes map[string]string) string {
		out, err := q.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return *out.QueueUrl
	}
	q.dead = create(name+"-dead", nil)
	q.url = create(name, map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:%s-dead","maxReceiveCount":"%d"}`, name, tries)})
	q.inbox = aws.NewInbox(q.client, q.url, newStore(t))
	return q
}

// work delivers messages until ctx ends.
func (q *queue) work(ctx context.Context, deliver coretest.DeliverFunc) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10, VisibilityTimeout: q.visible, WaitTimeSeconds: 0})
		if err != nil || len(out.Messages) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		for _, m := range out.Messages {
			wg.Go(func() {
				after := context.WithoutCancel(ctx)
				if q.deliver(ctx, m, deliver) == nil {
					_, _ = q.client.DeleteMessage(after, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle})
					return
				}
				_, _ = q.client.ChangeMessageVisibility(after, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
			})
		}
	}
}

func (q *queue) deliver(ctx context.Context, m types.Message, deliver coretest.DeliverFunc) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(q.visible)*time.Second)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("panic")
		}
	}()
	es, err := q.inbox.Decode(ctx, *m.Body)
	if err != nil {
		return err
	}
	for _, e := range es {
		if err = deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// The inbox, on moto's SQS.
func TestInboxOnMoto(t *testing.T) {
	queues := map[core.Inbox]*queue{}
	traits := coretest.InboxCapabilities{ConcurrentEvents: 100, DeadLetterIDs: func(ctx context.Context, in core.Inbox) ([]string, error) {
		dead, err := queues[in].inbox.DeadLetters(queues[in].dead).List(ctx, 100)
		var ids []string
		for _, d := range dead {
			for _, e := range d.Envelopes {
				ids = append(ids, e.ID)
			}
		}
		return ids, err
	}}
	coretest.Inbox(t, traits, func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
		q := newQueue(t, 6, 30)
		queues[q.inbox] = q
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); q.work(ctx, deliver) }()
		t.Cleanup(func() { stop(); <-ended })
		return q.inbox
	})
}

// S18, S19: a message of any size and any characters comes out as it went in.
func TestMessagesOnMoto(t *testing.T) {
	q := newQueue(t, 100, 30)
	roundTrip := func(body string) error {
		e := core.Envelope{ID: rand.Text(), Received: time.UnixMilli(1784044931823).UTC(), Type: "hang", Call: "CA1", Body: []byte(body)}
		if err := q.inbox.Put(t.Context(), e); err != nil {
			return err
		}
		for {
			out, err := q.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.url, WaitTimeSeconds: 20})
			if err != nil || len(out.Messages) != 1 {
				return fmt.Errorf("%d messages, %v", len(out.Messages), err)
			}
			if _, err := q.client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
				return err
			}
			got, err := q.inbox.Decode(t.Context(), *out.Messages[0].Body)
			if err != nil || len(got) != 1 {
				return fmt.Errorf("%d envelopes, %v", len(got), err)
			}
			if got[0].ID != e.ID {
				continue // an earlier one again: the queue delivers at least once
			}
			if string(got[0].Body) != body || got[0].Call != "CA1" || !got[0].Received.Equal(e.Received) {
				return fmt.Errorf("another envelope: %d bytes, call %q, received %v", len(got[0].Body), got[0].Call, got[0].Received)
			}
			return nil
		}
	}
	t.Run("characters", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			if err := roundTrip(string(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes"))); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("sizes", func(t *testing.T) {
		// Bytes of chance cannot be packed: base64 twice makes 16/9 of them.
		edge := (1<<20 - 1) * 9 / 16
		for _, size := range []int{1, edge - 2000, edge - 200, edge - 100, edge, edge + 200, 2 << 20, 6 << 20} {
			body := make([]byte, size)
			r := mathrand.New(mathrand.NewPCG(uint64(size), 0))
			for i := 0; i+8 <= size; i += 8 {
				binary.LittleEndian.PutUint64(body[i:], r.Uint64())
			}
			if err := roundTrip(string(body)); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
	t.Run("what is no envelope", func(t *testing.T) {
		for _, body := range []string{"", "p", "x", "pcanary", "@", "@canary", "@inbox/nothing/1", "@inbox/x/99999999", "p" + strings.Repeat("A", 1000)} {
			if es, err := q.inbox.Decode(t.Context(), body); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v, %v", body, es, err)
			}
		}
	})
}

// A message that always fails ends in the dead-letter queue, with a reason in
// the log and nothing of the messages, whatever the handler's error quotes. Once
// the handler is fixed, redrive delivers it.
func TestPoisonOnMoto(t *testing.T) {
	const said = "my daughter Zelda has a toothache"
	q := newQueue(t, 2, 30)
	var (
		log     lockedBuffer
		works   atomic.Bool
		handled = make(chan struct{}, 10)
		logger  = slog.New(slog.NewTextHandler(&log, nil))
		p       = core.New()
	)
	p.OnMessages(func(_ context.Context, e core.Messages) error {
		if !works.Load() {
			return fmt.Errorf("cannot store %q of %s", e.New[0].Text, e.Call.ID)
		}
		handled <- struct{}{}
		return nil
	})
	store := newStore(t)
	if err := p.Bind(core.Platform{Name: "aws", Store: store, Inbox: q.inbox, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	h := aws.NewHandler(p, q.inbox, &aws.Options{Logger: logger})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		q.invoke(ctx, t, h)
	}()
	defer func() { stop(); <-ended }()

	r := p.Handle(t.Context(), core.Request{Method: "POST", Path: "/events", Header: auth.Header{"Content-Type": {"application/json"}}, Body: []byte(
		`{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[{"messageId":"m1","role":"user","text":"` + said + `"}]}}`)})
	if r.Status != 200 {
		t.Fatalf("status %d", r.Status)
	}
	letters := q.inbox.DeadLetters(q.dead)
	var dead []core.DeadLetter
	for deadline := time.Now().Add(5 * time.Minute); len(dead) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		if dead, err = letters.List(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	}
	if len(dead) != 1 || len(dead[0].Envelopes) != 1 || dead[0].Envelopes[0].Call != "CA1" {
		t.Fatalf("%d dead messages", len(dead))
	}
	text := log.String()
	if !strings.Contains(text, `msg="delivery failed" platform=aws type=`) || strings.Count(text, "delivery failed") != 2 {
		t.Errorf("no reason for each failure in the log:\n%s", text)
	}
	for _, word := range []string{"Zelda", "toothache", "cannot store", "CA1"} {
		if strings.Contains(text, word) {
			t.Errorf("%q is in the log:\n%s", word, text)
		}
	}
	works.Store(true)
	if _, err := core.Redrive(t.Context(), store, q.inbox, letters, dead[0].ID, "tester"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-handled:
	case <-time.After(5 * time.Minute):
		t.Fatal("it was not delivered")
	}
}

// invoke hands the queue's messages to h until ctx ends, as Lambda's event
// source does.
func (q *queue) invoke(ctx context.Context, t *testing.T, h lambda.Handler) {
	type attributes struct {
		Receives string `json:"ApproximateReceiveCount"`
	}
	type record struct {
		ID         string     `json:"messageId"`
		Receipt    string     `json:"receiptHandle"`
		Source     string     `json:"eventSource"`
		Body       string     `json:"body"`
		Attributes attributes `json:"attributes"`
	}
	for ctx.Err() == nil {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10, VisibilityTimeout: q.visible,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount}})
		if err != nil || len(out.Messages) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		var batch struct{ Records []record }
		for _, m := range out.Messages {
			batch.Records = append(batch.Records, record{*m.MessageId, *m.ReceiptHandle, "aws:sqs", *m.Body, attributes{m.Attributes["ApproximateReceiveCount"]}})
		}
		payload, err := json.Marshal(batch)
		if err != nil {
			t.Error(err)
		}
		reply, err := h.Invoke(ctx, payload)
		if err != nil {
			t.Error(err)
		}
		for _, m := range out.Messages {
			if !strings.Contains(string(reply), *m.MessageId) {
				_, _ = q.client.DeleteMessage(context.WithoutCancel(ctx), &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle})
			}
		}
	}
}

// lockedBuffer is a buffer that several goroutines may write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// 40 racers on one key, on two instances that share the table, 50 rounds: one
// execution each round, equal replies.
func TestRacersOnMoto(t *testing.T) {
	store := newStore(t)
	var runs atomic.Int64
	var instances []*core.Processor
	for range 2 {
		p := core.New()
		core.AddTool(p, core.Tool{Name: "book", Budget: 20 * time.Second}, func(context.Context, struct {
			N int `json:"n"`
		}) (string, error) {
			return fmt.Sprintf("Booked %d.", runs.Add(1)), nil
		})
		err := p.Bind(core.Platform{Name: "aws", Store: store, Inbox: aws.NewInbox(nil, "", store), Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		instances = append(instances, p)
	}
	for round := range 50 {
		replies := make([]string, 40)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() {
				r := instances[i%2].Handle(t.Context(), core.Request{Method: "POST", Path: "/tools/book", Query: "call=CA1", Body: fmt.Appendf(nil, `{"n":%d}`, round)})
				replies[i] = string(r.Body)
			})
		}
		wg.Wait()
		for _, r := range replies {
			if r != replies[0] || !strings.Contains(r, "Booked") {
				t.Fatalf("round %d: replies differ: %s and %s", round, replies[0], r)
			}
		}
		if runs.Load() != int64(round+1) {
			t.Fatalf("round %d: %d executions", round, runs.Load())
		}
	}
}

func BenchmarkStoreOnMoto(b *testing.B) {
	s := newStore(b)
	value := make([]byte, 2<<10)
	b.Run("Commit1", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			if err := s.Commit(b.Context(), records.Record{Key: fmt.Sprintf("one/%d-%s", n, rand.Text()), Value: value}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Commit3", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			k := fmt.Sprintf("three/%d-%s", n, rand.Text())
			if err := s.Commit(b.Context(), records.Record{Key: k + "a", Value: value}, records.Record{Key: k + "b", Value: value}, records.Record{Key: k + "c", Value: value}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), "one/0"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestDeadLettersOnMoto(t *testing.T) {
	coretest.DeadLetters(t, func(t *testing.T, deliver coretest.DeliverFunc) (core.Inbox, core.DeadLetters, records.Store) {
		q := newQueue(t, 2, 1)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); q.work(ctx, deliver) }()
		t.Cleanup(func() { stop(); <-ended })
		return q.inbox, q.inbox.DeadLetters(q.dead), newStore(t)
	})
}
