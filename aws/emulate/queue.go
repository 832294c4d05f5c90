package emulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"
)

// A message is one of a queue, with what Lambda says about it.
type message struct {
	ID         string            `json:"messageId"`
	Receipt    string            `json:"receiptHandle"`
	Body       string            `json:"body"`
	Attributes map[string]string `json:"attributes"`
	MD5        string            `json:"md5OfBody,omitempty"`
	Source     string            `json:"eventSource"`
	ARN        string            `json:"eventSourceARN"`
	Region     string            `json:"awsRegion"`
}

// A queue is what a function is fed from. What is received and not removed
// is redelivered.
type queue interface {
	receive(ctx context.Context) ([]message, error)
	remove(ctx context.Context, done []message) error
}

// PollSQS feeds f from a queue until ctx ends, as Lambda's event source
// mapping does with ReportBatchItemFailures: batches of up to ten, and only what
// succeeded is deleted. What failed is redelivered after its visibility timeout, and goes to the dead-letter queue by the queue's own redrive policy.
func PollSQS(ctx context.Context, f *Function, client *sqs.Client, queueURL string, log *slog.Logger) {
	poll(ctx, f, sqsQueue{client, queueURL}, log)
}

func poll(ctx context.Context, f *Function, q queue, log *slog.Logger) {
	for ctx.Err() == nil {
		batch, err := q.receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			log.Warn("queue cannot be read", "reason", err)
		}
		if len(batch) == 0 {
			if err != nil {
				pause(ctx, time.Second)
			}
			continue
		}
		// A batch that was begun is ended: ctx stops the receiving.
		going := context.WithoutCancel(ctx)
		done := invokeBatch(going, f, batch, log)
		if len(done) == 0 {
			continue
		}
		if err := q.remove(going, done); err != nil {
			log.Warn("messages are not deleted and come again", "count", len(done), "reason", err)
		}
	}
}

// invokeBatch returns the messages that the function has done.
func invokeBatch(ctx context.Context, f *Function, batch []message, log *slog.Logger) []message {
	event, err := json.Marshal(map[string]any{"Records": batch})
	if err != nil {
		return nil
	}
	out, err := f.Invoke(ctx, event)
	if err != nil {
		log.Warn("batch failed", "count", len(batch), "reason", err)
		return nil
	}
	done, err := succeeded(batch, out)
	if err != nil {
		log.Warn("batch failed", "count", len(batch), "reason", err)
	} else if n := len(batch) - len(done); n > 0 {
		log.Warn("messages failed", "count", n)
	}
	return done
}

// succeeded reads the reply to a batch by Lambda's rules: nothing is success,
// and a reply that cannot be understood is a failure of the whole batch.
func succeeded(batch []message, out []byte) ([]message, error) {
	var said struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(out) > 0 && json.Unmarshal(out, &said) != nil {
		return nil, errors.New("the reply is not JSON")
	}
	failed := map[string]bool{}
	for _, x := range said.Failures {
		failed[x.ID] = true
	}
	var done []message
	for _, m := range batch {
		if !failed[m.ID] {
			done = append(done, m)
		}
		delete(failed, m.ID)
	}
	if len(failed) > 0 {
		return nil, errors.New("the reply names a message that is not in the batch")
	}
	return done, nil
}

// sqsQueue is a queue in SQS, or in a stand-in for it.
type sqsQueue struct {
	client *sqs.Client
	url    string
}

func (q sqsQueue) receive(ctx context.Context) ([]message, error) {
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, err
	}
	var batch []message
	for _, m := range out.Messages {
		batch = append(batch, message{
			ID: *m.MessageId, Receipt: *m.ReceiptHandle, Body: awssdk.ToString(m.Body), MD5: awssdk.ToString(m.MD5OfBody),
			Attributes: m.Attributes, Source: "aws:sqs", ARN: "arn:aws:sqs:us-east-1:123456789012:emulated", Region: "us-east-1",
		})
	}
	return batch, nil
}

func (q sqsQueue) remove(ctx context.Context, done []message) error {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
	for i, m := range done {
		id := fmt.Sprint(i)
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: &id, ReceiptHandle: &m.Receipt})
	}
	out, err := q.client.DeleteMessageBatch(ctx, in)
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d of %d are still there", len(out.Failed), len(done))
	}
	return err
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
