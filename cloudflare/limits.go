package cloudflare

import "time"

// The limits of Cloudflare, from the limits pages of Workers, D1, Queues and R2
// in its documentation, and our own choices; docs/cloudflare.md has them in a
// table.
const (
	// A record fits a row of D1 (2,000,000 bytes, as does a bound value):
	// records.MaxRecordBytes. A commit of core is one batch.

	maxParams = 100 // bound parameters of one statement of D1

	// pageBytes is how much one Range reads at a time: an isolate has 128 MB
	// for everything, and a value is there several times while it is read.
	pageBytes = 4 << 20

	maxMessageBytes = 128_000             // of a message of a queue
	offloadTTL      = 30 * 24 * time.Hour // longer than a queue and its dead-letter queue retain a message (14 days each)

	maxAttempts = 21 // of a message, in wrangler.jsonc: one, and the retries; then it is a dead letter

	firstDelay = 2 * time.Second // of a message that failed, doubled each time
	lastDelay  = 12 * time.Minute

	// deliverTimeout bounds one delivery. A consumer may take 15 minutes for its
	// batch, in wall-clock time.
	deliverTimeout = 2 * time.Minute

	// backgroundGrace is how long a tool may go on after its reply deadline. A
	// Worker may wait 30 seconds after its response; recording the result takes
	// time too.
	backgroundGrace = 10 * time.Second
	drainTimeout    = 25 * time.Second
)
