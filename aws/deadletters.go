package aws

import (
	"context"
	"fmt"
	"strconv"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/deadscan"
)

// Open returns the store and the inbox of a stack, for a program that is not a
// function: the credentials and the region are found as AWS' own tools find
// them. It makes no request to either.
func Open(ctx context.Context, table, queueURL string) (*Store, *Inbox, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("aws: configuration: %w", err)
	}
	store, inbox := newClients(cfg, table, queueURL)
	return store, inbox, nil
}

// DeadLetters returns the messages of the dead-letter queue with the URL. SQS
// can only be read by receiving: what is read is released at once, and is
// invisible to others until then. SQS has neither the reason of a failure nor
// the time; the reason is in the worker's log.
func (in *Inbox) DeadLetters(queueURL string) core.DeadLetters {
	// One empty receive may come from a server of SQS that has none of the messages.
	return deadscan.Letters[types.Message]{Queue: deadQueue{in, queueURL}, EmptyReceives: 2}
}

// A deadQueue implements deadscan.Queue.
type deadQueue struct {
	in  *Inbox
	url string
}

func (q deadQueue) Receive(ctx context.Context) ([]types.Message, error) {
	out, err := q.in.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: 10, VisibilityTimeout: int32(deadscan.Visibility / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return nil, wrap("receive", err)
	}
	return out.Messages, nil
}

func (q deadQueue) Release(ctx context.Context, messages []types.Message) {
	for _, m := range messages {
		_, _ = q.in.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
	}
}

func (q deadQueue) Delete(ctx context.Context, m types.Message) error {
	if _, err := q.in.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return wrap("delete", err)
	}
	return nil
}

func (q deadQueue) ID(m types.Message) string { return awssdk.ToString(m.MessageId) }

func (q deadQueue) Decode(ctx context.Context, m types.Message) (d core.DeadLetter, err error) {
	d.Attempts, _ = strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	d.Envelopes, err = q.in.Decode(ctx, awssdk.ToString(m.Body))
	return d, err
}
