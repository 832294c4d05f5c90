package gcp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
)

// A topic of a test's own, with a subscription, a dead-letter topic and a
// worker, which does by pulling what Eventarc does by pushing.
type topic struct {
	topics              *pubsub.TopicAdminClient
	subs                *pubsub.SubscriptionAdminClient
	project, sub, grave string // the subscription, and the one of the dead-letter topic
	inbox               *gcp.Inbox
}

// newTopic makes a topic at host whose subscription gives up after tries.
func newTopic(t testing.TB, host string, beside records.Store, tries int32) *topic {
	t.Helper()
	ctx := context.Background()
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	q := &topic{project: "projects/" + gcptest.Project()}
	if q.topics, err = pubsub.NewTopicAdminClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	if q.subs, err = pubsub.NewSubscriptionAdminClient(ctx, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	events, dead := q.project+"/topics/events", q.project+"/topics/dead"
	for _, name := range []string{events, dead} {
		if _, err := q.topics.CreateTopic(ctx, &pubsubpb.Topic{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	q.grave = q.subscribe(t, dead, nil).Name
	q.sub = q.subscribe(t, events, func(s *pubsubpb.Subscription) {
		s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: tries}
		s.RetryPolicy = &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(0), MaximumBackoff: durationpb.New(0)}
	}).Name
	q.inbox = gcp.NewInbox(q.topics, events, beside)
	return q
}

func (q *topic) subscribe(t testing.TB, topic string, change func(*pubsubpb.Subscription)) *pubsubpb.Subscription {
	t.Helper()
	s := &pubsubpb.Subscription{Name: q.project + "/subscriptions/" + gcptest.Project(), Topic: topic, AckDeadlineSeconds: 10}
	if change != nil {
		change(s)
	}
	if _, err := q.subs.CreateSubscription(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// dead returns the place of the topic's dead letters.
func (q *topic) dead() core.DeadLetters { return q.inbox.DeadLetters(q.subs, q.grave) }

// pullTime is how long a pull may wait: the fake looks only once, after half a
// second.
const pullTime = 3 * time.Second

// pull returns what of a subscription is there now.
func (q *topic) pull(ctx context.Context, sub string) ([]*pubsubpb.ReceivedMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	out, err := q.subs.Pull(ctx, &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 100})
	return out.GetReceivedMessages(), err
}

// work delivers messages until ctx ends.
func (q *topic) work(ctx context.Context, deliver coretest.DeliverFunc) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		ms, err := q.pull(ctx, q.sub)
		if err != nil || len(ms) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		for _, m := range ms {
			wg.Go(func() { q.deliver(ctx, m, deliver) })
		}
	}
}

func (q *topic) deliver(ctx context.Context, m *pubsubpb.ReceivedMessage, deliver coretest.DeliverFunc) {
	err := func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		defer func() {
			if recover() != nil {
				err = errors.New("panic")
			}
		}()
		es, err := q.inbox.Decode(ctx, m.Message.Data)
		for _, e := range es {
			err = errors.Join(err, deliver(ctx, e))
		}
		return err
	}()
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err == nil {
		_ = q.subs.Acknowledge(after, &pubsubpb.AcknowledgeRequest{Subscription: q.sub, AckIds: []string{m.AckId}})
		return
	}
	_ = q.subs.ModifyAckDeadline(after, &pubsubpb.ModifyAckDeadlineRequest{Subscription: q.sub, AckIds: []string{m.AckId}, AckDeadlineSeconds: 0})
}

// openInbox opens inboxes with a worker, and remembers their topics.
func openInbox(host string, topics map[core.Inbox]*topic) func(*testing.T, coretest.DeliverFunc) core.Inbox {
	return func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
		q := newTopic(t, host, coretest.NewMemoryStore(), 6)
		topics[q.inbox] = q
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); q.work(ctx, deliver) }()
		t.Cleanup(func() { stop(); <-ended })
		return q.inbox
	}
}

// The inbox, on Google's emulator, which never moves a message to a
// dead-letter topic.
func TestInboxOnEmulator(t *testing.T) {
	coretest.Inbox(t, coretest.InboxCapabilities{ConcurrentEvents: 200}, openInbox(gcptest.PubSub(t), map[core.Inbox]*topic{}))
}

// newPstest starts the fake of the client's own module.
func newPstest(t testing.TB) string {
	t.Helper()
	s := pstest.NewServer()
	t.Cleanup(func() { _ = s.Close() })
	return s.Addr
}

// The inbox, on the fake of the client's own module, dead letters too.
func TestInboxOnPstest(t *testing.T) {
	topics := map[core.Inbox]*topic{}
	traits := coretest.InboxCapabilities{ConcurrentEvents: 200, MaxBodyBytes: 1 << 20, DeadLetterIDs: func(ctx context.Context, in core.Inbox) (ids []string, err error) {
		dead, err := topics[in].dead().List(ctx, 100)
		for _, d := range dead {
			for _, e := range d.Envelopes {
				ids = append(ids, e.ID)
			}
		}
		return ids, err
	}}
	coretest.Inbox(t, traits, openInbox(newPstest(t), topics))
}

