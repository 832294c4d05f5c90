package aws

import (
	"context"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
)

// An Inbox holds accepted events in an SQS queue until a worker has delivered
// them. The queue redelivers what fails and, by its redrive policy, moves what
// cannot be delivered to a dead-letter queue.
//
// A message is base64, because SQS refuses characters that XML does. One that
// is larger than 1 MiB is offloaded to the store, and the message refers to it;
// what is offloaded expires after the queue has dropped the message.
type Inbox struct {
	client   *sqs.Client
	queue    string
	messages envelope.Messages
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the queue with the URL. Large messages are
// offloaded to the store overflow. It makes no request before it is used.
func NewInbox(client *sqs.Client, queueURL string, overflow records.Store) *Inbox {
	return &Inbox{client: client, queue: queueURL,
		messages: envelope.Messages{Store: overflow, MaxBytes: maxMessageBytes, TTL: offloadTTL, Text: true}}
}

// Put implements core.Inbox. All envelopes are one message, so that they are
// sent together or not at all.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	message, err := in.messages.Pack(ctx, es...)
	if err != nil {
		return err
	}
	_, err = in.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &in.queue, MessageBody: awssdk.String(string(message))})
	if err != nil {
		return wrap("send", err)
	}
	return nil
}

// Decode implements [Decoder]: it returns the envelopes in the body of a
// message. Its errors hold nothing of it.
func (in *Inbox) Decode(ctx context.Context, body string) ([]core.Envelope, error) {
	return in.messages.Unpack(ctx, []byte(body))
}

// Delay makes a message that failed visible again after a pause that grows,
// instead of after the queue's visibility timeout, which has to be longer than
// a worker can take. attempt counts from 1.
func (in *Inbox) Delay(ctx context.Context, receipt string, attempt int) error {
	pause := envelope.RetryDelay(attempt, firstDelay, lastDelay)
	_, err := in.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &in.queue, ReceiptHandle: &receipt, VisibilityTimeout: int32(pause / time.Second),
	})
	if err != nil {
		return wrap("delay", err)
	}
	return nil
}
