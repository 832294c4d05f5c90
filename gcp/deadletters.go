package gcp

import (
	"context"
	"errors"
	"time"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/deadscan"
)

// Open returns the store, the inbox and the dead letters of what gcp/deploy.sh
// created, for a program that is not a function: the credentials are found as
// Google's own tools find them. It opens no connection.
func Open(ctx context.Context, project, database, topic string) (*Store, *Inbox, core.DeadLetters, error) {
	subs, err := pubsub.NewSubscriptionAdminClient(ctx)
	if err != nil {
		return nil, nil, nil, wrap("open", err)
	}
	project = "projects/" + project
	store, inbox := newClients(project+"/databases/"+database, project+"/topics/"+topic)
	return store, inbox, inbox.DeadLetters(subs, project+"/subscriptions/"+topic+"-dead"), nil
}

// DeadLetters returns the messages of a pull subscription of the dead-letter
// topic, named as "projects/P/subscriptions/S". Messages can only be read by
// receiving: what is read is released at once, and is invisible to others until
// then. Pub/Sub has neither the reason of a failure nor the number of attempts;
// the reason is in the function's log.
func (in *Inbox) DeadLetters(client *pubsub.SubscriptionAdminClient, subscription string) core.DeadLetters {
	return deadscan.Letters[*pubsubpb.ReceivedMessage]{Queue: deadQueue{in, client, subscription}, EmptyReceives: 1}
}

// A deadQueue implements deadscan.Queue.
type deadQueue struct {
	in           *Inbox
	client       *pubsub.SubscriptionAdminClient
	subscription string
}

// pullTimeout is how long a pull waits for messages.
const pullTimeout = 3 * time.Second

func (q deadQueue) Receive(ctx context.Context) ([]*pubsubpb.ReceivedMessage, error) {
	pulling, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	out, err := q.client.Pull(pulling, &pubsubpb.PullRequest{Subscription: q.subscription, MaxMessages: 100})
	if ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("pull", err)
	}
	return out.ReceivedMessages, q.setAckDeadline(ctx, out.ReceivedMessages, deadscan.Visibility)
}

func (q deadQueue) Release(ctx context.Context, messages []*pubsubpb.ReceivedMessage) {
	_ = q.setAckDeadline(ctx, messages, 0)
}

// setAckDeadline makes messages invisible for d.
func (q deadQueue) setAckDeadline(ctx context.Context, messages []*pubsubpb.ReceivedMessage, d time.Duration) error {
	if len(messages) == 0 {
		return nil
	}
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.AckId)
	}
	err := q.client.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{Subscription: q.subscription, AckIds: ids, AckDeadlineSeconds: int32(d / time.Second)})
	if err != nil {
		return wrap("set-ack-deadline", err)
	}
	return nil
}

func (q deadQueue) Delete(ctx context.Context, m *pubsubpb.ReceivedMessage) error {
	if err := q.client.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: q.subscription, AckIds: []string{m.AckId}}); err != nil {
		return wrap("acknowledge", err)
	}
	return nil
}

func (q deadQueue) ID(m *pubsubpb.ReceivedMessage) string { return m.Message.MessageId }

func (q deadQueue) Decode(ctx context.Context, m *pubsubpb.ReceivedMessage) (d core.DeadLetter, err error) {
	d.DeadAt = m.Message.PublishTime.AsTime()
	d.Envelopes, err = q.in.Decode(ctx, m.Message.GetData())
	return d, err
}
