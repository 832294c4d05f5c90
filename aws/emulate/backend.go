package emulate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A backend is what the functions keep their records and events in.
type backend struct {
	what  string   // for the user
	env   []string // for the functions
	tags  []string // for the build
	queue queue
}

func (o Options) openBackend(ctx context.Context) (*backend, error) {
	all := o.getenv("AWS_ENDPOINT_URL")
	db, q := o.getenv("AWS_ENDPOINT_URL_DYNAMODB"), o.getenv("AWS_ENDPOINT_URL_SQS")
	if db == "" {
		db = all
	}
	if q == "" {
		q = all
	}
	switch {
	case db != "" && q != "":
		return o.openServices(ctx, db, q)
	case db != "" || q != "":
		return nil, errors.New("emulate: set AWS_ENDPOINT_URL, or both AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_SQS")
	case o.getenv("TABLE_NAME") != "" || o.getenv("QUEUE_URL") != "":
		return nil, errors.New("emulate: TABLE_NAME or QUEUE_URL is set and no endpoint is: this never talks to AWS itself; " +
			"try: moto_server -H 127.0.0.1 -p 5601 & AWS_ENDPOINT_URL=http://127.0.0.1:5601 serverurl emulate aws")
	}
	dir, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	folder, err := OpenFileQueue(dir)
	if err != nil {
		return nil, err
	}
	return &backend{
		what:  "store: SQLite in " + dir + ", queue: files in " + dir + " (not DynamoDB and SQS: set AWS_ENDPOINT_URL for those)",
		env:   []string{"SERVERURL_EMBEDDED=" + dir},
		tags:  []string{"emulate"},
		queue: folder,
	}, nil
}

func (o Options) openServices(ctx context.Context, db, q string) (*backend, error) {
	cfg := awssdk.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
	b := &backend{what: "store: DynamoDB at " + db + ", queue: SQS at " + q}
	if o.getenv("TABLE_NAME") == "" {
		client := dynamodb.NewFromConfig(cfg, func(c *dynamodb.Options) { c.BaseEndpoint = &db })
		table, err := CreateTable(ctx, client, "serverurl-emulated")
		if err != nil {
			return nil, err
		}
		b.env = append(b.env, "TABLE_NAME="+table)
	}
	client := sqs.NewFromConfig(cfg, func(c *sqs.Options) { c.BaseEndpoint = &q })
	url := o.getenv("QUEUE_URL")
	if url == "" {
		var err error
		if url, err = CreateQueue(ctx, client, "serverurl-emulated"); err != nil {
			return nil, err
		}
		b.env = append(b.env, "QUEUE_URL="+url)
	}
	b.queue = sqsQueue{client, url}
	return b, nil
}

// CreateTable makes the table of template.yaml, if there is none of that name,
// and returns the name.
func CreateTable(ctx context.Context, client *dynamodb.Client, name string) (string, error) {
	str := dynamotypes.ScalarAttributeTypeS
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: dynamotypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamotypes.AttributeDefinition{
			{AttributeName: awssdk.String("d"), AttributeType: str}, {AttributeName: awssdk.String("n"), AttributeType: str}},
		KeySchema: []dynamotypes.KeySchemaElement{
			{AttributeName: awssdk.String("d"), KeyType: dynamotypes.KeyTypeHash}, {AttributeName: awssdk.String("n"), KeyType: dynamotypes.KeyTypeRange}},
	})
	if _, exists := errors.AsType[*dynamotypes.ResourceInUseException](err); err != nil && !exists {
		return "", fmt.Errorf("emulate: create table: %w", err)
	}
	return name, nil
}

// CreateQueue creates the queue of template.yaml and its dead-letter queue
// (name-dead), and returns the URL of the queue. What failed is redelivered
// after 5 s here, not after minutes.
func CreateQueue(ctx context.Context, client *sqs.Client, name string) (url string, err error) {
	dead, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: awssdk.String(name + "-dead")})
	if err != nil {
		return "", fmt.Errorf("emulate: create queue: %w", err)
	}
	about, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: dead.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn}})
	if err != nil {
		return "", fmt.Errorf("emulate: create queue: %w", err)
	}
	q, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"VisibilityTimeout": "5",
		"RedrivePolicy":     fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"5"}`, about.Attributes["QueueArn"]),
	}})
	if err != nil {
		return "", fmt.Errorf("emulate: create queue: %w", err)
	}
	return *q.QueueUrl, nil
}

// getenv looks a variable up in what the functions see. The last one counts.
func (o Options) getenv(name string) (value string) {
	for _, kv := range o.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}
