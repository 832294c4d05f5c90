package aws

import (
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// newClients returns the store on a table and the inbox on a queue. Neither
// makes a request before it is used.
func newClients(cfg awssdk.Config, table, queueURL string) (*Store, *Inbox) {
	store := NewStore(dynamodb.NewFromConfig(cfg), table)
	return store, NewInbox(sqs.NewFromConfig(cfg), queueURL, store)
}
