package gcp

import "time"

// What Google Cloud promises and where it stops. Sources are the quotas pages
// of each product; docs/gcp.md#limits has them in a table.
const (
	// A record of the core fits a document of Firestore (1 MiB, names and all),
	// and a commit a request (10 MiB): records.MaxRecordBytes, records.MaxCommitBytes. What is
	// larger the core writes as several records.

	// maxMessage is the most bytes of a message's data that is published as it
	// is. Pub/Sub takes 10 MB, but Eventarc, which brings it to the function,
	// hands on events of 512 kB, in which it is base64.
	maxMessage = 360 << 10

	// keepParts is longer than a message can be waiting and then dead: 31 days
	// is the most that Pub/Sub can be told for each subscription.
	keepParts = 63 * 24 * time.Hour

	// maxAttribute is the most bytes of the value of a message's attribute.
	maxAttribute = 1024

	// defaultTimeout is how long a function may run where it was not told.
	defaultTimeout = 60 * time.Second
)
