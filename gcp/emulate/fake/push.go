package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/go-json-experiment/json"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A pusher does for the fake what Pub/Sub does for a push subscription: it
// posts each message, and what is not answered with a 2xx is redelivered.
type pusher struct {
	project, topic, url string
	retry               time.Duration

	subs *pubsub.SubscriptionAdminClient
	sub  string
}

// tries is how often a message is pushed before it is dead.
const tries = 20

// open makes the topics and the subscriptions of deploy.sh.
func (p *pusher) open(ctx context.Context, host string) error {
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("fake: %w", err)
	}
	topics, err := pubsub.NewTopicAdminClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		return fmt.Errorf("fake: %w", err)
	}
	if p.subs, err = pubsub.NewSubscriptionAdminClient(ctx, option.WithGRPCConn(conn)); err != nil {
		return fmt.Errorf("fake: %w", err)
	}
	project := "projects/" + p.project
	events, dead := project+"/topics/"+p.topic, project+"/topics/"+p.topic+"-dead"
	for _, name := range []string{events, dead} {
		if _, err := topics.CreateTopic(ctx, &pubsubpb.Topic{Name: name}); err != nil {
			return fmt.Errorf("fake: %w", err)
		}
	}
	p.sub = project + "/subscriptions/serverurl-deliver"
	for _, s := range []*pubsubpb.Subscription{
		{Name: project + "/subscriptions/" + p.topic + "-dead", Topic: dead, AckDeadlineSeconds: 60},
		{Name: p.sub, Topic: events, AckDeadlineSeconds: 60, DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: tries}},
	} {
		if _, err := p.subs.CreateSubscription(ctx, s); err != nil {
			return fmt.Errorf("fake: %w", err)
		}
	}
	return nil
}

// run pushes messages until ctx ends.
func (p *pusher) run(ctx context.Context) {
	stream, err := p.subs.StreamingPull(ctx)
	if err != nil {
		return
	}
	if stream.Send(&pubsubpb.StreamingPullRequest{Subscription: p.sub, StreamAckDeadlineSeconds: 60}) != nil {
		return
	}
	var pushes sync.WaitGroup
	defer pushes.Wait()
	for {
		r, err := stream.Recv()
		if err != nil {
			return
		}
		for _, m := range r.ReceivedMessages {
			pushes.Go(func() { p.push(ctx, m) })
		}
	}
}

// push posts one message and says how that went.
func (p *pusher) push(ctx context.Context, m *pubsubpb.ReceivedMessage) {
	type message struct {
		Data       []byte            `json:"data"`
		Attributes map[string]string `json:"attributes,omitempty"`
		ID         string            `json:"messageId"`
		At         time.Time         `json:"publishTime"`
	}
	body, err := json.Marshal(struct {
		Message      message `json:"message"`
		Subscription string  `json:"subscription"`
		Attempt      int32   `json:"deliveryAttempt"`
	}{message{m.Message.Data, m.Message.Attributes, m.Message.MessageId, m.Message.PublishTime.AsTime()}, p.sub, m.DeliveryAttempt})
	if err == nil {
		err = post(ctx, p.url, body)
	}
	if err == nil {
		_ = p.subs.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: p.sub, AckIds: []string{m.AckId}})
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(p.retry):
		_ = p.subs.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{Subscription: p.sub, AckIds: []string{m.AckId}, AckDeadlineSeconds: 0})
	}
}

func post(ctx context.Context, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("fake: status %d", resp.StatusCode)
	}
	return nil
}
