package cloudflare

import "time"

// What Cloudflare promises and where it stops. Sources are the limits pages of
// Workers, D1, Queues and R2 in Cloudflare's documentation; docs/cloudflare.md
// has them in a table.
const (
	// A record of the core fits a row of D1 (2,000,000 bytes, as does a bound
	// value): records.MaxRecordBytes. A commit of the core is one batch.

	maxParams = 100 // bound parameters of one statement of D1

	// pageBytes is how much one Range reads at a time: an isolate has 128 MB
	// for everything, and a value is there several times while it is read.
	pageBytes = 4 << 20

	maxMessage = 128_000             // bytes of a message of a queue
	keepAside  = 30 * 24 * time.Hour // longer than a queue and its dead-letter queue keep a message (14 days each)

	firstDelay = 2 * time.Second // of a message that failed, doubled each time
	lastDelay  = 12 * time.Minute

	// deliverTime bounds one delivery. A consumer may take 15 minutes for its
	// batch, in wall-clock time.
	deliverTime = 2 * time.Minute

	// linger is how long a tool may go on after its reply was due. A Worker
	// may wait 30 seconds after its response; what is written down at the end
	// takes time too.
	linger = 10 * time.Second
	afters = 25 * time.Second
)
