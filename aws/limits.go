package aws

import "time"

// What AWS promises and where it stops. Sources are the service quotas in AWS'
// documentation, but for the first, which is core's.
const (
	// A record of the core fits an item of DynamoDB (400 kB, names and all), and
	// a commit a transaction (100 items, 4 MB): records.MaxRecordBytes, records.MaxCommitBytes.

	maxMessage = 1 << 20             // bytes of an SQS message
	keepParts  = 15 * 24 * time.Hour // longer than SQS keeps any message (14 days)

	maxVisibility = 12 * time.Hour // of a message that is put off
	firstDelay    = 2 * time.Second
	lastDelay     = 12 * time.Minute // the queue's own visibility timeout, in template.yaml
)
