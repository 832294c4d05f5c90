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
)

// Open returns the store, the inbox and the dead letters of what gcp/deploy.sh
// made, for a program that is no function: the credentials come from where
// Google's own tools take them. It opens no connection.
func Open(ctx context.Context, project, database, topic string) (*Store, *Inbox, core.DeadLetters, error) {
	subs, err := pubsub.NewSubscriptionAdminClient(ctx)
	if err != nil {
		return nil, nil, nil, wrap("open", err)
	}
	project = "projects/" + project
	store, inbox := services(project+"/databases/"+database, project+"/topics/"+topic)
	return store, inbox, inbox.DeadLetters(subs, project+"/subscriptions/"+topic+"-dead"), nil
}

// DeadLetters returns the messages of a pull subscription of the dead-letter
// topic, named as "projects/P/subscriptions/S", as core knows them. Messages cannot
// be read without taking: what is looked at is put back at once, and is out of
// sight for others meanwhile. Pub/Sub tells neither the reason of a failure nor
// the number of tries; the reason is in the log of the function.
func (in *Inbox) DeadLetters(client *pubsub.SubscriptionAdminClient, subscription string) core.DeadLetters {
	return letters{in, client, subscription}
}

type letters struct {
	in           *Inbox
	client       *pubsub.SubscriptionAdminClient
	subscription string
}

const (
	// deadSight is how long a message that is looked at is out of sight, if it
	// cannot be put back; lookAtMost how many messages a look sees; pullTime how
	// long it waits for more.
	deadSight  = time.Minute
	lookAtMost = 5000
	pullTime   = 3 * time.Second
)

// look takes message after message until see says that it is enough, then puts
// them back. see returns keep where the message is not to be put back.
func (l letters) look(ctx context.Context, see func(m *pubsubpb.ReceivedMessage) (enough, keep bool, err error)) (failed error) {
	taken := map[string]string{} // message to what acknowledges it
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		// One that cannot be put back comes back by itself.
		_ = l.sight(back, taken, 0)
	}()
	ctx, cancel := context.WithTimeout(ctx, deadSight/2)
	defer cancel()
	for len(taken) < lookAtMost {
		some, err := l.pull(ctx)
		if err != nil || len(some) == 0 {
			return err
		}
		now, fresh := map[string]string{}, false
		for _, m := range some {
			_, again := taken[m.Message.MessageId]
			fresh = fresh || !again
			now[m.Message.MessageId], taken[m.Message.MessageId] = m.AckId, m.AckId
		}
		if err := l.sight(ctx, now, deadSight); err != nil || !fresh {
			return err
		}
		for _, m := range some {
			enough, keep, err := see(m)
			if keep {
				delete(taken, m.Message.MessageId)
			}
			if err != nil || enough {
				return err
			}
		}
	}
	return nil
}

// pull returns some messages; none where nothing comes for a while.
func (l letters) pull(ctx context.Context) ([]*pubsubpb.ReceivedMessage, error) {
	pulling, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	out, err := l.client.Pull(pulling, &pubsubpb.PullRequest{Subscription: l.subscription, MaxMessages: 100})
	if ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("dead", err)
	}
	return out.ReceivedMessages, nil
}

// sight sets for how long messages are out of sight.
func (l letters) sight(ctx context.Context, messages map[string]string, long time.Duration) error {
	if len(messages) == 0 {
		return nil
	}
	var ids []string
	for _, ack := range messages {
		ids = append(ids, ack)
	}
	err := l.client.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{Subscription: l.subscription, AckIds: ids, AckDeadlineSeconds: int32(long / time.Second)})
	if err != nil {
		return wrap("dead", err)
	}
	return nil
}

func (l letters) read(ctx context.Context, m *pubsubpb.ReceivedMessage) core.DeadLetter {
	d := core.DeadLetter{ID: m.Message.MessageId, DeadAt: m.Message.PublishTime.AsTime()}
	var err error
	if d.Envelopes, err = l.in.Receive(ctx, m.Message.GetData()); err != nil {
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
	err = l.look(ctx, func(m *pubsubpb.ReceivedMessage) (bool, bool, error) {
		if !seen[m.Message.MessageId] {
			seen[m.Message.MessageId] = true
			all = append(all, l.read(ctx, m))
		}
		return len(all) == limit, false, nil
	})
	return all, err
}

// Get implements core.DeadLetters.
func (l letters) Get(ctx context.Context, id string) (d core.DeadLetter, err error) {
	err = l.look(ctx, func(m *pubsubpb.ReceivedMessage) (bool, bool, error) {
		if m.Message.MessageId != id {
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
	err := l.look(ctx, func(m *pubsubpb.ReceivedMessage) (bool, bool, error) {
		if m.Message.MessageId != id {
			return false, false, nil
		}
		if err := l.client.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: l.subscription, AckIds: []string{m.AckId}}); err != nil {
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
