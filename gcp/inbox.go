package gcp

import (
	"context"
	"slices"
	"unicode/utf8"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
)

// An Inbox holds accepted events in a Pub/Sub topic until its subscription has
// delivered them. The subscription redelivers what fails and, by its
// dead-letter policy, moves what cannot be delivered to another topic.
//
// A message that is larger than what a function can be given is offloaded to
// the store, and the message refers to it; what is offloaded expires after
// Pub/Sub has dropped the message.
//
// The attribute "type" is the event's type as sent, if a message holds only
// one, for subscriptions with a filter.
type Inbox struct {
	client   func() (*pubsub.TopicAdminClient, error)
	topic    string // projects/P/topics/T
	messages envelope.Messages
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the topic, named as "projects/P/topics/T". Large
// messages are offloaded to the store overflow. It makes no request before it
// is used.
func NewInbox(client *pubsub.TopicAdminClient, topic string, overflow records.Store) *Inbox {
	return newInbox(func() (*pubsub.TopicAdminClient, error) { return client, nil }, topic, overflow)
}

func newInbox(client func() (*pubsub.TopicAdminClient, error), topic string, overflow records.Store) *Inbox {
	return &Inbox{client: client, topic: topic, messages: envelope.Messages{Store: overflow, MaxBytes: maxMessageBytes, TTL: offloadTTL}}
}

// Put implements core.Inbox. All envelopes are one message, so that they are
// published together or not at all, in a request of their own that is answered
// before Put returns: nothing waits in this process.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	data, err := in.messages.Pack(ctx, es...)
	if err != nil {
		return err
	}
	client, err := in.client()
	if err != nil {
		return wrap("publish", err)
	}
	m := &pubsubpb.PubsubMessage{Data: data, Attributes: attributes(es)}
	out, err := client.Publish(ctx, &pubsubpb.PublishRequest{Topic: in.topic, Messages: []*pubsubpb.PubsubMessage{m}})
	if err != nil {
		return wrap("publish", err)
	}
	if len(out.MessageIds) != 1 {
		return &errcode.Error{Package: "gcp", Op: "publish", Code: "not-confirmed", Pass: true}
	}
	return nil
}

// attributes are what subscriptions can filter by.
func attributes(es []core.Envelope) map[string]string {
	typ := string(es[0].Type)
	if len(typ) > maxAttribute || !utf8.ValidString(typ) || slices.ContainsFunc(es, func(e core.Envelope) bool { return string(e.Type) != typ }) {
		return nil
	}
	return map[string]string{"type": typ}
}

// Decode returns the envelopes in the data of a message. Its errors hold nothing
// of it.
func (in *Inbox) Decode(ctx context.Context, data []byte) ([]core.Envelope, error) {
	return in.messages.Unpack(ctx, data)
}
