package aws

import "time"

// The limits of AWS services, from the service quotas in AWS' documentation.
const (
	// A record fits an item of DynamoDB (400 kB, names included), and a commit a
	// transaction (100 items, 4 MB): records.MaxRecordBytes, records.MaxCommitBytes.

	maxMessageBytes = 1 << 20             // of an SQS message
	offloadTTL      = 15 * 24 * time.Hour // longer than SQS has any message (14 days)

	maxAttempts = 20 // of a message, in template.yaml: then it is a dead letter

	firstDelay = 2 * time.Second  // of a message that failed, doubled each time
	lastDelay  = 12 * time.Minute // the queue's own visibility timeout, in template.yaml
)
