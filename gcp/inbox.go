package gcp

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
)

// An Inbox keeps accepted events in a Pub/Sub topic until its subscription has
// delivered them. The subscription repeats what fails and, by its dead-letter
// policy, moves what cannot be delivered to another topic.
//
// A message is an envelope, packed. One that is over what a function can be
// handed is put beside, into the store, and the message points at it; what is
// put beside ends after Pub/Sub has forgotten the message.
//
// The attribute "type" is the event's type as sent, where a message holds only
// one, for subscriptions with a filter.
type Inbox struct {
	client func() (*pubsub.TopicAdminClient, error)
	topic  string // projects/P/topics/T
	beside records.Store
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the topic, named as "projects/P/topics/T".
// Large envelopes are put into the store. It makes no request before it is used.
func NewInbox(client *pubsub.TopicAdminClient, topic string, beside records.Store) *Inbox {
	return &Inbox{client: func() (*pubsub.TopicAdminClient, error) { return client, nil }, topic: topic, beside: beside}
}

// Forms of a message, its first byte.
const (
	formPacked  = 'p' // deflated JSON of envelopes
	formPointer = '@' // directory and number of parts, with a slash between
)

// besideDir is where the parts of large messages are.
const besideDir = "inbox"

// errMessage is constant: a message holds what patients said.
var errMessage = errors.New("gcp: a message of the topic is no envelope")

// Put implements core.Inbox. All envelopes are one message, so that they are
// put together or not at all. It is published by a request of its own that is
// answered before Put returns: nothing waits in this process.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	es = slices.Clone(es)
	for i := range es {
		es[i].Received = es[i].Received.UTC()
	}
	data, err := pack(es)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		if data, err = in.putBeside(ctx, data); err != nil {
			return err
		}
	}
	return in.publish(ctx, "publish", &pubsubpb.PubsubMessage{Data: data, Attributes: attributes(es)})
}

func (in *Inbox) publish(ctx context.Context, op string, m *pubsubpb.PubsubMessage) error {
	client, err := in.client()
	if err != nil {
		return wrap(op, err)
	}
	out, err := client.Publish(ctx, &pubsubpb.PublishRequest{Topic: in.topic, Messages: []*pubsubpb.PubsubMessage{m}})
	if err != nil {
		return wrap(op, err)
	}
	if len(out.MessageIds) != 1 {
		return wrap(op, errors.New("not confirmed"))
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

// Receive is the reverse of Put: it returns the envelopes in the data of a
// message. Its errors hold nothing of it.
func (in *Inbox) Receive(ctx context.Context, data []byte) ([]core.Envelope, error) {
	if len(data) > 0 && data[0] == formPointer {
		var err error
		if data, err = in.fromBeside(ctx, string(data)); err != nil {
			return nil, err
		}
	}
	return unpack(data)
}

func pack(es []core.Envelope) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte(formPacked)
	packed, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("gcp: %w", err) // the level is a constant
	}
	// Writing into memory does not fail; what is encoded may not be.
	if json.MarshalWrite(packed, es) != nil || packed.Close() != nil {
		return nil, errors.New("gcp: an envelope cannot be encoded")
	}
	return b.Bytes(), nil
}

func unpack(data []byte) ([]core.Envelope, error) {
	packed, ok := bytes.CutPrefix(data, []byte{formPacked})
	if !ok {
		return nil, errMessage
	}
	var es []core.Envelope
	if json.UnmarshalRead(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpacked), &es) != nil || len(es) == 0 {
		return nil, errMessage
	}
	return es, nil
}

// maxUnpacked bounds what a message may become in memory: the largest body, in
// base64, and room.
const maxUnpacked = 64 << 20

// putBeside writes a message in parts into the store and returns a pointer at
// them. The parts are there before anything points at them.
func (in *Inbox) putBeside(ctx context.Context, data []byte) (pointer []byte, err error) {
	dir, n := besideDir+"/"+randomName(), 0
	for part := range slices.Chunk(data, records.MaxRecordBytes) {
		r := records.Record{Key: partKey(dir, n), Value: part, Expires: time.Now().Add(keepParts)}
		if err := in.beside.Commit(ctx, r); err != nil {
			return nil, err
		}
		n++
	}
	return fmt.Appendf(nil, "%c%s/%d", formPointer, dir, n), nil
}

func (in *Inbox) fromBeside(ctx context.Context, pointer string) ([]byte, error) {
	dir, count, err := records.SplitKey(pointer[1:])
	n, bad := strconv.Atoi(count)
	if err != nil || bad != nil || n < 1 || n > maxUnpacked/records.MaxRecordBytes {
		return nil, errMessage
	}
	var b bytes.Buffer
	for i := range n {
		rs, err := in.beside.Get(ctx, partKey(dir, i))
		if err != nil {
			return nil, err
		}
		if rs[0].Version == 0 {
			return nil, errMessage
		}
		b.Write(rs[0].Value)
	}
	return b.Bytes(), nil
}

func partKey(dir string, n int) string { return fmt.Sprintf("%s/%04d", dir, n) }

func randomName() string {
	return strconv.FormatUint(cmp.Or(rand.Uint64(), 1), 36) + strconv.FormatUint(rand.Uint64(), 36)
}
