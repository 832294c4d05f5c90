package aws

import (
	"errors"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/serverurl/serverurl/core"
)

// A queueInbox puts events into the queue and opens its messages.
type queueInbox interface {
	core.Inbox
	Receiver
}

// errServices is said until store.go and inbox.go are here; the tests of the
// deployed program are skipped aloud as long as it is.
var errServices = errors.New("aws: DynamoDB and SQS are not here yet")

// services opens the store on a table and the inbox on a queue. Neither talks
// to its service before it is used.
func services(cfg awssdk.Config, table, queueURL string) (core.Store, queueInbox, error) {
	return nil, nil, errServices
}
