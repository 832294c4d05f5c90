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
)

// Open returns the store and the inbox of a stack, for a program that is no
// function: the credentials and the region come from where AWS' own tools take
// them. It makes no request to either.
func Open(ctx context.Context, table, queueURL string) (*Store, *Inbox, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("aws: configuration: %w", err)
	}
	store, inbox := services(cfg, table, queueURL)
	return store, inbox, nil
}

// DeadLetters returns the messages of a dead-letter queue, as core knows them.
// A queue cannot be read without taking: what is looked at is put back at once, and
// is out of sight for others meanwhile. SQS tells neither the reason of a
// failure nor the time; it is in the worker's log.
func (in *Inbox) DeadLetters(queueURL string) core.DeadLetters { return letters{in, queueURL} }

type letters struct {
	in  *Inbox
	url string
}

const (
	// deadSight is how long a look may take, lookAtMost how many messages it
	// sees, and emptyTwice how many empty answers end it: one alone may come
	// from a server that has none.
	deadSight  = 2 * time.Minute
	lookAtMost = 5000
	emptyTwice = 2
)

// look takes message after message until see says that it is enough, then puts
// them back. see returns keep where the message is not to be put back.
func (l letters) look(ctx context.Context, see func(m types.Message) (enough, keep bool, err error)) (failed error) {
	taken := map[string]string{} // id to receipt
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		for _, receipt := range taken {
			// One that cannot be put back comes back by itself.
			_, _ = l.in.client.ChangeMessageVisibility(back, &sqs.ChangeMessageVisibilityInput{QueueUrl: &l.url, ReceiptHandle: &receipt, VisibilityTimeout: 0})
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, deadSight/2)
	defer cancel()
	for empty := 0; empty < emptyTwice && len(taken) < lookAtMost; {
		out, err := l.in.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &l.url, MaxNumberOfMessages: 10, VisibilityTimeout: int32(deadSight / time.Second),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
		})
		if err != nil {
			return wrap("dead", err)
		}
		if len(out.Messages) == 0 {
			empty++
			continue
		}
		fresh := false
		for _, m := range out.Messages {
			id := awssdk.ToString(m.MessageId)
			if _, again := taken[id]; !again {
				fresh = true
			}
			taken[id] = awssdk.ToString(m.ReceiptHandle)
		}
		if !fresh {
			empty++
		}
		for _, m := range out.Messages {
			enough, keep, err := see(m)
			if keep {
				delete(taken, awssdk.ToString(m.MessageId))
			}
			if err != nil || enough {
				return err
			}
		}
	}
	return nil
}

func (l letters) read(ctx context.Context, m types.Message) core.DeadLetter {
	d := core.DeadLetter{ID: awssdk.ToString(m.MessageId)}
	d.Attempts, _ = strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	var err error
	if d.Envelopes, err = l.in.Receive(ctx, awssdk.ToString(m.Body)); err != nil {
		d.Envelopes, d.Reason = nil, "unreadable"
	}
	return d
}

// List implements core.DeadLetters, in no order.
func (l letters) List(ctx context.Context, limit int) (all []core.DeadLetter, err error) {
	if limit <= 0 {
		return nil, nil
	}
	seen := map[string]bool{}
	err = l.look(ctx, func(m types.Message) (bool, bool, error) {
		d := l.read(ctx, m)
		if !seen[d.ID] {
			seen[d.ID] = true
			all = append(all, d)
		}
		return len(all) == limit, false, nil
	})
	return all, err
}

// Get implements core.DeadLetters.
func (l letters) Get(ctx context.Context, id string) (d core.DeadLetter, err error) {
	err = l.look(ctx, func(m types.Message) (bool, bool, error) {
		if awssdk.ToString(m.MessageId) != id {
			return false, false, nil
		}
		d = l.read(ctx, m)
		return true, false, nil
	})
	if err == nil && d.ID == "" {
		err = core.ErrDeadLetterNotFound
	}
	return d, err
}

// Delete implements core.DeadLetters.
func (l letters) Delete(ctx context.Context, id string) error {
	dropped := false
	err := l.look(ctx, func(m types.Message) (bool, bool, error) {
		if awssdk.ToString(m.MessageId) != id {
			return false, false, nil
		}
		_, err := l.in.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &l.url, ReceiptHandle: m.ReceiptHandle})
		if err != nil {
			return true, false, wrap("drop", err)
		}
		dropped = true
		return true, true, nil
	})
	if err == nil && !dropped {
		err = core.ErrDeadLetterNotFound
	}
	return err
}