// Dead letters are listed, replayed and dropped. The test itself moves what
// fails: the fake leaves what it has moved where it was, and moves it again.
func TestDeadLettersOnPstest(t *testing.T) {
	coretest.DeadLetters(t, func(t *testing.T, deliver coretest.DeliverFunc) (core.Inbox, core.DeadLetters, records.Store) {
		store := coretest.NewMemoryStore()
		q := newTopic(t, newPstest(t), store, 100)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				ms, _ := q.pull(ctx, q.sub)
				for _, m := range ms {
					es, err := q.inbox.Decode(ctx, m.Message.Data)
					if err == nil {
						err = deliver(ctx, es[0])
					}
					if err != nil {
						_, err = q.topics.Publish(ctx, &pubsubpb.PublishRequest{Topic: q.project + "/topics/dead", Messages: []*pubsubpb.PubsubMessage{m.Message}})
					}
					if err == nil {
						_ = q.subs.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: q.sub, AckIds: []string{m.AckId}})
					}
				}
			}
		}()
		t.Cleanup(func() { stop(); <-ended })
		return q.inbox, q.dead(), store
	})
}

// A subscription with a filter gets events of one type: the emulator would
// give it all.
func TestFilterOnPstest(t *testing.T) {
	q := newTopic(t, newPstest(t), coretest.NewMemoryStore(), 5)
	reports := q.subscribe(t, q.project+"/topics/events", func(s *pubsubpb.Subscription) {
		s.Filter = `attributes.type = "end-of-call-report"`
	})
	odd := event.Type(strings.Repeat("x", 2000)) // too long for an attribute
	for n, typ := range []event.Type{"hang", event.TypeReport, "status-update", event.TypeReport, "\xff", odd} {
		e := core.Envelope{ID: fmt.Sprint(n), Type: typ, Body: []byte("{}")}
		if typ == "\xff" {
			e.Type = "" // no such event can be encoded
		}
		if err := q.inbox.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{}
	for deadline := time.Now().Add(5 * time.Minute); len(got) < 2 && time.Now().Before(deadline); {
		ms, _ := q.pull(t.Context(), reports.Name)
		for _, m := range ms {
			es, err := q.inbox.Decode(t.Context(), m.Message.Data)
			if err != nil || len(es) != 1 || es[0].Type != event.TypeReport {
				t.Fatalf("%v, %v", es, err)
			}
			got[es[0].ID] = true
		}
	}
	if !got["1"] || !got["3"] {
		t.Errorf("got %v, want both reports", got)
	}
}

// A message of any size and any bytes comes out as it went in, and none is
// more than a function can be handed.
func TestMessages(t *testing.T) {
	q := newTopic(t, newPstest(t), coretest.NewMemoryStore(), 100)
	roundTrip := func(body string) error {
		e := core.Envelope{ID: "id", Received: time.UnixMilli(1784044931823).UTC(), Type: "hang", Call: "CA1", Body: []byte(body)}
		if err := q.inbox.Put(t.Context(), e); err != nil {
			return err
		}
		ms, err := q.pull(t.Context(), q.sub)
		if err != nil || len(ms) != 1 {
			return fmt.Errorf("%d messages, %v", len(ms), err)
		}
		if err := q.subs.Acknowledge(t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: q.sub, AckIds: []string{ms[0].AckId}}); err != nil {
			return err
		}
		if n := len(ms[0].Message.Data) * 4 / 3; n > 510_000 {
			return fmt.Errorf("a message of %d bytes in base64", n)
		}
		got, err := q.inbox.Decode(t.Context(), ms[0].Message.Data)
		if err != nil || len(got) != 1 || string(got[0].Body) != body || got[0].Call != "CA1" || !got[0].Received.Equal(e.Received) {
			return fmt.Errorf("%d envelopes, %v", len(got), err)
		}
		return nil
	}
	t.Run("bytes", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			if err := roundTrip(string(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes"))); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("sizes", func(t *testing.T) {
		// Bytes of chance cannot be packed: base64, packed, is about as long.
		edge := 360 << 10
		for _, size := range []int{1, edge - 8000, edge - 300, edge + 200, 11 << 20} {
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
		for _, data := range []string{"", "p", "x", "pcanary", "@", "@canary", "@inbox/nothing/1", "@inbox/x/99999999", "p" + strings.Repeat("A", 1000)} {
			if es, err := q.inbox.Decode(t.Context(), []byte(data)); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v, %v", data, es, err)
			}
		}
	})
}
