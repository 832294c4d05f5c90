package aws

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
)

// An Inbox keeps accepted events in an SQS queue until a worker has delivered
// them. The queue repeats what fails and, by its redrive policy, moves what
// cannot be delivered to a dead-letter queue.
//
// A message is text that every queue takes: SQS refuses characters that XML
// does, so an envelope is packed and written in base64. One that is still over
// 1 MiB is put beside, into the store, and the message points at it; what
// is put beside ends after the queue has forgotten the message.
type Inbox struct {
	client *sqs.Client
	queue  string
	beside records.Store
}

var _ core.Inbox = (*Inbox)(nil)

// NewInbox returns an inbox on the queue with the URL. Large envelopes are put
// into the store. It makes no request before it is used.
func NewInbox(client *sqs.Client, queueURL string, beside records.Store) *Inbox {
	return &Inbox{client: client, queue: queueURL, beside: beside}
}

// Forms of a message, its first character.
const (
	formPacked  = 'p' // base64 of deflated JSON of envelopes
	formPointer = '@' // directory and number of parts, with a slash between
)

// besideDir is where the parts of large messages are.
const besideDir = "inbox"

// errMessage is constant: a message holds what patients said.
var errMessage = errors.New("aws: a message of the queue is no envelope")

// Put implements core.Inbox. All envelopes are one message, so that they are
// put together or not at all.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	es = slices.Clone(es)
	for i := range es {
		es[i].Received = es[i].Received.UTC()
	}
	body, err := pack(es)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		if body, err = in.putBeside(ctx, body); err != nil {
			return err
		}
	}
	if _, err := in.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &in.queue, MessageBody: &body}); err != nil {
		return wrap("send", err)
	}
	return nil
}

// Receive is the reverse: it returns the envelopes in the body of a message.
// Its errors hold nothing of it.
func (in *Inbox) Receive(ctx context.Context, body string) ([]core.Envelope, error) {
	if strings.HasPrefix(body, string(formPointer)) {
		var err error
		if body, err = in.fromBeside(ctx, body); err != nil {
			return nil, err
		}
	}
	return unpack(body)
}

// Delay lets a message that failed come again after a pause that grows, in
// place of the queue's visibility timeout. attempt counts from 1.
func (in *Inbox) Delay(ctx context.Context, receipt string, attempt int) error {
	d := lastDelay
	if attempt < 10 {
		d = min(lastDelay, firstDelay<<max(0, attempt-1))
	}
	d = min(d/2+rand.N(d/2), maxVisibility)
	_, err := in.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &in.queue, ReceiptHandle: &receipt, VisibilityTimeout: int32(d / time.Second),
	})
	if err != nil {
		return wrap("delay", err)
	}
	return nil
}

func pack(es []core.Envelope) (string, error) {
	var b strings.Builder
	b.WriteByte(formPacked)
	text := base64.NewEncoder(base64.StdEncoding, &b)
	packed, err := flate.NewWriter(text, flate.BestSpeed)
	if err != nil {
		return "", fmt.Errorf("aws: %w", err) // the level is a constant
	}
	// Writing into memory does not fail; what is encoded may not be.
	if json.MarshalWrite(packed, es) != nil || packed.Close() != nil || text.Close() != nil {
		return "", errors.New("aws: an envelope cannot be encoded")
	}
	return b.String(), nil
}

func unpack(body string) ([]core.Envelope, error) {
	text, ok := strings.CutPrefix(body, string(formPacked))
	if !ok {
		return nil, errMessage
	}
	packed := flate.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	var es []core.Envelope
	if json.UnmarshalRead(io.LimitReader(packed, maxUnpacked), &es) != nil || len(es) == 0 {
		return nil, errMessage
	}
	return es, nil
}

// maxUnpacked bounds what a message may become in memory: the largest body, in
// base64, and room.
const maxUnpacked = 64 << 20

// putBeside writes a message in parts into the store and returns a pointer at
// them. The parts are there before anything points at them.
func (in *Inbox) putBeside(ctx context.Context, body string) (pointer string, err error) {
	dir, n := besideDir+"/"+randomName(), 0
	for part := range slices.Chunk([]byte(body), records.MaxRecordBytes) {
		r := records.Record{Key: partKey(dir, n), Value: part, Expires: time.Now().Add(keepParts)}
		if err := in.beside.Commit(ctx, r); err != nil {
			return "", err
		}
		n++
	}
	return fmt.Sprintf("%c%s/%d", formPointer, dir, n), nil
}

func (in *Inbox) fromBeside(ctx context.Context, pointer string) (string, error) {
	dir, count, err := records.SplitKey(pointer[1:])
	n, bad := strconv.Atoi(count)
	if err != nil || bad != nil || n < 1 || n > maxUnpacked/records.MaxRecordBytes {
		return "", errMessage
	}
	var b bytes.Buffer
	for i := range n {
		rs, err := in.beside.Get(ctx, partKey(dir, i))
		if err != nil {
			return "", err
		}
		if rs[0].Version == 0 {
			return "", errMessage
		}
		b.Write(rs[0].Value)
	}
	return b.String(), nil
}

func partKey(dir string, n int) string { return fmt.Sprintf("%s/%04d", dir, n) }

// A Dead is a message of a dead-letter queue.
type Dead struct {
	Envelopes []core.Envelope // nil when the message cannot be read
	Received  int             // times, by workers
	body      string
	receipt   string
}

// Dead returns up to 10 messages of the dead-letter queue with the URL. They
// stay there, out of sight for a minute.
func (in *Inbox) Dead(ctx context.Context, queueURL string) ([]Dead, error) {
	out, err := in.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &queueURL, MaxNumberOfMessages: 10, VisibilityTimeout: 60,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	})
	if err != nil {
		return nil, wrap("dead", err)
	}
	var dead []Dead
	for _, m := range out.Messages {
		d := Dead{body: awssdk.ToString(m.Body), receipt: awssdk.ToString(m.ReceiptHandle)}
		d.Received, _ = strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
		d.Envelopes, _ = in.Receive(ctx, d.body)
		dead = append(dead, d)
	}
	return dead, nil
}

// Redrive puts a dead message back into the queue, and then takes it off the
// dead-letter queue: should that be cut off, it is delivered twice, which
// changes nothing.
func (in *Inbox) Redrive(ctx context.Context, queueURL string, d Dead) error {
	if _, err := in.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &in.queue, MessageBody: &d.body}); err != nil {
		return wrap("redrive", err)
	}
	if _, err := in.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queueURL, ReceiptHandle: &d.receipt}); err != nil {
		return wrap("redrive", err)
	}
	return nil
}

func randomName() string {
	return strconv.FormatUint(cmp.Or(rand.Uint64(), 1), 36) + strconv.FormatUint(rand.Uint64(), 36)
}
