package gcp

import "time"

// The limits of Google Cloud, from the quotas pages of each product;
// docs/gcp.md#limits has them in a table.
const (
	// A record fits a document of Firestore (1 MiB, names included), and a commit
	// a request (10 MiB): records.MaxRecordBytes, records.MaxCommitBytes. Core
	// writes larger values as several records.

	// maxMessageBytes is the most data of a message that is published as it is.
	// Pub/Sub takes 10 MB, but Eventarc, which invokes the function, takes events
	// of 512 kB, in which it is base64.
	maxMessageBytes = 360 << 10

	// offloadTTL is longer than a message can be pending and then a dead letter:
	// 31 days is the most that a subscription retains.
	offloadTTL = 63 * 24 * time.Hour

	// maxAttribute is the most bytes of the value of a message's attribute.
	maxAttribute = 1024

	// maxAttempts is how often a message is delivered before it is a dead letter, in
	// deploy.sh.
	maxAttempts = 20

	// defaultTimeout is how long a function may run by default.
	defaultTimeout = 60 * time.Second
)
